"""How many invocations may run at once: the account's limit, reservations, and the rate of scaling.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from workshape.errors import Throttled
from workshape.functions.limits import SCALING_ENVIRONMENTS, SCALING_PERIOD_S
from workshape.functions.model import FunctionName


class ThrottleReason(StrEnum):
    """Why an invocation is refused, in AWS's words.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (TooManyRequestsException, Reason)
    """

    ACCOUNT = "ConcurrentInvocationLimitExceeded"
    RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
    # AWS: undocumented which reasons the scaling rate gives; we chose the two that speak of a function's own rate.
    RATE = "FunctionInvocationRateLimitExceeded"
    RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"


class TooManyRequests(Throttled):
    """Rate Exceeded.

    `reason_code` is the Reason of AWS's TooManyRequestsException.
    """

    reason_code: str


@dataclass(frozen=True, slots=True)
class ConcurrencyPeaks:
    """The most invocations there were at once, over some span of time."""

    account: int
    unreserved: int
    by_function: Mapping[FunctionName, int]


class Concurrency:
    """Counts invocations from admission to result, waiting ones included.

    A reservation is both a floor and a ceiling: its function may always use it, never more, and nobody else may
    use it. 0 switches the function off. Reservations are facts handed in with each call, so that a changed one
    holds from the next invocation on; what was admitted before runs on.
    """

    def __init__(self, account: int) -> None:
        self._account = account
        self._total = 0
        self._unreserved = 0
        self._by_function: dict[FunctionName, int] = {}
        self._total_peak = 0
        self._unreserved_peak = 0
        self._peaks: dict[FunctionName, int] = {}

    def __repr__(self) -> str:
        return f"<Concurrency {self._total}/{self._account} unreserved={self._unreserved}>"

    @property
    def total(self) -> int:
        """Invocations admitted and not yet answered."""
        return self._total

    @property
    def unreserved(self) -> int:
        """Those of them that share the unreserved pool."""
        return self._unreserved

    def of(self, function: FunctionName) -> int:
        """Those of one function."""
        return self._by_function.get(function, 0)

    def refuses(self, function: FunctionName, reserved: int | None, reserved_total: int) -> ThrottleReason | None:
        """Say why one more invocation cannot be admitted; None when it can.

        `reserved_total` is the sum of all functions' reservations.
        """
        if reserved is not None and self.of(function) >= reserved:
            return ThrottleReason.RESERVED
        if reserved is None and self._unreserved >= self._account - reserved_total:
            return ThrottleReason.ACCOUNT
        # Only a reservation made while others were using that room comes here: it holds once they have ended.
        return ThrottleReason.ACCOUNT if self._total >= self._account else None

    def admit(self, function: FunctionName, *, reserved: bool) -> None:
        """Count an invocation in."""
        self._total += 1
        count = self._by_function[function] = self._by_function.get(function, 0) + 1
        if count > self._peaks.get(function, 0):
            self._peaks[function] = count
        if self._total > self._total_peak:
            self._total_peak = self._total
        if not reserved:
            self._unreserved += 1
            if self._unreserved > self._unreserved_peak:
                self._unreserved_peak = self._unreserved

    def release(self, function: FunctionName, *, reserved: bool) -> None:
        """Count it out, with the same `reserved` it was admitted with."""
        left = self._by_function[function] - 1
        assert left >= 0, "released more often than admitted"
        if left:
            self._by_function[function] = left
        else:
            del self._by_function[function]
        self._total -= 1
        if not reserved:
            self._unreserved -= 1

    def take_peaks(self) -> ConcurrencyPeaks:
        """Return the peaks since the last time; the next ones begin at what is running now."""
        peaks = ConcurrencyPeaks(self._total_peak, self._unreserved_peak, self._peaks)
        self._total_peak, self._unreserved_peak, self._peaks = self._total, self._unreserved, dict(self._by_function)
        return peaks


class ScalingRate:
    """New environments a function may still get: 1,000 at once, refilled continuously at 1,000 per 10 s."""

    __slots__ = ("_left", "_refilled_at")

    def __init__(self, now: float) -> None:
        self._left = float(SCALING_ENVIRONMENTS)
        self._refilled_at = now

    def __repr__(self) -> str:
        return f"<ScalingRate left={self._left:.1f}>"

    def take(self, now: float) -> bool:
        """Use one up; tell whether there was one."""
        refill = (now - self._refilled_at) * (SCALING_ENVIRONMENTS / SCALING_PERIOD_S)
        self._left = min(float(SCALING_ENVIRONMENTS), self._left + refill)
        self._refilled_at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def is_full(self, now: float) -> bool:
        """Tell whether forgetting this object would change nothing."""
        return (now - self._refilled_at) * (SCALING_ENVIRONMENTS / SCALING_PERIOD_S) >= (
            SCALING_ENVIRONMENTS - self._left
        )
