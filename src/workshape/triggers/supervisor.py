"""All event source mappings: durable, each with an owner task that starts it again when it breaks."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from workshape.clock import Clock
from workshape.errors import CallerError, PlatformError
from workshape.functions.batch_items import BatchItemFact
from workshape.functions.function_invoker import InvokeFunction
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.model import RequestId
from workshape.queues.broker import Broker
from workshape.queues.model import QueueDoesNotExist, QueueName
from workshape.store.documents import Documents
from workshape.streams.access import AccessRefused
from workshape.streams.model import KafkaTopic
from workshape.triggers.mapping_metrics import MappingMetric, MappingMetrics
from workshape.triggers.model import (
    EventSourceMapping,
    MappingBusy,
    MappingExists,
    MappingInvalid,
    MappingNotFound,
    MappingState,
    StateReason,
    TopicMappingExists,
)
from workshape.triggers.poller import DRAIN_S_MAX, Notes, Poller
from workshape.triggers.rules import check_mapping, check_visibility
from workshape.triggers.source_access import state_reason
from workshape.triggers.sqs import SqsPoller

KIND = "event-source-mapping"
NO_RESULT, CONNECTED = "No records processed", "OK"
"""The second when polling had failed before.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-troubleshoot.html
"""
RESTART_DELAY_S_FIRST = 0.5
RESTART_DELAY_S_MAX = 30.0  # a queue made again later is noticed within half a minute

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MappingView:
    """A mapping as it is now."""

    mapping: EventSourceMapping
    state: MappingState
    last_processing_result: str
    last_modified: float = 0.0
    """When it was changed, or its state did: Unix time."""
    state_reason: StateReason = StateReason.USER_INITIATED


@dataclass(frozen=True, slots=True)
class KafkaPolling:
    """Who polls topics, where that can be done."""

    poller: Callable[[EventSourceMapping, Notes], Poller]
    check: Callable[[EventSourceMapping], None]
    """Raises Invalid for what cannot be polled, or delivered to on failure."""


class _Live:
    """A mapping at work, or at rest: what is wanted of it and how far that is."""

    def __init__(self, mapping: EventSourceMapping) -> None:
        self.wanted: EventSourceMapping | None = mapping
        """None: it is to be deleted."""
        self.mapping = mapping
        self.state = MappingState.CREATING
        self.state_changed_at = mapping.last_modified
        self.state_reason = StateReason.USER_INITIATED
        self.result = NO_RESULT
        self.is_broken = False
        """The result is why polling ended, or did not begin."""
        self.changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Mapping {self.mapping.source} -> {self.mapping.function} {self.state}>"

    def enter(self, state: MappingState, now: float) -> None:
        if state is not self.state:
            self.state, self.state_changed_at = state, now

    def note(self, result: str) -> None:
        self.result, self.is_broken = result, False

    def broke(self, error: BaseException | None) -> None:
        """It cannot poll, for now: it stays in its state, and is tried again."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self.result, self.is_broken = _problem(self.mapping.id, error), True
        self.state_reason = state_reason(error)

    def connected(self) -> None:
        """It polls."""
        self.state_reason = StateReason.USER_INITIATED
        if self.is_broken:
            self.note(CONNECTED)

    def view(self) -> MappingView:
        modified = max(self.mapping.last_modified, self.state_changed_at)
        return MappingView(self.mapping, self.state, self.result, modified, self.state_reason)


