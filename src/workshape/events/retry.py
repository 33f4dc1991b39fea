"""What becomes of a delivery that failed: another attempt later, the dead-letter queue, or nothing. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
"""

from dataclasses import dataclass

import msgspec

RETRIES_MAX = 185
AGE_S_MIN = 60
AGE_S_MAX = 86_400
BACKOFF_S_MIN = 1.0
BACKOFF_S_MAX = 600.0
"""AWS: undocumented how long between two attempts; we chose a second, doubling to ten minutes, so that 185 attempts
fill most of the 24 hours they have.
"""
_DOUBLINGS_MAX = 10  # beyond it the wait is only cut to the maximum


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often, and for how long, a delivery is tried again."""

    retries_max: int = RETRIES_MAX
    age_s_max: int = AGE_S_MAX


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one attempt failed."""

    code: str
    """One of those that AWS documents for dead-letter queues."""
    message: str
    is_retryable: bool
    wait_s: float = 0.0
    """How long the target wants to be left alone."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Wait until then."""

    due_at: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again."""

    exhausted: str = ""
    """The limit that was reached, by its member's name; empty: the failure was final by itself."""


TOO_OLD = GiveUp("MaximumEventAgeInSeconds")


def after_failure(
    policy: RetryPolicy, failure: Failure, retries: int, accepted_at: float, now: float, chance: float
) -> TryAgain | GiveUp:
    """Decide; times are Unix times, `retries` those made so far, `chance` from 0 to 1 spreads attempts."""
    if not failure.is_retryable:
        return GiveUp()
    if retries >= policy.retries_max:
        return GiveUp("MaximumRetryAttempts")
    wait_s = min(BACKOFF_S_MIN * 2.0 ** min(retries, _DOUBLINGS_MAX), BACKOFF_S_MAX)
    due_at = now + max(wait_s * (0.5 + chance / 2), failure.wait_s)
    if due_at - accepted_at > policy.age_s_max:
        return TOO_OLD
    return TryAgain(due_at)
