"""How many invocations there are at once of each version and alias, by the name that callers used. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-concurrency.html (ConcurrentExecutions is told of
functions, versions and aliases)
"""

from dataclasses import dataclass
from functools import lru_cache

from workshape.functions.model import LATEST


@dataclass(frozen=True, slots=True)
class ResourcePeak:
    """The most there were at once, over some span of time."""

    invoked_arn: str
    version: str
    """That an alias has chosen; empty: all that was invoked by this name."""
    count: int


class ResourceConcurrency:
    """Counts invocations from admission to result. It holds what runs, and what ran since the peaks were taken."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._peaks: dict[tuple[str, str], int] = {}

    def __repr__(self) -> str:
        return f"<ResourceConcurrency running={len(self._counts)}>"

    def admit(self, invoked_arn: str, version: str) -> None:
        """Count an invocation in."""
        for key in _keys(invoked_arn, version):
            count = self._counts[key] = self._counts.get(key, 0) + 1
            if count > self._peaks.get(key, 0):
                self._peaks[key] = count

    def release(self, invoked_arn: str, version: str) -> None:
        """Count it out."""
        for key in _keys(invoked_arn, version):
            count = self._counts[key] - 1
            assert count >= 0, "released more often than admitted"
            if count:
                self._counts[key] = count
            else:
                del self._counts[key]

    def take_peaks(self) -> list[ResourcePeak]:
        """Return the peaks since the last time; the next ones begin at what is running now."""
        taken = [ResourcePeak(arn, version, count) for (arn, version), count in self._peaks.items()]
        self._peaks = dict(self._counts)
        return taken


@lru_cache(maxsize=1_024)  # names and versions in use are few; this is on every invocation's way
def _keys(invoked_arn: str, version: str) -> tuple[tuple[str, str], ...]:
    """What was named; and of an alias, the version it chose."""
    _, _, qualifier = invoked_arn.split(":", 6)[6].partition(":")
    named = (invoked_arn, "")
    return (named,) if (qualifier or LATEST) == version else (named, (invoked_arn, version))
