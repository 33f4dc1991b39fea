"""Lambda's metrics: counted with a few additions an invocation, told by name and dimensions now and then. A core.

Invocations of one minute, one qualifier and one version share a tally. What CloudWatch shows beside that (the whole
function, the whole account) is added up only when the tallies are taken.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html (names and meanings)
Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html (dimensions)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from workshape.functions.concurrency import ConcurrencyPeaks
from workshape.functions.model import LATEST, FunctionName
from workshape.functions.recent import RecentInvocations
from workshape.functions.resource_concurrency import ResourceConcurrency, ResourcePeak
from workshape.metrics.book import MetricBook
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Metric, Point, Unit, minute_of

NAMESPACE = "AWS/Lambda"
OWN_NAMESPACE = "workshape/Lambda"
"""For what Lambda does not measure under its own name."""
FUNCTION_NAME = "FunctionName"
_ACCOUNT: tuple[tuple[str, str], ...] = ()

Dimensions = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class FunctionTotals:
    """What one version of a function has done since the engine started."""

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    duration_ms: Distribution = field(default_factory=Distribution)
    init_ms: Distribution = field(default_factory=Distribution)


class FunctionMetrics:
    """Counts, until it is asked. What it holds is bounded by who asks: everything taken is forgotten."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, int], FunctionTotals] = {}
        self._events = MetricBook()
        self._totals: dict[tuple[FunctionName, str], FunctionTotals] = {}
        self.recent = RecentInvocations()
        self.running = ResourceConcurrency()

    def __repr__(self) -> str:
        return f"<FunctionMetrics tallies={len(self._tallies)} versions={len(self._totals)}>"

    def ended(
        self, invoked_arn: str, version: str, came_at: float, duration_ms: float, init_ms: float | None, *, failed: bool
    ) -> None:
        """Count an invocation. `came_at` is when the function was invoked, Unix time: the minute that it counts in."""
        key = (invoked_arn, version, minute_of(came_at))
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = FunctionTotals()
        tally.invocations += 1
        if failed:
            tally.errors += 1
        tally.duration_ms.add(duration_ms)
        if init_ms is not None:
            tally.init_ms.add(init_ms)

    def throttled(self, invoked_arn: str, version: str, at: float) -> None:
        """Count an invocation that was refused."""
        self._tallies.setdefault((invoked_arn, version, minute_of(at)), FunctionTotals()).throttles += 1

    def event_received(self, function: str, qualifier: str | None, at: float) -> None:
        """Count an event that was queued for an asynchronous invocation."""
        self._event("AsyncEventsReceived", Unit.COUNT, function, qualifier, 1.0, at)

    def event_attempted(self, function: str, qualifier: str | None, age_s: float, at: float) -> None:
        """Measure how old an event is at an attempt to invoke its function."""
        self._event("AsyncEventAge", Unit.MILLISECONDS, function, qualifier, max(0.0, age_s * 1_000), at)

    def event_dropped(self, function: str, qualifier: str | None, at: float) -> None:
        """Count an event that was given up without the function having succeeded."""
        self._event("AsyncEventsDropped", Unit.COUNT, function, qualifier, 1.0, at)

    def recursion_stopped(self, function: str, qualifier: str | None, at: float) -> None:
        """Count an event that had come back to its function too often."""
        self._event("RecursiveInvocationsDropped", Unit.COUNT, function, qualifier, 1.0, at)

    def destination_failed(self, function: str, qualifier: str | None, at: float, *, is_dead_letter: bool) -> None:
        """Count an attempt to deliver to a destination, or to a dead-letter queue, that failed."""
        name = "DeadLetterErrors" if is_dead_letter else "DestinationDeliveryFailures"
        self._event(name, Unit.COUNT, function, qualifier, 1.0, at)

    def take(self, _now: float) -> list[Point]:
        """Return what was counted since the last time, and forget it."""
        tallies, self._tallies = self._tallies, {}
        book = MetricBook()
        for (invoked_arn, version, minute), tally in tallies.items():
            function, qualifier = _invoked(invoked_arn)
            _add(self._totals.setdefault((function, version), FunctionTotals()), tally)
            for dimensions in _dimensions(function, qualifier, version):
                for metric, values in _told(tally, dimensions):
                    book.merge(Point(metric, minute, values))
        return [*book.take(), *self._events.take()]

    def totals(self) -> Iterable[tuple[FunctionName, str, FunctionTotals]]:
        """Each function, version and what it has done since the engine started."""
        folded = dict(self._totals)
        for (invoked_arn, version, _), tally in self._tallies.items():
            key = (_invoked(invoked_arn)[0], version)
            if (before := folded.get(key)) is self._totals.get(key):
                folded[key] = FunctionTotals()
                _add(folded[key], before or FunctionTotals())
            _add(folded[key], tally)
        return [(function, version, totals) for (function, version), totals in folded.items()]

    def forget(self, function: FunctionName, kept_revisions: frozenset[str]) -> None:
        """Drop the totals of a function that was deleted (no revision of it is kept)."""
        if not kept_revisions:
            self._totals = {key: totals for key, totals in self._totals.items() if key[0] != function}
            self.recent.forget(function)

    def _event(self, name: str, unit: Unit, function: str, qualifier: str | None, value: float, at: float) -> None:
        for dimensions in _dimensions(FunctionName(function), qualifier, LATEST)[:3]:
            self._events.record(Metric(NAMESPACE, name, dimensions, unit), value, at)


