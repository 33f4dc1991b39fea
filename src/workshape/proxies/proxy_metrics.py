"""RDS Proxy's metrics, out of what proxies say they have counted since they began. A core.

Gauges are told once a minute, as RDS does: a minute's Sum is then the value itself.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Flag, auto

from workshape.metrics.book import MetricBook
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Metric, Point, Unit, minute_of
from workshape.status import ProxyFigures

NAMESPACE = "AWS/RDS"
TARGET_GROUP = "default"
ROLE = "READ_WRITE"

Dimensions = tuple[tuple[str, str], ...]


class Sets(Flag):
    """The sets of dimensions that a metric is told by, numbered as in AWS's list."""

    PROXY = auto()
    ENDPOINT = auto()
    TARGET = auto()
    ROLE = auto()


_CLIENTS = Sets.PROXY | Sets.ENDPOINT
_DATABASE = Sets.PROXY | Sets.TARGET | Sets.ROLE

GAUGES: Mapping[str, Sets] = {
    "ClientConnections": _CLIENTS,
    "ClientConnectionsTLS": _CLIENTS,
    "ClientConnectionsNoTLS": _CLIENTS,
    "DatabaseConnections": _DATABASE,
    "DatabaseConnectionsWithTLS": _DATABASE,
    "DatabaseConnectionsCurrentlyBorrowed": _DATABASE,
    "DatabaseConnectionsCurrentlyInTransaction": _DATABASE,
    "DatabaseConnectionsCurrentlySessionPinned": _DATABASE,
    "MaxDatabaseConnectionsAllowed": _DATABASE,
}
COUNTERS: Mapping[str, Sets] = {
    "ClientConnectionsReceived": _CLIENTS,
    "ClientConnectionsSetupSucceeded": _CLIENTS,
    "ClientConnectionsSetupFailedAuth": _CLIENTS,
    "ClientConnectionsClosed": _CLIENTS,
    "DatabaseConnectionRequests": _DATABASE,
    "DatabaseConnectionRequestsWithTLS": _DATABASE,
    "DatabaseConnectionsSetupSucceeded": _DATABASE,
    "DatabaseConnectionsSetupFailed": _DATABASE,
    "QueryRequests": _CLIENTS,
    "QueryRequestsTLS": _CLIENTS,
    "QueryRequestsNoTLS": _CLIENTS,
}
LATENCIES: Mapping[str, Sets] = {
    "DatabaseConnectionsBorrowLatency": _CLIENTS,
    "QueryDatabaseResponseLatency": _CLIENTS | Sets.TARGET | Sets.ROLE,
    "QueryResponseLatency": _CLIENTS,
}
"""In microseconds."""
AVAILABILITY = "AvailabilityPercentage"


@dataclass(frozen=True, slots=True)
class Measured:
    """Whose figures these are."""

    proxy: str
    target: str
    """The database's identifier; empty while there is none."""
    endpoint: str = ""
    """Whose clients' figures these are; empty: those of all endpoints."""

    def dimensions(self, sets: Sets) -> Iterator[Dimensions]:
        """Write the sets that apply, each sorted by name."""
        proxy = ("ProxyName", self.proxy)
        if self.endpoint:
            if Sets.ENDPOINT in sets:
                yield (("EndpointName", self.endpoint), proxy)
            return
        if Sets.PROXY in sets:
            yield (proxy,)
        if self.target and Sets.TARGET in sets:
            # AWS: undocumented how a target is named here; we chose its identifier.
            yield (proxy, ("Target", self.target), ("TargetGroup", TARGET_GROUP))
        if self.target and Sets.ROLE in sets:
            yield (proxy, ("TargetGroup", TARGET_GROUP), ("TargetRole", ROLE))


@dataclass(slots=True)
class _Seen:
    began: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    latencies: Mapping[str, Distribution] = field(default_factory=dict)
    gauges_told: int = -1
    """The last minute whose gauges were told."""
    minute: int = -1
    """The minute that `checks` are of."""
    checks: list[bool] = field(default_factory=list)


class ProxyMetrics:
    """Turns figures into points, until it is asked for them. Who is not `kept` any more is forgotten."""

    def __init__(self) -> None:
        self._book = MetricBook()
        self._seen: dict[Measured, _Seen] = {}

    def __repr__(self) -> str:
        return f"<ProxyMetrics seen={len(self._seen)}>"

    def observe(self, measured: Measured, figures: ProxyFigures, at: float) -> None:
        """Take what a proxy has counted up to a Unix time; what one before it has counted is no part of it."""
        self._observe(measured, figures, at)
        # Latencies are not told apart by endpoints; where there is one, they are its.
        latencies = figures.latencies_us if len(figures.endpoints) == 1 else {}
        for name, values in figures.endpoints.items():
            of_endpoint = ProxyFigures(figures.began, values, latencies)
            self._observe(replace(measured, endpoint=name), of_endpoint, at)

    def _observe(self, measured: Measured, figures: ProxyFigures, at: float) -> None:
        seen = self._seen.setdefault(measured, _Seen())
        if seen.began != figures.began:
            seen.began, seen.values, seen.latencies = figures.began, {}, {}
        for name, sets in COUNTERS.items():
            grown = figures.values.get(name, 0.0) - seen.values.get(name, 0.0)
            if grown > 0:
                self._record(name, measured, sets, grown, at)
        latencies = {name: Distribution.decoded(data) for name, data in figures.latencies_us.items()}
        for name, values in latencies.items():
            new = values.since(seen.latencies[name]) if name in seen.latencies else values
            if new.count and name in LATENCIES:
                self._merge(name, measured, new, at)
        if seen.gauges_told != minute_of(at):
            seen.gauges_told = minute_of(at)
            for name, sets in GAUGES.items():
                if name in figures.values:
                    self._record(name, measured, sets, figures.values[name], at)
        seen.values, seen.latencies = figures.values, latencies

    def checked(self, measured: Measured, is_available: bool, at: float) -> None:
        """Take the outcome of a health check of the target; a minute's share of good ones is told when it is over."""
        seen = self._seen.setdefault(measured, _Seen())
        minute = minute_of(at)
        if seen.minute != minute:
            if seen.checks:
                share = 100.0 * sum(seen.checks) / len(seen.checks)
                for dimensions in measured.dimensions(Sets.ROLE):
                    metric = Metric(NAMESPACE, AVAILABILITY, dimensions, Unit.PERCENT)
                    self._book.record(metric, share, seen.minute * 60.0)
            seen.minute, seen.checks = minute, []
        seen.checks.append(is_available)

    def keep(self, measured: Collection[Measured]) -> None:
        """Forget all others' figures; endpoints go with their proxies."""
        self._seen = {one: seen for one, seen in self._seen.items() if replace(one, endpoint="") in measured}

    def take(self, _now: float) -> list[Point]:
        """Return what was gathered since the last time, and forget it."""
        return self._book.take()

    def _record(self, name: str, measured: Measured, sets: Sets, value: float, at: float) -> None:
        for dimensions in measured.dimensions(sets):
            self._book.record(Metric(NAMESPACE, name, dimensions), value, at)

    def _merge(self, name: str, measured: Measured, values: Distribution, at: float) -> None:
        for dimensions in measured.dimensions(LATENCIES[name]):
            self._book.merge(Point(Metric(NAMESPACE, name, dimensions, Unit.MICROSECONDS), minute_of(at), values))
