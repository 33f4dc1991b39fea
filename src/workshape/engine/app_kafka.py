"""Kafka, the way `app/kafka_apply.py` needs it."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

from msgspec.structs import replace

from workshape.app.kafka_apply import KafkaCatalogue, PresentKafkaMapping, WantedKafkaMapping
from workshape.app.kafka_model import KafkaMapping
from workshape.arn import function_arn
from workshape.engine.ground import Ground
from workshape.engine.kafka_parts import CLIENT
from workshape.errors import PlatformError
from workshape.streams.model import KafkaTopic, StartingPosition
from workshape.triggers.model import INFINITE, EventSourceMapping, FailurePolicy, Pollers
from workshape.triggers.supervisor import MappingSupervisor


class KafkaClientMissing(PlatformError):
    """There is no Kafka client here: pip install 'workshape[kafka]'"""


def kafka_catalogue(ground: Ground, mappings: MappingSupervisor) -> KafkaCatalogue:
    """Offer topics and their mappings to an app."""
    region, account = ground.settings.region, ground.settings.account

    def present() -> list[PresentKafkaMapping]:
        views = [view.mapping for view in mappings.list() if view.mapping.qualifier is None]
        return [PresentKafkaMapping(one.id, _described(one, one.kafka)) for one in views if one.kafka is not None]

    def create(wanted: WantedKafkaMapping) -> str:
        name = wanted.mapping.function
        bare = EventSourceMapping(id="", function=name, function_arn=function_arn(region, account, name))
        return mappings.create(_applied(bare, wanted)).mapping.id

    def update(mapping_id: str, wanted: WantedKafkaMapping) -> None:
        mappings.update(_applied(mappings.get(mapping_id).mapping, wanted))

    def delete(mapping_id: str) -> None:
        mappings.delete(mapping_id)

    return KafkaCatalogue(
        servers=ground.run.kafka,
        create_topics=_create_topics,
        present=present,
        create=create,
        update=update,
        delete=delete,
        store=ground.documents,
        region=region,
        account=account,
    )


async def _create_topics(servers: Sequence[str], partitions: Mapping[str, int]) -> list[str]:
    if find_spec(CLIENT) is None:
        raise KafkaClientMissing
    # Imported only here: it costs a quarter of a second, and most have no topic.
    names: list[str] = await import_module("workshape.streams.kafka_admin").create_topics(servers, partitions)
    return names


def _applied(mapping: EventSourceMapping, wanted: WantedKafkaMapping) -> EventSourceMapping:
    """Set what the app file says upon a mapping."""
    said = wanted.mapping
    pollers = None
    if said.pollers_min is not None and said.pollers_max is not None:
        pollers = Pollers(said.pollers_min, said.pollers_max)
    return replace(
        mapping,
        kafka=KafkaTopic(wanted.servers, said.topic, said.group_id, StartingPosition(said.starting_position)),
        batch_size=said.batch_size,
        batch_window_s=said.batch_window_s,
        report_batch_item_failures=said.report_batch_item_failures,
        pollers=pollers,
        filters=said.filters,
        metrics=said.metrics,
        failures=FailurePolicy(
            destination=wanted.destination,
            retries_max=INFINITE if said.retries_max is None else said.retries_max,
            age_s_max=INFINITE if said.record_age_s_max is None else said.record_age_s_max,
            bisect=said.bisect,
        ),
        enabled=True,
    )


def _described(mapping: EventSourceMapping, topic: KafkaTopic) -> WantedKafkaMapping:
    """Tell of a mapping as the app file would."""
    failures, pollers = mapping.failures, mapping.pollers
    described = KafkaMapping(
        topic=topic.topic,
        function=mapping.function,
        batch_size=mapping.batch_size,
        batch_window_s=mapping.batch_window_s,
        starting_position=topic.starting_position.value,  # type: ignore[arg-type]  # AT_TIMESTAMP: the file has none
        group_id=topic.group_id,
        filters=mapping.filters,
        pollers_min=pollers.least if pollers is not None else None,
        pollers_max=pollers.most if pollers is not None else None,
        report_batch_item_failures=mapping.report_batch_item_failures,
        retries_max=None if failures.retries_max == INFINITE else failures.retries_max,
        record_age_s_max=None if failures.age_s_max == INFINITE else failures.age_s_max,
        bisect=failures.bisect,
        metrics=mapping.metrics,  # type: ignore[arg-type]  # checked when it was made
    )
    return WantedKafkaMapping(described, topic.bootstrap_servers, failures.destination)
