"""A delivery that is on its way: when it is tried again, and when it is given up. A core.

Every delivery that was taken over ends once: delivered, or given up and reported to its sender.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from workshape.delivery import Delivery, Undelivered

BACKOFF_S_MIN = 1.0
BACKOFF_S_MAX = 300.0
BACKOFF_EXPONENT_MAX = 16  # powers beyond it would only be cut to the maximum
AGE_S_MAX = 6 * 3_600.0
"""AWS: undocumented how long Lambda and S3 try to deliver; we chose as long as an event is kept for its function."""
SUBSCRIPTION_RETRIES_AT_ONCE = 3
SUBSCRIPTION_RETRIES_SOON = 2  # a second apart
SUBSCRIPTION_RETRIES_BACKING_OFF = 10
SUBSCRIPTION_BACKOFF_S_MAX = 20.0
SUBSCRIPTION_RETRIES_MAX = 100_015
"""All five: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html (SQS and Lambda; 23 days)"""


class SenderKind(StrEnum):
    """Which part of the platform sends."""

    DESTINATION = "destination"
    DEAD_LETTER = "dead-letter"
    BUCKET = "bucket"
    SUBSCRIPTION = "subscription"
    SUBSCRIPTION_DEAD_LETTER = "subscription-dead-letter"


class Sender(msgspec.Struct, frozen=True):
    """Who sends, so that it can be told what became of it."""

    kind: SenderKind
    name: str
    """Of the function, the bucket, or the subscription's ARN."""
    qualifier: str | None = None
    """Of the function."""


class Pending(msgspec.Struct, frozen=True):
    """A delivery that has failed and is tried again. Durable as it is."""

    id: str
    sender: Sender
    arn: str
    delivery: Delivery
    taken_at: float
    """Unix time, as both: they outlive the process."""
    due_at: float
    failures: int = 0
    dead_letter_arn: str = ""
    """Where it goes when it is given up; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It will not be tried again."""

    pending: Pending
    why: Undelivered


def after_failure(pending: Pending, why: Undelivered, now: float) -> Pending | GivenUp:
    """Say when a delivery is tried again."""
    wait_s = _wait_s(pending)
    if not why.retryable or wait_s is None or _is_too_old(pending, now + wait_s):
        return GivenUp(pending, why)
    return msgspec.structs.replace(pending, failures=pending.failures + 1, due_at=now + wait_s)


def redirected(given_up: GivenUp, now: float) -> Pending | None:
    """Make of a delivery that is given up the one to its dead-letter queue, if it has one."""
    pending = given_up.pending
    if not pending.dead_letter_arn:
        return None
    sender = msgspec.structs.replace(pending.sender, kind=SenderKind.SUBSCRIPTION_DEAD_LETTER)
    return Pending(pending.id, sender, pending.dead_letter_arn, pending.delivery, now, now)


def _is_too_old(pending: Pending, at: float) -> bool:
    return pending.sender.kind is not SenderKind.SUBSCRIPTION and at - pending.taken_at > AGE_S_MAX


def _wait_s(pending: Pending) -> float | None:
    """How long to wait after one more failure; None: there have been enough of them."""
    failures = pending.failures
    if pending.sender.kind is not SenderKind.SUBSCRIPTION:
        return min(BACKOFF_S_MIN * float(1 << min(failures, BACKOFF_EXPONENT_MAX)), BACKOFF_S_MAX)
    if failures >= SUBSCRIPTION_RETRIES_MAX:
        return None
    if failures < SUBSCRIPTION_RETRIES_AT_ONCE:
        return 0.0
    failures -= SUBSCRIPTION_RETRIES_AT_ONCE + SUBSCRIPTION_RETRIES_SOON
    if failures < 0:
        return BACKOFF_S_MIN
    # The last of the retries that back off waits for the longest: 1 s grows to 20 s over ten of them.
    growth = min(failures, SUBSCRIPTION_RETRIES_BACKING_OFF - 1) / (SUBSCRIPTION_RETRIES_BACKING_OFF - 1)
    return float(BACKOFF_S_MIN * SUBSCRIPTION_BACKOFF_S_MAX**growth)
