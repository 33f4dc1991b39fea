"""Where events come from, and the event source mappings that take them to functions."""

from contextlib import closing
from dataclasses import dataclass

from workshape.engine.delivery_parts import DeliveryParts
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.engine.kafka_parts import open_kafka
from workshape.functions.item_records import ItemRecordWriter
from workshape.queues.broker import Broker
from workshape.queues.model import FairDepth, QueueDepth, QueueName
from workshape.queues.queue_metrics import QueueMetrics
from workshape.secrets.registry import Secrets
from workshape.triggers.mapping_metrics import MappingMetrics
from workshape.triggers.supervisor import MappingSupervisor


async def open_queues(ground: Ground) -> Broker:
    """Open the queues with every message they hold."""
    settings = ground.settings
    broker = await Broker.open(ground.run.state.queues, ground.clock, region=settings.region, account=settings.account)
    ground.stack.push_async_callback(broker.close)
    metrics = QueueMetrics()

    def depths() -> dict[QueueName, QueueDepth]:
        names = map(QueueName, broker.list_queues())
        return {name: broker.depth(name) for name in names}

    def fair_depths() -> dict[QueueName, FairDepth]:
        found = {name: broker.fair_depth(name) for name in map(QueueName, broker.list_queues())}
        return {name: depth for name, depth in found.items() if depth is not None}

    ground.metrics.add_source(lambda now: metrics.points(depths(), fair_depths(), now))
    return broker


@dataclass(frozen=True, slots=True)
class SourceParts:
    """What brings events to functions."""

    broker: Broker
    mappings: MappingSupervisor


def open_sources(
    ground: Ground, broker: Broker, functions: FunctionParts, deliveries: DeliveryParts, secrets: Secrets
) -> SourceParts:
    """Open what invokes functions by itself; nothing is polled before the engine serves."""
    items = ground.stack.enter_context(closing(ItemRecordWriter(ground.run.state.records)))
    metrics = MappingMetrics()
    ground.metrics.add_source(metrics.take)
    mappings = MappingSupervisor(
        ground.documents,
        broker,
        functions.invoke,
        ground.clock,
        region=ground.settings.region,
        note_batch=functions.records.note_batch,
        note_items=items.note_items,
        function_timeout_s=functions.timeout_s,
        metrics=metrics,
        kafka=open_kafka(ground, functions, deliveries, secrets),
        filters_max=ground.settings.functions.filters_per_mapping,
        loops=functions.loops,
    )
    ground.serve("event source mappings", mappings.run)
    return SourceParts(broker, mappings)
