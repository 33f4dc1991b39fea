"""Event invocations: accepted at once and durable, run in the background, retried as Lambda does.

`async_event.py` decides when an event is tried again and how it ends, `async_intake.py` how many are tried at once of a
function that is throttled, `async_record.py` what is told of an event's end. An event is forgotten only when that has
been handed over for good: whatever is killed in between, it is tried, or told of, once more.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol

from workshape.clock import Clock
from workshape.delivery import Delivery
from workshape.errors import CallerError, NotFound, PlatformError, Throttled
from workshape.functions.alarm import Alarm
from workshape.functions.async_event import (
    BACKOFF_S_MIN,
    Condition,
    Ended,
    Event,
    Refusal,
    after_attempt,
    before_attempt,
)
from workshape.functions.async_intake import Intake
from workshape.functions.async_record import Outgoing, outgoing
from workshape.functions.event_invoke import EventPolicy
from workshape.functions.function_invoker import Invoke
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.function_state import FunctionNotActive
from workshape.functions.lineage import entered
from workshape.functions.model import LATEST, FunctionName, InvocationRequest, InvocationResult
from workshape.identifiers import new_request_id
from workshape.store.backlog import Backlog
from workshape.store.documents import Documents

DOCUMENT_KIND = "async-invocation"
TRIGGER = "event"
THROTTLED = 429
RUNNING_MAX = 1_000  # at a time: the account's default concurrency; what is beyond waits its turn
EVENTS_MAX = 100_000  # waiting; with the next line, what an engine can hold in memory
EVENTS_BYTES_MAX = 256 * 1024 * 1024

_log = logging.getLogger(__name__)


class EventsFull(Throttled):
    """Too many events are waiting for functions: {count} of {count_max}, {size_bytes} of {bytes_max} bytes."""

    count: int
    count_max: int
    size_bytes: int
    bytes_max: int


class HandOver(Protocol):
    """Takes a delivery over from a function's qualifier, for a destination or a dead-letter queue."""

    def __call__(
        self, function: str, qualifier: str | None, arn: str, delivery: Delivery, *, is_dead_letter: bool
    ) -> Awaitable[None]:
        """Return when it is durable; raise Throttled or PlatformError when it cannot be taken now."""


