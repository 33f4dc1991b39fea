"""Event invocations: accepted at once and durable, run in the background, retried as Lambda does.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import asyncio
import heapq
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from workshape.clock import Clock
from workshape.errors import CallerError, PlatformError, Throttled
from workshape.functions.event_invoke import EventLimits
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.function_state import FunctionNotActive
from workshape.functions.model import InvocationResult
from workshape.store.documents import Documents

DOCUMENT_KIND = "async-invocation"
RETRY_STEP_S = 60.0  # one minute before the first retry, two before the second
BACKOFF_S_MIN = 1.0
BACKOFF_S_MAX = 300.0
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


class Invoke(Protocol):
    """Runs a function once; `FunctionInvoker.invoke`."""

    def __call__(
        self,
        name: str,
        qualifier: str | None,
        payload: bytes,
        trigger: str,
        *,
        request_id: str = "",
        client_context: str = "",
        trace_id: str = "",
        log_tail: bool = False,
    ) -> Awaitable[InvocationResult]:
        """Run it."""


class Event(msgspec.Struct, frozen=True):
    """One event on its way to a function."""

    request_id: str
    function: str
    qualifier: str | None
    payload: bytes
    accepted_at: float
    """Unix time, as all times here: they outlive the process."""
    due_at: float
    client_context: str = ""
    trace_id: str = ""
    failures: int = 0
    """Times the function itself failed."""
    backoffs: int = 0
    """Times it could not be run: throttled, or workshape failed."""


def after_failure(event: Event, now: float, limits: EventLimits) -> Event | None:
    """Tell when to try again after the function failed; None: never."""
    due_at = now + RETRY_STEP_S * (event.failures + 1)
    if event.failures >= limits.retries_max or due_at - event.accepted_at > limits.age_s_max:
        return None
    return msgspec.structs.replace(event, failures=event.failures + 1, due_at=due_at)


def after_backoff(event: Event, now: float, limits: EventLimits) -> Event | None:
    """Tell when to try again after the function could not be run; None: never, the event is too old."""
    if now - event.accepted_at > limits.age_s_max:
        return None
    # The exponent is bounded: powers beyond it would only be cut to the maximum.
    wait_s = min(BACKOFF_S_MIN * 2 ** min(event.backoffs, 16), BACKOFF_S_MAX)
    return msgspec.structs.replace(event, backoffs=event.backoffs + 1, due_at=now + wait_s)


class AsyncQueue:
    """The events of one engine. `run` it; what it had not finished is run again at the next start."""

    def __init__(
        self,
        store: Documents,
        invoke: Invoke,
        clock: Clock,
        metrics: FunctionMetrics,
        *,
        limits: Callable[[str, str | None], EventLimits] = lambda _name, _qualifier: EventLimits(),
    ) -> None:
        """`limits` are those of a function's qualifier."""
        self._limits = limits
        self._store = store
        self._invoke = invoke
        self._metrics = metrics
        self._clock = clock
        self._due: list[tuple[float, str]] = []
        self._events: dict[str, Event] = {}
        self._bytes = 0
        self._running = 0
        self._changed = asyncio.Event()
        for _, document in store.all(DOCUMENT_KIND):
            self._hold(msgspec.msgpack.decode(document, type=Event))

    def __repr__(self) -> str:
        return f"<AsyncQueue events={len(self._events)} running={self._running}>"

    def put(
        self,
        request_id: str,
        function: str,
        qualifier: str | None,
        payload: bytes,
        *,
        client_context: str = "",
        trace_id: str = "",
    ) -> None:
        """Accept an event; it is on disk when this returns.

        Raises:
            EventsFull: too many are waiting.
        """
        if len(self._events) >= EVENTS_MAX or self._bytes + len(payload) > EVENTS_BYTES_MAX:
            raise EventsFull(
                count=len(self._events),
                count_max=EVENTS_MAX,
                size_bytes=self._bytes,
                bytes_max=EVENTS_BYTES_MAX,
            )
        now = self._clock.wall_s()
        event = Event(request_id, function, qualifier, payload, now, now, client_context, trace_id)
        self._store.put(DOCUMENT_KIND, request_id, msgspec.msgpack.encode(event))
        self._hold(event)
        self._metrics.event_received(function, qualifier, now)

    def accept(self, function: str, qualifier: str | None, payload: bytes, *, trace_id: str = "") -> None:
        """Accept an event of a service that is not answered with a request's id; it is on disk when this returns.

        Raises:
            EventsFull: too many are waiting.
        """
        self.put(str(uuid.uuid4()), function, qualifier, payload, trace_id=trace_id)

    async def run(self) -> None:
        """Run events as they come due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                now = self._clock.wall_s()
                while self._due and self._due[0][0] <= now and self._running < RUNNING_MAX:
                    _, request_id = heapq.heappop(self._due)
                    self._running += 1
                    group.create_task(self._attempt(self._events[request_id]))
                may_start = self._due and self._running < RUNNING_MAX
                wait_s = max(self._due[0][0] - now, 0.0) if may_start else None
                try:
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _attempt(self, event: Event) -> None:
        try:
            following = await self._outcome(event)
            if following is None:
                self._forget(event)
            else:
                self._store.put(DOCUMENT_KIND, following.request_id, msgspec.msgpack.encode(following))
                self._hold(following)
        finally:
            self._running -= 1
            self._changed.set()

    async def _outcome(self, event: Event) -> Event | None:
        """Run the function once; return the event as it is to be tried again, None when it is done with."""
        fields = {"function": event.function, "request_id": event.request_id}
        limits, now = self._limits(event.function, event.qualifier), self._clock.wall_s()
        if now - event.accepted_at > limits.age_s_max:
            return self._next_or_drop(None, event, "it waited longer than it may")
        self._metrics.event_attempted(event.function, event.qualifier, now - event.accepted_at, now)
        try:
            result = await self._invoke(
                event.function,
                event.qualifier,
                event.payload,
                "event",
                request_id=event.request_id,
                client_context=event.client_context,
                trace_id=event.trace_id,
            )
        except (Throttled, PlatformError, FunctionNotActive) as error:
            following = after_backoff(event, self._clock.wall_s(), limits)
            _log.info("event_backed_off", extra={**fields, "reason": str(error)})
            return self._next_or_drop(following, event, "it is too old to be tried again")
        except CallerError as error:
            return self._next_or_drop(None, event, str(error))
        except Exception:  # noqa: BLE001 - the supervised boundary of an attempt: one event must not stop the others
            _log.exception("event_attempt_failed", extra=fields)
            following = after_backoff(event, self._clock.wall_s(), limits)
            return self._next_or_drop(following, event, "it is too old to be tried again")
        if result.function_error is None:
            return None
        following = after_failure(event, self._clock.wall_s(), limits)
        return self._next_or_drop(following, event, "the function failed on every attempt")

    def _next_or_drop(self, following: Event | None, event: Event, reason: str) -> Event | None:
        """Hand on what is to be tried next; when there is nothing, say that the event is dropped."""
        if following is None:
            fields = {"function": event.function, "request_id": event.request_id, "reason": reason}
            _log.warning("event_dropped", extra=fields)
            self._metrics.event_dropped(event.function, event.qualifier, self._clock.wall_s())
        return following

    def _hold(self, event: Event) -> None:
        if event.request_id not in self._events:
            self._bytes += len(event.payload)
        self._events[event.request_id] = event
        heapq.heappush(self._due, (event.due_at, event.request_id))
        self._changed.set()

    def _forget(self, event: Event) -> None:
        self._store.delete(DOCUMENT_KIND, event.request_id)
        del self._events[event.request_id]
        self._bytes -= len(event.payload)
