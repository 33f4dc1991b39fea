"""A stage for event source mappings: a real broker and store, a fake function, supervisors to put to work."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.batch_function import BatchFunction
from workshape.clock import Clock
from workshape.errors import NotFound
from workshape.functions.batch_items import BatchItemFact
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.model import RequestId
from workshape.queues.broker import Broker
from workshape.queues.model import NewMessage, QueueAttributes, QueueName, RedrivePolicy
from workshape.store.documents import Documents
from workshape.triggers.mapping_metrics import MappingMetrics
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.supervisor import KafkaPolling, MappingSupervisor

REGION, ACCOUNT = "us-east-1", "123456789012"
EVENTS, DEAD = QueueName("events"), QueueName("events-dlq")
VISIBILITY_TIMEOUT_S = 3
SETTLED_S_MAX = 30.0


@dataclass
class Stage:
    """What a test sets up, and what it looks at afterwards."""

    broker: Broker
    documents: Documents
    folder: Path
    function: BatchFunction = field(default_factory=BatchFunction)
    function_exists: bool = True
    kafka: KafkaPolling | None = None
    stops_loops: bool = True
    timeout_s: int = VISIBILITY_TIMEOUT_S
    """The function's."""
    batches: list[tuple[int, int]] = field(default_factory=list)
    """Items and failures of each batch, as noted."""
    facts: list[BatchItemFact] = field(default_factory=list)
    metrics: MappingMetrics = field(default_factory=MappingMetrics)
    function_metrics: FunctionMetrics = field(default_factory=FunctionMetrics)
    _counts: Counter[str] = field(default_factory=Counter)

    def supervisor(self) -> MappingSupervisor:
        """Make a supervisor of the mappings stored; each call is another restart."""
        return MappingSupervisor(
            self.documents,
            self.broker,
            self.function,
            Clock(),
            region=REGION,
            note_batch=self._note_batch,
            note_items=self._note_items,
            function_timeout_s=self._function_timeout_s,
            metrics=self.metrics,
            kafka=self.kafka,
            filters_max=5,
            loops=LoopGuard(lambda _name: self.stops_loops, self.function_metrics, Clock()),
        )

    async def send(self, *bodies: str) -> None:
        """Send messages, ten at a time."""
        for start in range(0, len(bodies), 10):
            await self.broker.send(EVENTS, [NewMessage(body) for body in bodies[start : start + 10]])

    def left(self, queue: QueueName = EVENTS) -> int:
        """Count a queue's messages in whatever state."""
        depth = self.broker.depth(queue)
        return depth.visible + depth.in_flight + depth.delayed

    async def bodies(self, queue: QueueName) -> list[str]:
        """Receive everything visible in a queue, in the order of the bodies."""
        found: list[str] = []
        while messages := await self.broker.receive(queue, count_max=10, wait_s=0):
            found += [message.body for message in messages]
        return sorted(found)

    async def settled(self, condition: Callable[[], object]) -> None:
        """Wait until something has become so."""
        async with asyncio.timeout(SETTLED_S_MAX):
            while not condition():
                await asyncio.sleep(0.01)

    def counted(self, name: str) -> int:
        """What the mappings' metrics say so far."""
        for point in self.metrics.take(0.0):
            self._counts[point.metric.name] += round(point.values.total)
        return self._counts[name]

    def _note_batch(self, _request: RequestId, items: int, failures: int) -> None:
        self.batches.append((items, failures))

    def _note_items(self, facts: Sequence[BatchItemFact]) -> None:
        self.facts.extend(facts)

    def _function_timeout_s(self, name: str, _qualifier: str | None) -> int:
        if not self.function_exists:
            raise NotFound(kind="function", name=name)
        return self.timeout_s


@pytest.fixture
async def broker_without_name_wait(tmp_path: Path) -> AsyncIterator[Broker]:
    """Queues whose names can be used again at once."""
    broker = await Broker.open(tmp_path / "queues", Clock(), region=REGION, account=ACCOUNT, name_reuse_wait_s=0)
    yield broker
    await broker.close()


@pytest.fixture
async def stage(tmp_path: Path, broker_without_name_wait: Broker) -> AsyncIterator[Stage]:
    """A queue and its dead-letter queue; nothing is mapped yet."""
    broker = broker_without_name_wait
    dead = await broker.create_queue(DEAD)
    redrive = RedrivePolicy(dead.arn, 3)
    await broker.create_queue(EVENTS, QueueAttributes(visibility_timeout_s=VISIBILITY_TIMEOUT_S, redrive=redrive))
    documents = Documents(tmp_path / "store.sqlite")
    yield Stage(broker, documents, tmp_path)
    documents.close()


@pytest.fixture
async def running(stage: Stage) -> AsyncIterator[MappingSupervisor]:
    """A supervisor at work."""
    supervisor = stage.supervisor()
    work = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)  # it takes its mappings up
    yield supervisor
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


@pytest.fixture
def make_mapping() -> Callable[..., EventSourceMapping]:
    """Make a mapping of the queue to the function, with changes."""

    def make(**changes: Any) -> EventSourceMapping:
        plain = {
            "id": "",
            "queue_arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{EVENTS}",
            "function": "events",
            "function_arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:events",
        }
        return EventSourceMapping(**plain | changes)

    return make
