"""An event of an asynchronous invocation: when it is tried, and how it ends. A core.

Every event that was accepted ends once: the function succeeded, or it is given up for one of the reasons below. What
its owner is told then is in `async_record.py`.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from workshape.functions.event_invoke import EventLimits, EventPolicy
from workshape.functions.lineage import ROUNDS_MAX, rounds
from workshape.functions.model import InvocationResult

RETRY_STEP_S = 60.0  # one minute before the first retry, two before the second
BACKOFF_S_MIN = 1.0
BACKOFF_S_MAX = 300.0
BACKOFF_EXPONENT_MAX = 16  # powers beyond it would only be cut to the maximum


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
    refusal: "Refusal | None" = None
    """Why it could not be run the last time, if that is how the last time ended."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a function could not be run."""

    status: int
    """HTTP's: 429, 404, 500."""
    reason: str
    retryable: bool = True


class Condition(StrEnum):
    """Why an event ended, as the invocation record says it.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    # AWS: the behaviour is documented, this word is not; it is the one seen in public records.
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"
    # AWS: that the event goes to the destination is documented, this word is not; it is that of the exception.
    RECURSIVE_INVOCATION = "RecursiveInvocation"


@dataclass(frozen=True, slots=True)
class Ended:
    """The event is done with."""

    condition: Condition
    outcome: InvocationResult | Refusal | None = None
    """Of the last attempt; None: there was none."""
    runs: int = 0
    """Times the function ran."""


def before_attempt(event: Event, now: float, policy: EventPolicy) -> Ended | None:
    """Tell whether an event ends without being tried (again)."""
    if policy.is_switched_off:
        return Ended(Condition.ZERO_RESERVED_CONCURRENCY, event.refusal, event.failures)
    if now - event.accepted_at > policy.limits.age_s_max:
        return Ended(Condition.EVENT_AGE_EXCEEDED, event.refusal, event.failures)
    if policy.stops_loops and rounds(event.trace_id, event.function) >= ROUNDS_MAX:
        reason = f"The function was invoked in a recursive loop, {ROUNDS_MAX} times by one event, and is stopped."
        return Ended(Condition.RECURSIVE_INVOCATION, Refusal(400, reason, retryable=False), event.failures)
    return None


def after_attempt(
    event: Event, outcome: InvocationResult | Refusal, now: float, limits: EventLimits, *, in_line: bool = False
) -> Event | Ended:
    """Say what comes after an attempt: the event as it is tried again, or its end.

    `in_line` says that what was refused waits for its turn, and not for a time: its function is at work on others.
    """
    if isinstance(outcome, Refusal):
        if not outcome.retryable:
            return Ended(Condition.RETRIES_EXHAUSTED, outcome, event.failures)
        again = after_refusal(event, outcome, now, limits, in_line=in_line)
        return again or Ended(Condition.EVENT_AGE_EXCEEDED, outcome, event.failures)
    runs = event.failures + 1
    if outcome.function_error is None:
        return Ended(Condition.SUCCESS, outcome, runs)
    if event.failures >= limits.retries_max:
        return Ended(Condition.RETRIES_EXHAUSTED, outcome, runs)
    return after_failure(event, now, limits) or Ended(Condition.EVENT_AGE_EXCEEDED, outcome, runs)


def after_failure(event: Event, now: float, limits: EventLimits) -> Event | None:
    """Tell when to try again after the function failed; None: never."""
    due_at = now + RETRY_STEP_S * (event.failures + 1)
    if event.failures >= limits.retries_max or due_at - event.accepted_at > limits.age_s_max:
        return None
    return msgspec.structs.replace(event, failures=event.failures + 1, due_at=due_at, refusal=None)


def after_refusal(
    event: Event, refusal: Refusal, now: float, limits: EventLimits, *, in_line: bool = False
) -> Event | None:
    """Tell when to try again after the function could not be run; None: never, the event is too old."""
    if now - event.accepted_at > limits.age_s_max:
        return None
    if in_line:
        return msgspec.structs.replace(event, due_at=now, refusal=refusal)
    wait_s = min(BACKOFF_S_MIN * 2 ** min(event.backoffs, BACKOFF_EXPONENT_MAX), BACKOFF_S_MAX)
    return msgspec.structs.replace(event, backoffs=event.backoffs + 1, due_at=now + wait_s, refusal=refusal)