def concurrency_points(
    peaks: ConcurrencyPeaks, resources: Iterable[ResourcePeak], allocated: int, now: float
) -> list[Point]:
    """Tell how many invocations there were at once, at most, since the last time. View it with the maximum.

    `resources` are versions and aliases; `allocated` is what is reserved for functions, and what is provisioned beside
    that.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-concurrency.html
    """
    book = MetricBook()
    for function, peak in peaks.by_function.items():
        book.record(Metric(NAMESPACE, "ConcurrentExecutions", ((FUNCTION_NAME, function),)), peak, now)
    for resource in resources:
        dimensions = _dimensions(*_invoked(resource.invoked_arn), resource.version)
        used = dimensions[-1] if resource.version else dimensions[2]
        book.record(Metric(NAMESPACE, "ConcurrentExecutions", used), resource.count, now)
    if peaks.account or allocated:
        book.record(Metric(NAMESPACE, "ConcurrentExecutions"), peaks.account, now)
        book.record(Metric(NAMESPACE, "UnreservedConcurrentExecutions"), peaks.unreserved, now)
        book.record(Metric(NAMESPACE, "ClaimedAccountConcurrency"), peaks.unreserved + allocated, now)
    return book.take()


def _told(tally: FunctionTotals, dimensions: Dimensions) -> Iterator[tuple[Metric, Distribution]]:
    """Name what a tally counted. Errors and throttles are binary: each invocation says 0 or 1."""
    if tally.invocations:
        yield Metric(NAMESPACE, "Invocations", dimensions), Distribution.of_binary(tally.invocations, tally.invocations)
        yield Metric(NAMESPACE, "Errors", dimensions), Distribution.of_binary(tally.errors, tally.invocations)
        yield Metric(NAMESPACE, "Duration", dimensions, Unit.MILLISECONDS), tally.duration_ms
    attempts = tally.invocations + tally.throttles
    yield Metric(NAMESPACE, "Throttles", dimensions), Distribution.of_binary(tally.throttles, attempts)
    if tally.init_ms.count:
        yield Metric(OWN_NAMESPACE, "InitDuration", dimensions, Unit.MILLISECONDS), tally.init_ms


def _dimensions(function: FunctionName, qualifier: str | None, version: str) -> list[Dimensions]:
    """The account, the function, what was named, and for an alias the version it chose."""
    # AWS: undocumented what Resource is when no qualifier was named; observed is the function's bare name.
    resource = f"{function}:{qualifier}" if qualifier else function
    by_resource = ((FUNCTION_NAME, function), ("Resource", resource))
    found: list[Dimensions] = [_ACCOUNT, ((FUNCTION_NAME, function),), by_resource]
    if qualifier and qualifier != version:
        found.append((("ExecutedVersion", version), *by_resource))
    return found


def _invoked(arn: str) -> tuple[FunctionName, str | None]:
    """Take an invoked ARN apart: `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`."""
    name, _, qualifier = arn.split(":", 6)[6].partition(":")
    return FunctionName(name), qualifier or None


def _add(totals: FunctionTotals, tally: FunctionTotals) -> None:
    totals.invocations += tally.invocations
    totals.errors += tally.errors
    totals.throttles += tally.throttles
    totals.duration_ms.merge(tally.duration_ms)
    totals.init_ms.merge(tally.init_ms)
