"""RDS Proxy's metrics, out of what proxies say they have counted since they began. A core.

Gauges are told once a minute, as RDS does: a minute's Sum is then the value itself.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto

from workshape.hosted import TargetRole
from workshape.metrics.book import MetricBook
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Metric, Point, Unit, minute_of
from workshape.status import ProxyFigures

NAMESPACE = "AWS/RDS"
TARGET_GROUP = "default"

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
    endpoint: str = ""
    """Those of one endpoint's clients, by its name."""
    target: str = ""
    """Those of the connections to one DB instance, by its identifier. Neither: those of the whole proxy."""

    def dimensions(self, sets: Sets, role: TargetRole) -> Iterator[Dimensions]:
        """Write the sets that apply, each sorted by name; `role` is the target's at the moment."""
        proxy = ("ProxyName", self.proxy)
        if self.endpoint:
            if Sets.ENDPOINT in sets:
                yield (("EndpointName", self.endpoint), proxy)
        elif self.target:
            if Sets.TARGET in sets:
                # AWS: undocumented how a target is named here; we chose its identifier.
                yield (proxy, ("Target", self.target), ("TargetGroup", TARGET_GROUP))
            if Sets.ROLE in sets and role is not TargetRole.UNKNOWN:
                yield role_dimensions(self.proxy, role)
        elif Sets.PROXY in sets:
            yield (proxy,)


def role_dimensions(proxy: str, role: TargetRole) -> Dimensions:
    """Write the set of a proxy's targets that have this role."""
    return (("ProxyName", proxy), ("TargetGroup", TARGET_GROUP), ("TargetRole", role.value))


@dataclass(frozen=True, slots=True)
class MeasuredTarget:
    """One DB instance behind a proxy."""

    identifier: str
    server: str
    """What figures call it."""
    role: TargetRole
    is_available: bool


@dataclass(slots=True)
class _Seen:
    began: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    latencies: Mapping[str, Distribution] = field(default_factory=dict)
    gauges_told: int = -1
    """The last minute whose gauges were told."""


class ProxyMetrics:
    """Turns figures into points, until it is asked for them. Who is not `kept` any more is forgotten."""

    def __init__(self) -> None:
        self._book = MetricBook()
        self._seen: dict[Measured, _Seen] = {}
        self._checks: dict[tuple[str, TargetRole], list[bool]] = {}
        """Of targets in a role, in the minute that is not over yet."""
        self._minute = -1

    def __repr__(self) -> str:
        return f"<ProxyMetrics seen={len(self._seen)}>"

    def observe(self, proxy: str, figures: ProxyFigures, targets: Sequence[MeasuredTarget], at: float) -> None:
        """Take what a proxy has counted up to a Unix time; what one before it has counted is no part of it.

        What is told by role goes to the role that a target has by then.
        """
        began = figures.began
        self._observe(Measured(proxy), figures, at)
        for name, of_clients in figures.endpoints.items():
            of_endpoint = ProxyFigures(began, of_clients.values, of_clients.latencies_us)
            self._observe(Measured(proxy, endpoint=name), of_endpoint, at)
        for target in targets:
            known = figures.targets.get(target.server)
            if known is not None:
                of_target = ProxyFigures(began, known.values, known.latencies_us)
                self._observe(Measured(proxy, target=target.identifier), of_target, at, target.role)

    def _observe(
        self, measured: Measured, figures: ProxyFigures, at: float, role: TargetRole = TargetRole.UNKNOWN
    ) -> None:
        seen = self._seen.setdefault(measured, _Seen())
        if seen.began != figures.began:
            seen.began, seen.values, seen.latencies = figures.began, {}, {}
        for name, sets in COUNTERS.items():
            grown = figures.values.get(name, 0.0) - seen.values.get(name, 0.0)
            if grown > 0:
                self._record(name, measured.dimensions(sets, role), grown, at)
        latencies = {name: Distribution.decoded(data) for name, data in figures.latencies_us.items()}
        for name, values in latencies.items():
            new = values.since(seen.latencies[name]) if name in seen.latencies else values
            if new.count and name in LATENCIES:
                self._merge(name, measured.dimensions(LATENCIES[name], role), new, at)
        if seen.gauges_told != minute_of(at):
            seen.gauges_told = minute_of(at)
            for name, sets in GAUGES.items():
                if name in figures.values:
                    self._record(name, measured.dimensions(sets, role), figures.values[name], at)
        seen.values, seen.latencies = figures.values, latencies

    def checked(self, proxy: str, targets: Sequence[MeasuredTarget], at: float) -> None:
        """Take the outcome of a health check of each target; a minute's share of good ones is told when it is over.

        Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-monitoring-dashboard.html
        (several readers: the average over all of them)
        """
        self._end_minute(minute_of(at))
        for target in targets:
            if target.role is not TargetRole.UNKNOWN:
                self._checks.setdefault((proxy, target.role), []).append(target.is_available)

    def _end_minute(self, minute: int) -> None:
        if minute == self._minute:
            return
        for (proxy, role), checks in self._checks.items():
            metric = Metric(NAMESPACE, AVAILABILITY, role_dimensions(proxy, role), Unit.PERCENT)
            self._book.record(metric, 100.0 * sum(checks) / len(checks), self._minute * 60.0)
        self._minute, self._checks = minute, {}

    def keep(self, proxies: Collection[str]) -> None:
        """Forget all others' figures."""
        self._seen = {one: seen for one, seen in self._seen.items() if one.proxy in proxies}

    def take(self, _now: float) -> list[Point]:
        """Return what was gathered since the last time, and forget it."""
        return self._book.take()

    def _record(self, name: str, sets: Iterator[Dimensions], value: float, at: float) -> None:
        for dimensions in sets:
            self._book.record(Metric(NAMESPACE, name, dimensions), value, at)

    def _merge(self, name: str, sets: Iterator[Dimensions], values: Distribution, at: float) -> None:
        for dimensions in sets:
            self._book.merge(Point(Metric(NAMESPACE, name, dimensions, Unit.MICROSECONDS), minute_of(at), values))
