"""One event source mapping at work: receive, invoke, settle, as many batches at once as its pace allows.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workshape.clock import Clock
from workshape.errors import NotFound, WorkshapeError
from workshape.functions.batch_items import BatchItemFact, ItemOutcome, content_hash
from workshape.functions.invoker import InvokeFunction
from workshape.functions.model import InvocationResult, RequestId
from workshape.queues.broker import Broker
from workshape.queues.limits import RECEIVE_WAIT_S_MAX
from workshape.queues.model import QueueName, ReceivedMessage
from workshape.triggers.batching import Batch, Entry
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.outcome import BatchOutcome, judge
from workshape.triggers.pace import Pace, throttle_delay_s
from workshape.triggers.records import entry_of

TRIGGER = "sqs"
DRAIN_S_MAX = 10.0  # batches under way when a mapping stops get this long; later their messages simply come back
PACE_CHECK_S = 0.2  # how soon growth is noticed: one poller more a fifth of a second at 300 a minute

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notes:
    """Upward calls: where the evidence of each batch goes."""

    batch: Callable[[RequestId, int, int], None]
    """Request id, items, failures."""
    items: Callable[[Sequence[BatchItemFact]], None]
    result: Callable[[str], None]
    """LastProcessingResult."""


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
    ) -> None:
        self._mapping = mapping
        self._queue = QueueName(mapping.queue)
        self._broker = broker
        self._invoke = invoke
        self._clock = clock
        self._region = region
        self._notes = notes
        self._pace = Pace(mapping.concurrency_max, clock.monotonic_s())
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

    def stop(self) -> None:
        """Receive no more; `run` returns when the batches under way have ended, or after `DRAIN_S_MAX`."""
        self._stopping.set()

    async def _poll(self) -> None:
        """One poller: ends when there are more pollers than the pace allows."""
        left: list[Entry] = []
        try:
            while left or not (self._stopping.is_set() or self._pollers > self._pace.allowed):
                batch = Batch(self._mapping.batch_size, self._mapping.batch_window_s)
                left = batch.add(left, self._clock.monotonic_s())
                left += await self._gather(batch)
                if batch.entries:
                    await self._process(batch)
        finally:
            self._pollers -= 1

    async def _gather(self, batch: Batch) -> list[Entry]:
        """Receive until the batch is due; return what did not fit."""
        while not batch.is_due(self._clock.monotonic_s()) and not self._stopping.is_set():
            wait_s = min(batch.wait_s(self._clock.monotonic_s()), float(RECEIVE_WAIT_S_MAX))
            messages = await self._receive(batch.room, wait_s)
            entries = [
                entry_of(message, queue_arn=self._mapping.queue_arn, region=self._region) for message in messages
            ]
            if left := batch.add(entries, self._clock.monotonic_s()):
                return left
        return []

    async def _receive(self, count_max: int, wait_s: float) -> list[ReceivedMessage]:
        """Receive, or return nothing when it is time to stop."""
        receiving = asyncio.ensure_future(self._broker.receive(self._queue, count_max=count_max, wait_s=wait_s))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((receiving, stopping), return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else []
        finally:
            receiving.cancel()
            stopping.cancel()

    async def _process(self, batch: Batch) -> None:
        self._under_way += 1
        try:
            result = await self._invoke_batch(batch)
            if result is not None:
                await self._settle(batch, result)
        finally:
            self._under_way -= 1

    async def _invoke_batch(self, batch: Batch) -> InvocationResult | None:
        """Invoke, again and again while throttled; None when the messages have to come back by themselves.

        Raises:
            NotFound: there is no function any more; nothing should be received for it.
        """
        payload = batch.payload()
        visibility_timeout_s = self._broker.queue(self._queue).attributes.visibility_timeout_s
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._invoke(self._mapping.function, self._mapping.qualifier, payload, TRIGGER)
            except NotFound:
                raise
            except WorkshapeError as error:
                now = self._clock.monotonic_s()
                self._pace.failed(now)
                self._notes.result(f"PROBLEM: {error}")
                delay_s = throttle_delay_s(attempt, batch.received_at, visibility_timeout_s, now)
                if not error.retryable or delay_s is None or self._stopping.is_set():
                    _log.warning("batch_not_invoked", extra={"queue": self._queue, "reason": str(error)})
                    return None
            await self._pause(delay_s)

    async def _settle(self, batch: Batch, result: InvocationResult) -> None:
        """Delete what is done; the rest comes back at its visibility timeout."""
        messages = {entry.message.message_id: entry.message for entry in batch.entries}
        outcome = judge(
            result.payload, result.function_error, list(messages), partial=self._mapping.report_batch_item_failures
        )
        self._note(result.request_id, outcome, messages)
        if outcome.done:
            try:
                await self._broker.delete(self._queue, [messages[name].receipt_handle for name in outcome.done])
            except NotFound:
                _log.warning("queue_gone_before_delete", extra={"queue": self._queue})

    def _note(self, request_id: RequestId, outcome: BatchOutcome, messages: dict[str, ReceivedMessage]) -> None:
        if outcome.whole_batch_reason:
            self._pace.failed(self._clock.monotonic_s())
            self._notes.result(f"PROBLEM: Function call failed: {outcome.whole_batch_reason}")
        else:
            self._notes.result("OK")
        failed_as = ItemOutcome.BATCH_FAILED if outcome.whole_batch_reason else ItemOutcome.REPORTED
        self._notes.batch(request_id, len(messages), len(outcome.failed))
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
