"""One event source mapping of a queue at work: receive, filter, invoke, settle; so many at once as its pace allows.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import asyncio
import logging
from collections.abc import Sequence

from workshape.clock import Clock
from workshape.errors import NotFound, WorkshapeError
from workshape.events.filters import BODY, compile_filters
from workshape.functions.batch_items import BatchItemFact, ItemOutcome, content_hash
from workshape.functions.function_invoker import InvokeFunction
from workshape.functions.lineage import ROUNDS_MAX
from workshape.functions.loop_guard import LoopGuard, RecursiveInvocation
from workshape.functions.model import InvocationResult, RequestId
from workshape.queues.broker import Broker
from workshape.queues.limits import RECEIVE_WAIT_S_MAX
from workshape.queues.message import TRACE_HEADER
from workshape.queues.model import OverLimit, QueueBusy, QueueName, ReceivedMessage
from workshape.triggers.batching import Batch, Entry
from workshape.triggers.mapping_metrics import MappingMetric
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.outcome import BatchOutcome, judge, read_message_id
from workshape.triggers.pace import Pace, throttle_delay_s
from workshape.triggers.poller import Notes
from workshape.triggers.records import entry_of

TRIGGER = "sqs"
PACE_CHECK_S = 0.2  # how soon growth is noticed: one poller more a fifth of a second at 300 a minute
BUSY_PAUSE_S = 1.0  # before a queue on which too many wait is asked again

_log = logging.getLogger(__name__)


class SqsPoller:
    """Polls one queue for one function until it is stopped."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        broker: Broker,
        invoke: InvokeFunction,
        clock: Clock,
        *,
        region: str,
        notes: Notes,
        loops: LoopGuard,
    ) -> None:
        self._mapping = mapping
        self._queue = QueueName(mapping.queue)
        self._broker = broker
        self._invoke = invoke
        self._clock = clock
        self._region = region
        self._notes = notes
        self._loops = loops
        self._passes = compile_filters(mapping.filters, BODY)
        self._pace = Pace(mapping.concurrency_max, clock.monotonic_s(), mapping.pollers)
        self._under_way = 0
        self._pollers = 0
        self._stopping = asyncio.Event()

    def __repr__(self) -> str:
        return f"<SqsPoller {self._queue} -> {self._mapping.function} under_way={self._under_way} {self._pace}>"

    async def run(self) -> None:
        """Poll until `stop`, then until what is under way has ended.

        Raises:
            NotFound: the queue or the function is not there (any more), in an ExceptionGroup.
        """
        async with asyncio.TaskGroup() as pollers:
            while not self._stopping.is_set():
                while self._pollers < self._pace.allowed:
                    self._pollers += 1
                    pollers.create_task(self._poll())
                await self._pause(PACE_CHECK_S)
                waiting = self._broker.depth(self._queue).visible > 0
                self._pace.observed(self._clock.monotonic_s(), messages_wait=waiting)
                self._notes.count(MappingMetric.POLLERS, self._pace.pollers)

    def stop(self) -> None:
        """Receive no more; `run` returns when the batches under way have ended."""
        self._stopping.set()

    async def _poll(self) -> None:
        """One poller: ends when there are more pollers than the pace allows."""
        left: list[Entry] = []
        try:
            while left or not (self._stopping.is_set() or self._pollers > self._pace.allowed):
                batch = Batch(self._mapping.batch_size, self._mapping.window_s)
                left = batch.add(left, self._clock.monotonic_s())
                left += await self._gather(batch)
                if batch.entries:
                    failed = await self._process(batch)
                    left = _not_behind(failed, left) if self._mapping.is_fifo else left
        finally:
            self._pollers -= 1

    async def _gather(self, batch: Batch) -> list[Entry]:
        """Receive until the batch is due; return what did not fit."""
        while not batch.is_due(self._clock.monotonic_s()) and not self._stopping.is_set():
            wait_s = min(batch.wait_s(self._clock.monotonic_s()), float(RECEIVE_WAIT_S_MAX))
            messages = await self._filtered(await self._receive(batch.room, wait_s))
            entries = [
                entry_of(message, queue_arn=self._mapping.queue_arn, region=self._region) for message in messages
            ]
            if left := batch.add(entries, self._clock.monotonic_s()):
                return left
        return []

    async def _receive(self, count_max: int, wait_s: float) -> list[ReceivedMessage]:
        """Receive, or return nothing when it is time to stop, or when the queue lets nobody receive for now."""
        try:
            # Where nothing has to be waited for, no task has to be made.
            messages = await self._broker.receive(self._queue, count_max=count_max, wait_s=0)
        except OverLimit:  # whoever waits has its turn as soon as there is room
            messages = []
        if not messages and wait_s > 0:
            try:
                messages = await self._wait_for_messages(count_max, wait_s)
            except QueueBusy:
                await self._pause(min(wait_s, BUSY_PAUSE_S))
        self._notes.count(MappingMetric.POLLED, len(messages))
        return messages

    async def _wait_for_messages(self, count_max: int, wait_s: float) -> list[ReceivedMessage]:
        receiving = asyncio.ensure_future(self._broker.receive(self._queue, count_max=count_max, wait_s=wait_s))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((receiving, stopping), return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else []
        finally:
            receiving.cancel()
            stopping.cancel()

    async def _filtered(self, messages: list[ReceivedMessage]) -> list[ReceivedMessage]:
        """Delete the messages that the filters do not let through, as Lambda does; return the others."""
        if self._passes is None or not messages:
            return messages
        passing = [message for message in messages if self._passes(message.body)]
        self._notes.count(MappingMetric.FILTERED_OUT, len(messages) - len(passing))
        if len(passing) < len(messages):
            kept = {message.message_id for message in passing}
            await self._delete([message for message in messages if message.message_id not in kept])
        return passing

    async def _process(self, batch: Batch) -> list[Entry]:
        """Invoke and settle; return the entries that come back."""
        stopped = self._stop_loops(batch)
        if not batch.entries:
            return stopped
        self._under_way += 1
        try:
            result = await self._invoke_batch(batch)
            failed = batch.entries if result is None else await self._settle(batch, result)
            return stopped + failed
        finally:
            self._under_way -= 1

    def _stop_loops(self, batch: Batch) -> list[Entry]:
        """Leave out of a batch what has come back to the function too often: it goes on coming back to its queue, until
        that gives it up. What is behind it in its message group is left out with it.
        """
        name, qualifier = self._mapping.function, self._mapping.qualifier
        stopped = [entry for entry in batch.entries if self._loops.stops(name, qualifier, _trace_header(entry))]
        if not stopped:
            return []
        _log.warning("recursion_stopped", extra={"queue": self._queue, "messages": len(stopped)})
        self._notes.count(MappingMetric.INVOKE_FAILED, len(stopped))
        self._notes.result(f"PROBLEM: {RecursiveInvocation(function=name, count=ROUNDS_MAX)}")
        left = [entry for entry in batch.entries if entry not in stopped]
        batch.entries = _not_behind(stopped, left) if self._mapping.is_fifo else left
        return stopped

    async def _invoke_batch(self, batch: Batch) -> InvocationResult | None:
        """Invoke, again and again while throttled; None when the messages have to come back by themselves.

        Raises:
            NotFound: there is no function any more; nothing should be received for it.
        """
        payload = batch.payload()
        trace_id = self._loops.enter_together(self._mapping.function, map(_trace_header, batch.entries))
        visibility_timeout_s = self._broker.queue(self._queue).attributes.visibility_timeout_s
        attempt = 0
        while True:
            attempt += 1
            try:
                result = await self._invoke(
                    self._mapping.function, self._mapping.qualifier, payload, TRIGGER, trace_id=trace_id
                )
                self._notes.count(MappingMetric.INVOKED, len(batch.entries))
                return result
            except NotFound:
                self._notes.count(MappingMetric.INVOKE_FAILED, len(batch.entries))
                raise
            except WorkshapeError as error:
                now = self._clock.monotonic_s()
                self._pace.failed(now)
                self._notes.result(f"PROBLEM: {error}")
                self._notes.count(MappingMetric.INVOKE_FAILED, len(batch.entries))
                delay_s = throttle_delay_s(attempt, batch.received_at, visibility_timeout_s, now)
                if not error.retryable or delay_s is None or self._stopping.is_set():
                    _log.warning("batch_not_invoked", extra={"queue": self._queue, "reason": str(error)})
                    return None
            await self._pause(delay_s)

    async def _settle(self, batch: Batch, result: InvocationResult) -> list[Entry]:
        """Delete what is done; the rest, which is returned, comes back at its visibility timeout."""
        messages = {entry.message.message_id: entry.message for entry in batch.entries}
        partial = self._mapping.report_batch_item_failures
        outcome = judge(result.payload, result.function_error, list(messages), read_message_id, partial=partial)
        self._note(result.request_id, outcome, messages)
        if outcome.done:
            await self._delete([messages[name] for name in outcome.done])
        failed = set(outcome.failed)
        return [entry for entry in batch.entries if entry.message.message_id in failed]

    async def _delete(self, messages: Sequence[ReceivedMessage]) -> None:
        try:
            outcomes = await self._broker.delete(self._queue, [message.receipt_handle for message in messages])
        except NotFound:
            _log.warning("queue_gone_before_delete", extra={"queue": self._queue})
            return
        self._notes.count(MappingMetric.DELETED, outcomes.count(None))

    def _note(self, request_id: RequestId, outcome: BatchOutcome[str], messages: dict[str, ReceivedMessage]) -> None:
        if outcome.whole_batch_reason:
            if not self._mapping.report_batch_item_failures:  # with it, Lambda does not back off
                self._pace.failed(self._clock.monotonic_s())
            self._notes.result(f"PROBLEM: Function call failed: {outcome.whole_batch_reason}")
        else:
            self._notes.result("OK")
        failed_as = ItemOutcome.BATCH_FAILED if outcome.whole_batch_reason else ItemOutcome.REPORTED
        self._notes.batch(request_id, len(messages), len(outcome.failed))
        self._notes.count(MappingMetric.INVOKE_FAILED, len(outcome.failed))
        facts = [(name, ItemOutcome.SUCCEEDED) for name in outcome.done] + [
            (name, failed_as) for name in outcome.failed
        ]
        self._notes.items([self._fact(request_id, messages[name], item) for name, item in facts])

    def _fact(self, request_id: RequestId, message: ReceivedMessage, outcome: ItemOutcome) -> BatchItemFact:
        return BatchItemFact(
            time=self._clock.wall_s(),
            function=self._mapping.function,
            source=self._queue,
            request_id=request_id,
            message_id=message.message_id,
            content_hash=content_hash(message.md5_of_body, message.md5_of_message_attributes or None),
            receive_count=int(message.system_attributes.get("ApproximateReceiveCount", "1")),
            outcome=outcome,
        )

    async def _pause(self, seconds: float) -> None:
        """Sleep, but wake when stopping."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _trace_header(entry: Entry) -> str:
    return entry.message.system_attributes.get(TRACE_HEADER, "")


def _not_behind(failed: Sequence[Entry], left: list[Entry]) -> list[Entry]:
    """Leave out what is behind a failure in its message group: it comes back with what failed, in order."""
    groups = {entry.message.system_attributes.get("MessageGroupId") for entry in failed}
    return [entry for entry in left if entry.message.system_attributes.get("MessageGroupId") not in groups]
