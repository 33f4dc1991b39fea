"""One event source mapping of a Kafka topic at work: read, filter, invoke, give up what cannot be done, commit.

The partitions are shared out among lanes: each reads its partitions in order and has one batch under way. When
partitions change hands, or there are to be more or fewer lanes, all lanes come to a rest (what is under way ends, what
waits is read again) before the next begin. An offset is committed when every record before it is finished: done with,
filtered out, or given up and told of.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-process.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html (what does not match is committed)
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Collection, Iterable, Sequence
from typing import TypeVar

from workshape.clock import Clock
from workshape.errors import NotFound, Throttled, WorkshapeError
from workshape.events.filters import VALUE, compile_filters
from workshape.functions.batch_items import BatchItemFact, ItemOutcome
from workshape.functions.function_invoker import InvokeFunction
from workshape.functions.limits import SYNC_PAYLOAD_BYTES_MAX
from workshape.functions.model import InvocationResult
from workshape.streams.access import AccessRefused
from workshape.streams.model import Assignment, ClusterUnavailable, KafkaTopic, LogReader, LogRecord
from workshape.streams.offsets import PartitionOffsets
from workshape.triggers.failure_delivery import FailureDelivery
from workshape.triggers.kafka_event import (
    ENVELOPE_BYTES,
    GivenUp,
    RecordEntry,
    RecordId,
    entry_of,
    event_of,
    read_record_id,
)
from workshape.triggers.mapping_metrics import MappingMetric
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.outcome import BatchOutcome, judge
from workshape.triggers.poller import Notes
from workshape.triggers.poller_scale import PollerScale
from workshape.triggers.stream_batching import RecordBatch
from workshape.triggers.stream_work import Attempt, Pause, PendingBatch, StreamWork

TRIGGER = "kafka"
FETCH_WAIT_S_MAX = 0.5  # how long a lane takes to notice that it is to rest
OBSERVE_S = 5.0  # how often it is measured how far behind the group is

T = TypeVar("T")

_log = logging.getLogger(__name__)


class KafkaPoller:
    """Polls one topic for one function until it is stopped."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        topic: KafkaTopic,
        reader: LogReader,
        invoke: InvokeFunction,
        clock: Clock,
        *,
        notes: Notes,
        failures: FailureDelivery,
    ) -> None:
        self._mapping = mapping
        self._topic = topic
        self._reader = reader
        self._invoke = invoke
        self._clock = clock
        self._notes = notes
        self._failures = failures
        self._passes = compile_filters(mapping.filters, VALUE)
        self._scale = PollerScale(mapping.pollers, clock.monotonic_s())
        self._generation = 0
        self._offsets: dict[int, PartitionOffsets] = {}
        self._committed: dict[int, int] = {}
        self._stopping = asyncio.Event()
        self._resting = asyncio.Event()

    def __repr__(self) -> str:
        return f"<KafkaPoller {self._topic.topic} -> {self._mapping.function} {self._offsets} {self._scale}>"

    async def run(self) -> None:
        """Poll until `stop`, then until the batches under way have ended.

        Raises:
            ClusterUnavailable, TopicNotFound: there is nothing to read from. AccessRefused: it may not be read.
            NotFound: there is no such function any more.
        """
        try:
            await self._reader.start()
            assignment = await self._unless_stopped(self._reader.assignment(0))
            if assignment is not None:
                self._notes.connected()
            while assignment is not None and not self._stopping.is_set():
                assignment = await self._work(assignment)
        finally:
            await self._reader.close()

    def stop(self) -> None:
        """Read no more; `run` returns when the batches under way have ended."""
        self._stopping.set()
        self._resting.set()

    async def _work(self, assignment: Assignment) -> Assignment | None:
        """Work with these partitions until they or the lanes are to change; return what to go on with."""
        self._take_over(assignment)
        partitions = sorted(assignment.positions)
        count = self._scale.lanes(len(partitions))
        changing = asyncio.ensure_future(self._reader.assignment(assignment.generation))
        resting = asyncio.ensure_future(self._resting.wait())
        lanes = [asyncio.ensure_future(self._lane(partitions[start::count])) for start in range(count) if partitions]
        waited_for = (changing, resting, *lanes)
        try:
            while not any(task.done() for task in waited_for) and self._scale.lanes(len(partitions)) == count:
                await self._observe(partitions)
                await asyncio.wait(waited_for, timeout=OBSERVE_S, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            for lane in lanes:
                lane.cancel()
            raise
        finally:
            self._resting.set()
            ended = await asyncio.gather(*lanes, return_exceptions=True)
            changing.cancel()
            resting.cancel()
        for failure in ended:
            if isinstance(failure, BaseException):
                raise failure
        if changing.done():
            return changing.result()
        return Assignment(assignment.generation, {at: offsets.position for at, offsets in self._offsets.items()})

    def _take_over(self, assignment: Assignment) -> None:
        # What the lanes committed while they came to a rest may be later than what the group had committed before.
        positions = {
            partition: max(at, self._committed.get(partition, 0)) for partition, at in assignment.positions.items()
        }
        self._generation = assignment.generation
        self._offsets = {partition: PartitionOffsets(at) for partition, at in positions.items()}
        self._committed = positions
        for partition, at in positions.items():
            self._reader.seek(partition, at)
        if not self._stopping.is_set():
            self._resting.clear()

    async def _observe(self, partitions: Collection[int]) -> None:
        """Measure how many records wait, and let the pollers be as many as that takes."""
        ends = await self._reader.end_offsets(partitions) if partitions else {}
        lags = [max(0, end - self._committed[partition]) for partition, end in ends.items()]
        self._scale.observed(sum(lags), len(partitions), self._clock.monotonic_s())
        self._notes.lag(sum(lags))
        self._notes.count(MappingMetric.LAG_SUM, sum(lags))
        self._notes.count(MappingMetric.LAG_MAX, max(lags, default=0))
        self._notes.count(MappingMetric.POLLERS, self._scale.pollers(len(partitions)))

    async def _lane(self, partitions: Sequence[int]) -> None:
        """Batch after batch of some partitions, until it is to rest."""
        left: list[RecordEntry] = []
        while not self._resting.is_set():
            batch, left = await self._gather(partitions, left)
            if not batch.entries:
                await self._commit(partitions)  # what was filtered out
                continue
            work = StreamWork(self._mapping.failures, SYNC_PAYLOAD_BYTES_MAX)
            work.begin(batch.entries)
            await self._work_off(work)
            await self._commit(partitions)

    async def _gather(
        self, partitions: Sequence[int], left: list[RecordEntry]
    ) -> tuple[RecordBatch, list[RecordEntry]]:
        """Read until the batch is due, or nothing has come for a while; return what did not fit, too."""
        batch = RecordBatch(self._mapping.batch_size, self._mapping.window_s, SYNC_PAYLOAD_BYTES_MAX - ENVELOPE_BYTES)
        left = batch.add(left, self._clock.monotonic_s())
        while not left and not batch.is_due(self._clock.monotonic_s()) and not self._resting.is_set():
            wait_s = min(batch.wait_s(self._clock.monotonic_s()), FETCH_WAIT_S_MAX)
            records = await self._reader.fetch(self._generation, partitions, batch.room, wait_s)
            for record in records:
                self._offsets[record.partition].hand_out(record.offset)
            self._notes.count(MappingMetric.POLLED, len(records))
            passing = self._filtered(records)
            left = batch.add([entry_of(record) for record in passing], self._clock.monotonic_s())
            if not batch.entries:
                break
        return batch, left

    def _filtered(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Leave out what the filters do not let through: it is finished."""
        if self._passes is None or not records:
            return list(records)
        passing = [record for record in records if self._passes(_text(record.value))]
        self._notes.count(MappingMetric.FILTERED_OUT, len(records) - len(passing))
        kept = {(record.partition, record.offset) for record in passing}
        self._finish(record for record in records if (record.partition, record.offset) not in kept)
        return passing

    async def _work_off(self, work: StreamWork) -> None:
        """Do what is next until everything is done, or it is time to rest."""
        while (step := work.step(self._clock.monotonic_s(), self._clock.wall_s() * 1_000)) is not None:
            match step:
                case GivenUp():
                    await self._give_up(step)
                case Attempt(batch) if not self._resting.is_set():
                    await self._attempt(work, batch)
                case Pause(until) if not self._resting.is_set():
                    await self._rest_of(until - self._clock.monotonic_s())
                case _:
                    return

    async def _attempt(self, work: StreamWork, batch: PendingBatch) -> None:
        payload = event_of(batch.entries, self._topic)
        count = len(batch.entries)
        try:
            result = await self._invoke(self._mapping.function, self._mapping.qualifier, payload, TRIGGER)
        except NotFound:
            self._notes.count(MappingMetric.INVOKE_FAILED, count)
            self._notes.count(MappingMetric.INVOKE_ERRORS, 1)
            raise
        except WorkshapeError as error:
            work.refused(self._clock.monotonic_s())
            if isinstance(error, Throttled):
                self._scale.throttled(len(self._offsets))
            self._notes.result(f"PROBLEM: {error}")
            self._notes.count(MappingMetric.INVOKE_FAILED, count)
            self._notes.count(MappingMetric.INVOKE_ERRORS, 1)
            return
        self._notes.count(MappingMetric.INVOKED, count)
        self._settle(work, batch, result)

    def _settle(self, work: StreamWork, batch: PendingBatch, result: InvocationResult) -> None:
        entries = {entry.id: entry for entry in batch.entries}
        partial = self._mapping.report_batch_item_failures
        outcome = judge(result.payload, result.function_error, list(entries), read_record_id, partial=partial)
        self._finish(entries[name].record for name in outcome.done)
        if outcome.failed:
            now = self._clock.monotonic_s()
            work.failed(set(outcome.failed), result, now, whole=bool(outcome.whole_batch_reason))
        else:
            work.succeeded()
        self._note(batch, result, outcome, entries)

    def _note(
        self,
        batch: PendingBatch,
        result: InvocationResult,
        outcome: BatchOutcome[RecordId],
        entries: dict[RecordId, RecordEntry],
    ) -> None:
        reason = outcome.whole_batch_reason
        self._notes.result(f"PROBLEM: Function call failed: {reason}" if reason else "OK")
        self._notes.batch(result.request_id, len(entries), len(outcome.failed))
        self._notes.count(MappingMetric.INVOKE_FAILED, len(outcome.failed))
        if reason:
            self._notes.count(MappingMetric.INVOKE_ERRORS, 1)
        failed_as = ItemOutcome.BATCH_FAILED if reason else ItemOutcome.REPORTED
        outcomes = [(name, ItemOutcome.SUCCEEDED) for name in outcome.done]
        outcomes += [(name, failed_as) for name in outcome.failed]
        self._notes.items(
            [
                BatchItemFact(
                    time=self._clock.wall_s(),
                    function=self._mapping.function,
                    source=self._topic.topic,
                    request_id=result.request_id,
                    message_id=f"{name[0]}@{name[1]}",
                    content_hash=_digest(entries[name].record.value),
                    receive_count=batch.failures + 1,
                    outcome=what,
                )
                for name, what in outcomes
            ]
        )

    async def _give_up(self, given_up: GivenUp) -> None:
        count = len(given_up.entries)
        if await self._failures.deliver(given_up):
            self._notes.count(MappingMetric.DELIVERED_ON_FAILURE, count)
        else:
            self._notes.count(MappingMetric.DROPPED, count)
            if self._mapping.failures.destination:
                self._notes.count(MappingMetric.DELIVERY_ERRORS, 1)
            first = given_up.entries[0].record
            where = {"topic": first.topic, "partition": first.partition, "offset": first.offset}
            _log.warning("records_dropped", extra={**where, "count": count, "reason": given_up.condition.value})
        self._finish(entry.record for entry in given_up.entries)

    def _finish(self, records: Iterable[LogRecord]) -> None:
        count = 0
        for record in records:
            self._offsets[record.partition].finish((record.offset,))
            count += 1
        self._scale.finished(count)

    async def _commit(self, partitions: Sequence[int]) -> None:
        """Make known what is finished; a failure is made good by the next commit."""
        moved = {
            partition: self._offsets[partition].position
            for partition in partitions
            if self._offsets[partition].position > self._committed[partition]
        }
        if not moved:
            return
        try:
            await self._reader.commit(moved)
        except (AccessRefused, ClusterUnavailable) as error:
            self._notes.count(MappingMetric.COMMIT_ERRORS, 1)
            self._notes.result(f"PROBLEM: {error}")
            return
        count = sum(position - self._committed[partition] for partition, position in moved.items())
        self._notes.count(MappingMetric.COMMITTED, count)
        self._committed |= moved

    async def _unless_stopped(self, awaited: Awaitable[T]) -> T | None:
        """Wait for something; None when it is time to stop."""
        waiting = asyncio.ensure_future(awaited)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()
            stopping.cancel()

    async def _rest_of(self, seconds: float) -> None:
        """Sleep, but wake when it is time to rest."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._resting.wait()
        except TimeoutError:
            return


def _text(value: bytes | None) -> str | None:
    """A record's value as a filter sees it; None when it is no text."""
    try:
        return (value or b"").decode()
    except UnicodeDecodeError:
        return None


def _digest(value: bytes | None) -> str:
    return hashlib.md5(value or b"", usedforsecurity=False).hexdigest()
