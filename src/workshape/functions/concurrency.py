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
    use it. 0 switches the function off. Provisioned concurrency is set aside from the function's reservation, or
    from the unreserved pool when it has none: only invocations that find a provisioned environment may use it.
    Both are facts handed in with each call, so that a change holds from the next invocation on; what was admitted
    before runs on.
    """

    def __init__(self, account: int) -> None:
        self._account = account
        self._total = 0
        self._shared = 0
        self._shared_provisioned = 0
        self._by_function: dict[FunctionName, int] = {}
        self._provisioned: dict[FunctionName, int] = {}
        self._total_peak = 0
        self._unreserved_peak = 0
        self._peaks: dict[FunctionName, int] = {}

    def __repr__(self) -> str:
        return f"<Concurrency {self._total}/{self._account} unreserved={self.unreserved}>"

    @property
    def total(self) -> int:
        """Invocations admitted and not yet answered."""
        return self._total

    @property
    def unreserved(self) -> int:
        """Those of them that share the unreserved pool."""
        return self._shared - self._shared_provisioned

    def of(self, function: FunctionName) -> int:
        """Those of one function."""
        return self._by_function.get(function, 0)

    def refuses(
        self, function: FunctionName, reserved: int | None, reserved_total: int, set_aside: int = 0
    ) -> ThrottleReason | None:
        """Say why one more invocation cannot be admitted on demand; None when it can.

        `reserved_total` is the sum of all functions' reservations; `set_aside` the provisioned concurrency within the
        function's own reservation, or that of all functions without one.
        """
        if reserved is not None:
            on_demand = self.of(function) - self._provisioned.get(function, 0)
            if on_demand >= reserved - set_aside:
                return ThrottleReason.RESERVED
        elif self.unreserved >= self._account - reserved_total - set_aside:
            return ThrottleReason.ACCOUNT
        return self.refuses_provisioned(function, reserved, reserved_total)

    def refuses_provisioned(
        self, function: FunctionName, reserved: int | None, reserved_total: int
    ) -> ThrottleReason | None:
        """Say why one more invocation cannot be admitted though a provisioned environment is idle; None when it can.

        Only what was set aside while others were using that room comes here: it holds once they have ended.
        """
        if reserved is not None and self.of(function) >= reserved:
            return ThrottleReason.RESERVED
        if reserved is None and self._shared >= self._account - reserved_total:
            return ThrottleReason.ACCOUNT
        return ThrottleReason.ACCOUNT if self._total >= self._account else None

    def admit(self, function: FunctionName, *, reserved: bool, provisioned: bool = False) -> None:
        """Count an invocation in."""
        self._total += 1
        count = self._by_function[function] = self._by_function.get(function, 0) + 1
        if count > self._peaks.get(function, 0):
            self._peaks[function] = count
        if self._total > self._total_peak:
            self._total_peak = self._total
        if provisioned:
            self._provisioned[function] = self._provisioned.get(function, 0) + 1
        if not reserved:
            self._shared += 1
            self._shared_provisioned += provisioned
            if self.unreserved > self._unreserved_peak:
                self._unreserved_peak = self.unreserved

    def release(self, function: FunctionName, *, reserved: bool, provisioned: bool = False) -> None:
        """Count it out, with what it was admitted with."""
        self._total -= 1
        _count_down(self._by_function, function)
        if provisioned:
            _count_down(self._provisioned, function)
        if not reserved:
            self._shared -= 1
            self._shared_provisioned -= provisioned

    def take_peaks(self) -> ConcurrencyPeaks:
        """Return the peaks since the last time; the next ones begin at what is running now."""
        peaks = ConcurrencyPeaks(self._total_peak, self._unreserved_peak, self._peaks)
        self._total_peak, self._unreserved_peak, self._peaks = self._total, self.unreserved, dict(self._by_function)
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


class ScalingRates:
    """Every function's own scaling rate."""

    def __init__(self) -> None:
        self._rates: dict[FunctionName, ScalingRate] = {}

    def __repr__(self) -> str:
        return f"<ScalingRates {self._rates}>"

    def take(self, function: FunctionName, now: float) -> bool:
        """Use up one of a function's new environments; tell whether there was one."""
        rate = self._rates.get(function)
        if rate is None:
            # The full ones are the same as none: the table holds only functions that scaled within the last 10 s.
            self._rates = {other: rate for other, rate in self._rates.items() if not rate.is_full(now)}
            rate = self._rates[function] = ScalingRate(now)
        return rate.take(now)


def _count_down(counts: dict[FunctionName, int], function: FunctionName) -> None:
    left = counts[function] - 1
    assert left >= 0, "released more often than admitted"
    if left:
        counts[function] = left
    else:
        del counts[function]


def rate_reason(reserved: int | None) -> ThrottleReason:
    """Say why a function that scales too fast is refused; `reserved` is its reservation."""
    return ThrottleReason.RATE if reserved is None else ThrottleReason.RESERVED_RATE
