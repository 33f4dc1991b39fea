"""Invocations on their way to targets: on disk when accepted, tried until they succeed or are given up.

After a power cut one may be done once more, as EventBridge's at-least-once allows.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from workshape.clock import Clock
from workshape.delivery import Deliver, Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.errors import Throttled
from workshape.events.api_destinations.invocation_rate import InvocationRates
from workshape.events.event_metrics import EventMetrics
from workshape.events.invocation import INTERNAL_SERVER_ERROR, THROTTLING, TargetInvocation, dead_letter, failure_of
from workshape.events.retry import TOO_OLD, Failure, GiveUp, TryAgain, after_failure
from workshape.events.timer import Document
from workshape.store.backlog import Backlog
from workshape.store.documents import Documents

DOCUMENT_KIND = "target-invocation"
STORE_RETRY_S = 60.0  # after the store refused to note how an invocation ended: as a rule a full disk
RUNNING_MAX = 1_000  # at a time; what is beyond waits its turn
INVOCATIONS_MAX = 100_000  # waiting; with the next line, what an engine can hold in memory
INVOCATIONS_BYTES_MAX = 256 * 1024 * 1024
TOO_LATE = Failure(THROTTLING, "It waited for the target's invocation rate until it was too old.", is_retryable=False)
# AWS: undocumented which code and words an event has that its target's rate did not let through in time; we chose them.

Send = Callable[[TargetInvocation], Awaitable[DeliveryOutcome]]

_log = logging.getLogger(__name__)


class TargetQueueFull(Throttled):
    """Too many invocations of targets are waiting: {count} of {count_max}, {size_bytes} of {bytes_max} bytes."""

    count: int
    count_max: int
    size_bytes: int
    bytes_max: int


class TargetQueue:
    """All of one engine's. `run` it; what it had not finished goes on at the next start."""

    def __init__(
        self,
        store: Documents,
        dead_letters: Deliver,
        metrics: EventMetrics,
        clock: Clock,
        *,
        rates: InvocationRates | None = None,
        bytes_max: int = INVOCATIONS_BYTES_MAX,
    ) -> None:
        """Read what is on its way; `dead_letters` delivers to queues, `rates` says when targets that have one go."""
        self._bytes_max = bytes_max
        self._rates = rates or InvocationRates(lambda _: None)
        self._store = store
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._clock = clock
        self._finished: list[Callable[[TargetInvocation], None]] = []
        self._waiting = Backlog(
            store,
            DOCUMENT_KIND,
            TargetInvocation,
            clock,
            key=lambda one: one.id,
            at_once_max=RUNNING_MAX,
            bytes_of=lambda one: len(one.body),
        )

    def __repr__(self) -> str:
        return f"<TargetQueue waiting={len(self._waiting)} running={self._waiting.running}>"

    def __len__(self) -> int:
        return len(self._waiting)

    def subscribe(self, finished: Callable[[TargetInvocation], None]) -> None:
        """Have it called with each invocation that is done with, however it ended."""
        self._finished.append(finished)

    def check_room(self) -> None:
        """Raises: TargetQueueFull: nothing more can be accepted now."""
        if len(self._waiting) >= INVOCATIONS_MAX or self._waiting.size_bytes >= self._bytes_max:
            raise TargetQueueFull(
                count=len(self._waiting),
                count_max=INVOCATIONS_MAX,
                size_bytes=self._waiting.size_bytes,
                bytes_max=self._bytes_max,
            )

    async def accept(self, invocations: Sequence[TargetInvocation], marks: Sequence[Document] = ()) -> None:
        """Take invocations over, and keep documents of the caller's with them; all of it is on disk on return."""
        if not invocations and not marks:
            return
        self._store.write_all([*map(self._waiting.document, invocations), *marks])
        for invocation in invocations:
            self._waiting.hold(invocation)
        await self._store.durable()

    async def run(self, send: Send) -> None:
        """Invoke targets as they come due, until cancelled; `send` does, and answers how it went."""
        await self._waiting.run(lambda invocation: self._attempt(invocation, send))

    async def _attempt(self, invocation: TargetInvocation, send: Send) -> None:
        try:
            if self._rates.is_limited(invocation.target_arn):
                await self._attempt_in_turn(invocation, send)
            else:
                await self._go(invocation, send)
        except Exception:  # noqa: BLE001 - the supervised boundary of an attempt: the store refused to note its end
            _log.exception("target_not_noted", extra={"origin": invocation.origin, "target": invocation.target_arn})
            if invocation.id in self._waiting:
                self._waiting.hold(msgspec.structs.replace(invocation, due_at=self._clock.wall_s() + STORE_RETRY_S))

    async def _attempt_in_turn(self, invocation: TargetInvocation, send: Send) -> None:
        """Attempt what a target's rate lets go now; the others come back when it is their turn."""
        now, target = self._clock.wall_s(), invocation.target_arn
        if now - invocation.accepted_at > invocation.policy.age_s_max:
            self._rates.leave(target, invocation.id)
            self._call_next(target)
            await self._give_up(invocation, TOO_LATE, TOO_LATE.code, TOO_OLD.exhausted, now)
            return
        turn_at = self._rates.arrive(target, invocation.id, now)
        if turn_at is None:
            return
        if turn_at > now:
            self._waiting.hold(msgspec.structs.replace(invocation, due_at=turn_at))
            return
        self._call_next(target)
        try:
            await self._go(invocation, send)
        finally:
            self._rates.ended(target)
            self._call_next(target)

    def _call_next(self, target: str) -> None:
        """Have the next one of a target's line attempted when it may go."""
        called = self._rates.call(target, self._clock.wall_s())
        piece = None if called is None else self._waiting.piece(called.key)
        if called is not None and piece is not None:
            self._waiting.hold(msgspec.structs.replace(piece, due_at=called.at))

    async def _go(self, invocation: TargetInvocation, send: Send) -> None:
        self._metrics.attempted(invocation, self._clock.wall_s())
        outcome = await _sent(invocation, send)
        now = self._clock.wall_s()
        if isinstance(outcome, Delivered):
            self._metrics.succeeded(invocation, now)
            self._finish(invocation)
            return
        await self._failed(invocation, outcome, now)

    async def _failed(self, invocation: TargetInvocation, outcome: Undelivered, now: float) -> None:
        failure = failure_of(outcome)
        self._metrics.failed(invocation, throttled=failure.code == THROTTLING, at=now)
        chance = random.random()  # noqa: S311 - spreads load
        match after_failure(invocation.policy, failure, invocation.retries, invocation.accepted_at, now, chance):
            case TryAgain(due_at):
                again = msgspec.structs.replace(invocation, due_at=due_at, retries=invocation.retries + 1)
                self._waiting.keep(again)
                _log.info("target_retried", extra={**_fields(invocation, failure), "retries": again.retries})
            case GiveUp(exhausted):
                await self._give_up(invocation, failure, outcome.code, exhausted, now)

    async def _give_up(
        self, invocation: TargetInvocation, failure: Failure, code: str, exhausted: str, now: float
    ) -> None:
        fields = {**_fields(invocation, failure), "code": failure.code, "retries": invocation.retries}
        _log.warning("target_given_up", extra=fields)
        self._metrics.given_up(invocation, now)
        if invocation.dead_letter_arn:
            await self._bury(invocation, dead_letter(invocation, failure, code, exhausted))
        self._finish(invocation)

    async def _bury(self, invocation: TargetInvocation, letter: Delivery) -> None:
        """Send to the dead-letter queue, once: what does not arrive there is gone, and counted."""
        outcome = await self._dead_letters(invocation.dead_letter_arn, letter)
        arrived = isinstance(outcome, Delivered)
        self._metrics.dead_lettered(invocation, arrived=arrived, at=self._clock.wall_s())
        if isinstance(outcome, Undelivered):
            fields = {"origin": invocation.origin, "queue": invocation.dead_letter_arn, "reason": outcome.message}
            _log.error("dead_letter_lost", extra=fields)

    def _finish(self, invocation: TargetInvocation) -> None:
        self._waiting.forget(invocation)
        for finished in self._finished:
            finished(invocation)


def _fields(invocation: TargetInvocation, failure: Failure) -> dict[str, str]:
    return {"origin": invocation.origin, "target": invocation.target_arn, "reason": failure.message}


async def _sent(invocation: TargetInvocation, send: Send) -> DeliveryOutcome:
    try:
        return await send(invocation)
    except Exception:  # noqa: BLE001 - the supervised boundary of an attempt: one target must not stop the others
        _log.exception("target_failed", extra={"origin": invocation.origin, "target": invocation.target_arn})
        message = "workshape failed; the engine's log tells why."
        return Undelivered(INTERNAL_SERVER_ERROR, message, retryable=True, status=500)
