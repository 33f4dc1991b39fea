"""What each function has done in the last minute, for whoever is looking just now. A core.

CloudWatch's minutes begin with the clock's: right after one begins they say nothing. Here a minute is the last sixty
whole seconds, each counted by itself and forgotten when it is too old.
"""

from collections import deque
from dataclasses import dataclass, field

from workshape.functions.model import FunctionName
from workshape.metrics.distribution import Distribution
from workshape.status import MinuteStatus

SPAN_S = 60


@dataclass(slots=True)
class _Second:
    at: int
    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    cold_starts: int = 0
    duration_ms: Distribution = field(default_factory=Distribution)


class RecentInvocations:
    """Counts; holds at most one second more than it tells of, for each function that was used in that time."""

    def __init__(self) -> None:
        self._seconds: dict[FunctionName, deque[_Second]] = {}

    def __repr__(self) -> str:
        return f"<RecentInvocations functions={len(self._seconds)}>"

    def ended(self, function: FunctionName, at: float, duration_ms: float, *, cold: bool, failed: bool) -> None:
        """Count an invocation that ended at a Unix time; `cold`: somebody waited for its environment."""
        second = self._second(function, int(at))
        second.invocations += 1
        second.errors += failed
        second.cold_starts += cold
        second.duration_ms.add(duration_ms)

    def never_began(self, function: FunctionName, at: float) -> None:
        """Count an invocation that failed because no environment of its function could be started."""
        second = self._second(function, int(at))
        second.invocations += 1
        second.errors += 1

    def throttled(self, function: FunctionName, at: float) -> None:
        """Count an invocation that was refused."""
        self._second(function, int(at)).throttles += 1

    def last_minute(self, function: FunctionName, now: float) -> MinuteStatus:
        """Add the last minute up."""
        seconds = [one for one in self._seconds.get(function, ()) if one.at > int(now) - SPAN_S]
        durations = Distribution()
        for one in seconds:
            durations.merge(one.duration_ms)
        ran = durations.count > 0
        return MinuteStatus(
            invocations=sum(one.invocations for one in seconds),
            errors=sum(one.errors for one in seconds),
            throttles=sum(one.throttles for one in seconds),
            cold_starts=sum(one.cold_starts for one in seconds),
            p50_ms=durations.percentile(50) if ran else None,
            p99_ms=durations.percentile(99) if ran else None,
        )

    def forget(self, function: FunctionName) -> None:
        """Drop a function that was deleted."""
        self._seconds.pop(function, None)

    def _second(self, function: FunctionName, at: int) -> _Second:
        seconds = self._seconds.get(function)
        if seconds is None:
            seconds = self._seconds[function] = deque()
        if not seconds or seconds[-1].at < at:  # a clock that was set back counts on in the second it left
            while seconds and seconds[0].at <= at - SPAN_S:
                seconds.popleft()
            seconds.append(_Second(at))
        return seconds[-1]