class MappingSupervisor:
    """Owns the mappings. `run` does the work; everything else may be called before and meanwhile."""

    def __init__(
        self,
        documents: Documents,
        broker: Broker,
        invoke: InvokeFunction,
        clock: Clock,
        *,
        region: str,
        note_batch: Callable[[RequestId, int, int], None],
        note_items: Callable[[Sequence[BatchItemFact]], None],
        function_timeout_s: Callable[[str, str | None], int],
        metrics: MappingMetrics,
        kafka: KafkaPolling | None,
        filters_max: int,
        loops: LoopGuard,
    ) -> None:
        """`function_timeout_s` is the catalog's, by name and qualifier; it raises NotFound.

        `kafka` is None where there is no Kafka client.
        """
        self._documents = documents
        self._broker = broker
        self._invoke = invoke
        self._clock = clock
        self._region = region
        self._note_batch = note_batch
        self._note_items = note_items
        self._function_timeout_s = function_timeout_s
        self._metrics = metrics
        self._kafka = kafka
        self._filters_max = filters_max
        self._loops = loops
        stored = [msgspec.json.decode(value, type=EventSourceMapping) for _, value in documents.all(KIND)]
        self._live = {mapping.id: _Live(mapping) for mapping in stored}
        self._owners: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<MappingSupervisor {len(self._live)} mappings>"

    async def run(self) -> None:
        """Work until cancelled; batches under way then get `DRAIN_S_MAX` to end."""
        async with asyncio.TaskGroup() as owners:
            self._owners = owners
            try:
                for live in self._live.values():
                    owners.create_task(self._own(live), name=f"mapping {live.mapping.id}")
                await asyncio.Event().wait()
            finally:
                self._owners = None

    def get(self, mapping_id: str) -> MappingView:
        """Look one up.

        Raises:
            MappingNotFound: there is none.
        """
        return self._find(mapping_id).view()

    def list(self, queue_arn: str | None = None, function: str | None = None) -> "list[MappingView]":
        """All of them, or those of a queue, a function, or both; by id."""
        return [
            live.view()
            for _, live in sorted(self._live.items())
            if queue_arn in (None, live.mapping.queue_arn) and function in (None, live.mapping.function)
        ]

    def tag(self, mapping_id: str, tags: Mapping[str, str]) -> None:
        """Replace a mapping's tags; what it does is not interrupted.

        Raises:
            MappingNotFound: there is none. MappingBusy: it is being deleted. MappingInvalid: too many.
        """
        live = self._find(mapping_id)
        if live.wanted is None:
            raise MappingBusy(id=mapping_id)
        tagged = msgspec.structs.replace(live.mapping, tags=dict(tags))
        check_mapping(tagged, filters_max=self._filters_max)
        self._keep(tagged)
        live.wanted = live.mapping = tagged

    def create(self, mapping: EventSourceMapping) -> MappingView:
        """Make a mapping; an empty id is filled in, and so is an empty consumer group.

        Raises:
            MappingInvalid, MappingExists, QueueDoesNotExist: it cannot be.
            NotFound: there is no such function.
        """
        mapping = msgspec.structs.replace(mapping, id=mapping.id or str(uuid.uuid4()))
        if mapping.kafka is not None and not mapping.kafka.group_id:
            topic = msgspec.structs.replace(mapping.kafka, group_id=mapping.id)
            mapping = msgspec.structs.replace(mapping, kafka=topic)
        self._check(mapping)
        made = self._stamped(mapping)
        self._keep(made)
        live = self._live[made.id] = _Live(made)
        if self._owners is not None:
            self._owners.create_task(self._own(live), name=f"mapping {made.id}")
        return live.view()

    def update(self, mapping: EventSourceMapping) -> MappingView:
        """Change a mapping to this, by its id. Its queue stays what it was.

        Raises:
            MappingNotFound, MappingInvalid, MappingExists, NotFound: see `create`.
            MappingBusy: it is being deleted.
        """
        live = self._find(mapping.id)
        if live.wanted is None:
            raise MappingBusy(id=mapping.id)
        if mapping == msgspec.structs.replace(live.mapping, last_modified=mapping.last_modified):
            return live.view()
        self._check(mapping)
        wanted = self._stamped(mapping)
        self._keep(wanted)
        now = self._clock.wall_s()
        if wanted.enabled != live.mapping.enabled:
            live.enter(MappingState.ENABLING if wanted.enabled else MappingState.DISABLING, now)
        else:
            live.enter(MappingState.UPDATING, now)
        live.wanted = live.mapping = wanted
        live.state_reason = StateReason.USER_INITIATED
        live.changed.set()
        return live.view()

    def delete(self, mapping_id: str) -> MappingView:
        """Stop a mapping and forget it once what is under way has ended.

        Raises:
            MappingNotFound: there is none.
        """
        live = self._find(mapping_id)
        self._documents.delete(KIND, mapping_id)
        live.enter(MappingState.DELETING, self._clock.wall_s())
        live.state_reason = StateReason.USER_INITIATED
        live.wanted = None
        live.changed.set()
        if self._owners is None:
            del self._live[mapping_id]
        return live.view()

    def _find(self, mapping_id: str) -> _Live:
        try:
            return self._live[mapping_id]
        except KeyError:
            raise MappingNotFound(kind="event source mapping", name=mapping_id) from None

    def _check(self, mapping: EventSourceMapping) -> None:
        check_mapping(mapping, filters_max=self._filters_max)
        others = [live.mapping for live in self._live.values() if live.mapping.id != mapping.id]
        timeout_s = self._function_timeout_s(mapping.function, mapping.qualifier)
        if mapping.kafka is None:
            self._check_queue(mapping, others, timeout_s)
        else:
            _check_topic(mapping, mapping.kafka, others)
            self._kafka_polling().check(mapping)

    def _check_queue(
        self, mapping: EventSourceMapping, others: Sequence[EventSourceMapping], function_timeout_s: int
    ) -> None:
        for other in others:
            if (other.queue_arn, other.function_arn) == (mapping.queue_arn, mapping.function_arn):
                raise MappingExists(queue_arn=other.queue_arn, function=other.function, id=other.id)
        if mapping.id in self._live and not mapping.enabled:
            return  # whatever has become of its queue, a mapping can be switched off
        queue = self._broker.queue(QueueName(mapping.queue))
        if queue.arn != mapping.queue_arn:  # another region's or account's, of the same name
            raise QueueDoesNotExist(kind="queue", name=mapping.queue_arn)
        check_visibility(queue.attributes.visibility_timeout_s, function_timeout_s)

    def _stamped(self, mapping: EventSourceMapping) -> EventSourceMapping:
        return msgspec.structs.replace(mapping, last_modified=self._clock.wall_s())

    def _keep(self, mapping: EventSourceMapping) -> None:
        self._documents.put(KIND, mapping.id, msgspec.json.encode(mapping))

    async def _own(self, live: _Live) -> None:
        """Bring a mapping to what is wanted of it, again and again, until it is deleted."""
        delay_s = RESTART_DELAY_S_FIRST
        while (wanted := live.wanted) is not None:
            live.changed.clear()
            if not wanted.enabled:
                live.enter(MappingState.DISABLED, self._clock.wall_s())
                await live.changed.wait()
                continue
            live.enter(MappingState.ENABLED, self._clock.wall_s())
            started = self._clock.monotonic_s()
            if await self._work(live, wanted):
                continue
            healthy = self._clock.monotonic_s() - started > RESTART_DELAY_S_MAX
            delay_s = RESTART_DELAY_S_FIRST if healthy else min(RESTART_DELAY_S_MAX, delay_s * 2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await live.changed.wait()
        del self._live[live.mapping.id]

    async def _work(self, live: _Live, mapping: EventSourceMapping) -> bool:
        """Poll until something else is wanted (True) or polling breaks (False)."""

        def count(metric: MappingMetric, value: int) -> None:
            self._metrics.count(live.mapping, metric, value, self._clock.wall_s())

        def note_lag(lag: int) -> None:
            self._metrics.offset_lag(live.mapping, lag, self._clock.wall_s())

        notes = Notes(self._note_batch, self._note_items, live.note, count, note_lag, live.connected)
        try:
            # Lambda polls as the function: while there is none its messages stay where they are.
            self._function_timeout_s(mapping.function, mapping.qualifier)
            poller = self._poller(mapping, notes)
        except CallerError as error:
            live.broke(error)
            return False
        running = asyncio.create_task(poller.run())
        changed = asyncio.create_task(live.changed.wait())
        try:
            await asyncio.wait((running, changed), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                live.broke(running.exception())
                return False
            poller.stop()
            await asyncio.wait((running,))  # as long as the function takes: what it has done is not to be done again
            return True
        finally:
            changed.cancel()
            await _drain(poller, running)

    def _poller(self, mapping: EventSourceMapping, notes: Notes) -> Poller:
        if mapping.kafka is not None:
            return self._kafka_polling().poller(mapping, notes)
        return SqsPoller(
            mapping, self._broker, self._invoke, self._clock, region=self._region, notes=notes, loops=self._loops
        )

    def _kafka_polling(self) -> KafkaPolling:
        if self._kafka is None:
            raise MappingInvalid(reason="There is no Kafka client here: pip install 'workshape[kafka]'")
        return self._kafka


def _check_topic(mapping: EventSourceMapping, topic: KafkaTopic, others: Sequence[EventSourceMapping]) -> None:
    for other in others:
        if other.kafka is None:
            continue
        if other.kafka.group_id == topic.group_id:
            reason = f'The consumer group "{topic.group_id}" is that of event source mapping {other.id} already'
            raise MappingInvalid(reason=reason)
        same = (other.kafka.bootstrap_servers, other.kafka.topic) == (topic.bootstrap_servers, topic.topic)
        if same and other.function_arn == mapping.function_arn:
            servers = ",".join(topic.bootstrap_servers)
            raise TopicMappingExists(servers=servers, function=mapping.function, topic=topic.topic, id=other.id)


async def _drain(poller: Poller, running: "asyncio.Task[None]") -> None:
    """Let the batches under way end, but not for ever: whoever cancels waits."""
    poller.stop()
    try:
        await asyncio.wait((running,), timeout=DRAIN_S_MAX)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _problem(mapping_id: str, error: BaseException | None) -> str:
    """Say why polling ended by itself, or did not begin."""
    if isinstance(error, AccessRefused):
        extra = {"mapping": mapping_id, "problem": str(error), "reason": error.reason}
        _log.warning("mapping_refused", extra=extra)
    if isinstance(error, CallerError | PlatformError):
        return f"PROBLEM: {error}"
    _log.error("mapping_broke", exc_info=error)
    return f"PROBLEM: {type(error).__name__}: {error}"