class AsyncQueue:
    """The events of one engine. `run` it; what it had not finished is run again at the next start."""

    def __init__(
        self,
        store: Documents,
        invoke: Invoke,
        clock: Clock,
        metrics: FunctionMetrics,
        *,
        policy: Callable[[str, str | None], EventPolicy] = lambda _name, _qualifier: EventPolicy(),
        function_arn: Callable[[FunctionName, str | None], str] = lambda name, qualifier: f"{name}:{qualifier}",
    ) -> None:
        """`policy` holds for a function's qualifier; `function_arn` names it in records."""
        self._policy = policy
        self._function_arn = function_arn
        self._store = store
        self._invoke = invoke
        self._metrics = metrics
        self._clock = clock
        self._hand_over: HandOver | None = None
        self._intake = Intake()
        self._alarm = Alarm(self._ring)
        self._events = Backlog(
            store,
            DOCUMENT_KIND,
            Event,
            clock,
            key=lambda event: event.request_id,
            at_once_max=RUNNING_MAX,
            bytes_of=lambda event: len(event.payload),
        )

    def __repr__(self) -> str:
        return f"<AsyncQueue events={len(self._events)} running={self._events.running}>"

    def connect(self, hand_over: HandOver) -> None:
        """Say who takes over what is told of an event's end. Before `run`."""
        self._hand_over = hand_over

    async def put(
        self,
        request_id: str,
        function: str,
        qualifier: str | None,
        payload: bytes,
        *,
        client_context: str = "",
        trace_id: str = "",
    ) -> None:
        """Accept an event; it is on disk when this returns. It may have run by then.

        Raises:
            EventsFull: too many are waiting.
            BackendUnavailable: the disk refuses.
        """
        if len(self._events) >= EVENTS_MAX or self._events.size_bytes + len(payload) > EVENTS_BYTES_MAX:
            raise EventsFull(
                count=len(self._events),
                count_max=EVENTS_MAX,
                size_bytes=self._events.size_bytes,
                bytes_max=EVENTS_BYTES_MAX,
            )
        now = self._clock.wall_s()
        event = Event(request_id, function, qualifier, payload, now, now, client_context, trace_id)
        self._events.keep(event)
        await self._store.durable()
        self._metrics.event_received(function, qualifier, now)

    async def accept(self, function: str, qualifier: str | None, payload: bytes, *, trace_id: str = "") -> None:
        """Accept an event of a service that is not answered with a request's id; it is on disk when this returns.

        Raises:
            EventsFull, BackendUnavailable: see `put`.
        """
        await self.put(new_request_id(), function, qualifier, payload, trace_id=trace_id)

    async def run(self) -> None:
        """Run events as they come due, until cancelled."""
        try:
            await self._events.run(self._advance)
        finally:
            self._alarm.cancel()

    async def _advance(self, event: Event) -> None:
        """Try an event once, and see to what follows."""
        policy, now = self._policy(event.function, event.qualifier), self._clock.wall_s()
        following: Event | Ended | None = before_attempt(event, now, policy)
        if following is not None:
            self._intake.dismiss(_target(event), event.request_id)
        elif not self._intake.enter(_target(event), event.request_id, now):
            self._look_again()
            return
        else:
            outcome, at_work = await self._attempt_in_turn(event)
            following = after_attempt(event, outcome, self._clock.wall_s(), policy.limits, in_line=at_work)
        self._read_on(_target(event))
        if isinstance(following, Event):
            self._events.keep(following)
        else:
            await self._end(event, following, policy)
            self._events.forget(event)

    async def _attempt_in_turn(self, event: Event) -> tuple[InvocationResult | Refusal, bool]:
        """Try an event; tell as well whether its function is at work on others."""
        throttled = False
        try:
            outcome = await self._attempt(event)
            throttled = isinstance(outcome, Refusal) and outcome.status == THROTTLED
        finally:
            at_work = self._intake.leave(_target(event), self._clock.wall_s(), throttled=throttled)
        return outcome, throttled and at_work

    def _read_on(self, target: str) -> None:
        """Have those events tried whose turn it is."""
        for request_id in self._intake.resume(target, self._clock.wall_s()):
            event = self._events.piece(request_id)
            assert event is not None, "what waits is not forgotten"
            self._events.hold(event)
        self._look_again()

    def _look_again(self) -> None:
        """Read on when the time for it has come, though nothing may have ended."""
        self._alarm.set(min(self._intake.opens_at().values(), default=inf), self._clock.wall_s())

    def _ring(self) -> None:
        for target in self._intake.opens_at():
            self._read_on(target)

    async def _attempt(self, event: Event) -> InvocationResult | Refusal:
        fields = {"function": event.function, "request_id": event.request_id}
        now = self._clock.wall_s()
        self._metrics.event_attempted(event.function, event.qualifier, now - event.accepted_at, now)
        try:
            return await self._invoke(_request(event))
        except (Throttled, PlatformError, FunctionNotActive) as error:
            _log.info("event_backed_off", extra={**fields, "reason": str(error)})
            status = THROTTLED if isinstance(error, Throttled) else 409 if isinstance(error, FunctionNotActive) else 500
            return Refusal(status, str(error))
        except CallerError as error:
            return Refusal(404 if isinstance(error, NotFound) else 400, str(error), retryable=False)
        except Exception as error:  # noqa: BLE001 - the supervised boundary of an attempt: one event must not stop others
            _log.exception("event_attempt_failed", extra=fields)
            return Refusal(500, f"{type(error).__name__}: {error}")

    async def _end(self, event: Event, ended: Ended, policy: EventPolicy) -> None:
        """Count an event's end, and hand over what is told of it."""
        now = self._clock.wall_s()
        qualifier = event.qualifier or LATEST
        told = outgoing(
            event,
            ended,
            policy,
            function_arn=self._function_arn(FunctionName(event.function), qualifier),
            now=now,
            unique_id=new_request_id(),
        )
        for each in told:
            await self._tell(event, each)
        if ended.condition is not Condition.SUCCESS:
            fields = {"function": event.function, "request_id": event.request_id, "condition": ended.condition.value}
            _log.warning("event_dropped", extra={**fields, "told": [each.arn for each in told]})
            self._metrics.event_dropped(event.function, event.qualifier, now)
        if ended.condition is Condition.RECURSIVE_INVOCATION:
            self._metrics.recursion_stopped(event.function, event.qualifier, now)

    async def _tell(self, event: Event, told: Outgoing) -> None:
        assert self._hand_over is not None, "destinations are accepted only where somebody delivers to them"
        while True:
            try:
                await self._hand_over(
                    event.function, event.qualifier, told.arn, told.delivery, is_dead_letter=told.is_dead_letter
                )
            except (Throttled, PlatformError) as error:
                # Nothing is lost meanwhile: the event is on disk until this has returned. It ends with what is full.
                _log.warning("delivery_not_taken", extra={"destination": told.arn, "reason": str(error)})
                await asyncio.sleep(BACKOFF_S_MIN)
            else:
                return


def _target(event: Event) -> str:
    return f"{event.function}:{event.qualifier or LATEST}"


def _request(event: Event) -> InvocationRequest:
    return InvocationRequest(
        event.function,
        event.qualifier,
        event.payload,
        TRIGGER,
        request_id=event.request_id,
        client_context=event.client_context,
        trace_id=entered(event.trace_id, event.function),
    )
