"""When each of a destination's invocations goes: evenly, no more a second than it takes, and in their order. A core.

Who cannot go at once is the head of its line, with the time it may go at, or stands behind the head and is called. So
one of a line at most has a time of its own, and a changed rate is felt at once.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html ("the invocations will still occur, but
are delayed")
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

IN_FLIGHT_MAX = 250
"""Of one destination: a quarter of all that run at once, so that one that answers nothing leaves room for others.

AWS: undocumented; at 300 a second it is reached when an endpoint takes 0.8 s.
"""
LATE_S_MAX = 0.005  # a timer is; what a line loses by it, it makes up for


class Called(NamedTuple):
    """Whose turn it is."""

    key: str
    at: float


@dataclass(slots=True)
class _Line:
    free_at: float = 0.0
    """When the next one may go."""
    in_flight: int = 0
    head: str | None = None
    behind: deque[str] = field(default_factory=deque)


class InvocationRates:
    """The lines of all destinations, by their ARNs; times are all of one clock. What has no rate goes at once."""

    def __init__(self, rate_of: Callable[[str], int | None]) -> None:
        """`rate_of` says how many a second a destination takes; None: it is none, or it is gone."""
        self._rate_of = rate_of
        self._lines: dict[str, _Line] = {}

    def __repr__(self) -> str:
        waiting = sum(len(line.behind) + (line.head is not None) for line in self._lines.values())
        return f"<InvocationRates lines={len(self._lines)} waiting={waiting}>"

    def is_limited(self, arn: str) -> bool:
        """Tell whether invocations of it wait for each other."""
        return arn in self._lines or self._rate_of(arn) is not None

    def arrive(self, arn: str, key: str, now: float) -> float | None:
        """Say when an invocation may go: at once if that is not after `now`; None: it stands in line, to be called."""
        if not self.is_limited(arn):
            return now
        line, interval = self._lines.setdefault(arn, _Line()), self._interval(arn)
        line.free_at = min(line.free_at, now + interval)
        is_head = line.head == key
        if not is_head and (line.head is not None or line.behind or line.in_flight >= IN_FLIGHT_MAX):
            line.behind.append(key)
            return None
        if line.free_at > now:
            line.head = key
            return line.free_at
        line.free_at = max(line.free_at, now - LATE_S_MAX) + interval if is_head else now + interval
        line.head = None
        line.in_flight += 1
        return now

    def leave(self, arn: str, key: str) -> None:
        """Let an invocation go nowhere: it is over, and takes no turn."""
        line = self._lines.get(arn)
        if line is not None and line.head == key:
            line.head = None

    def ended(self, arn: str) -> None:
        """Note that one that went is done with."""
        line = self._lines.get(arn)
        if line is None:
            return
        line.in_flight -= 1
        if not line.in_flight and line.head is None and not line.behind and self._rate_of(arn) is None:
            del self._lines[arn]

    def call(self, arn: str, now: float) -> Called | None:
        """Say whose turn is next, after one went, left or ended; None: nobody waits, or nobody else can go now."""
        line = self._lines.get(arn)
        if line is None or line.head is not None or not line.behind or line.in_flight >= IN_FLIGHT_MAX:
            return None
        line.head = line.behind.popleft()
        return Called(line.head, max(now, min(line.free_at, now + self._interval(arn))))

    def _interval(self, arn: str) -> float:
        rate = self._rate_of(arn)
        return 0.0 if rate is None else 1.0 / rate
