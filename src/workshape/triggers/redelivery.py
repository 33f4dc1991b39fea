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
SNS_AGE_S_MAX = 23 * 86_400.0
"""Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html (100,015 times over 23 days)"""


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


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It will not be tried again."""

    pending: Pending
    why: Undelivered


def after_failure(pending: Pending, why: Undelivered, now: float) -> Pending | GivenUp:
    """Say when a delivery is tried again."""
    age_s_max = SNS_AGE_S_MAX if pending.sender.kind is SenderKind.SUBSCRIPTION else AGE_S_MAX
    wait_s = min(BACKOFF_S_MIN * 2 ** min(pending.failures, BACKOFF_EXPONENT_MAX), BACKOFF_S_MAX)
    if not why.retryable or now + wait_s - pending.taken_at > age_s_max:
        return GivenUp(pending, why)
    return msgspec.structs.replace(pending, failures=pending.failures + 1, due_at=now + wait_s)
