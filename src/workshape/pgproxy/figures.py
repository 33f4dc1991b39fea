"""What a proxy counts, by the names RDS Proxy has for it in CloudWatch.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html
"""

from dataclasses import dataclass, field, fields

from workshape.hosted import TargetRole
from workshape.metrics.distribution import Distribution
from workshape.status import ProxyEndpointFigures, ProxyFigures, ProxyTargetFigures

MICROSECONDS = 1_000_000  # of a second


@dataclass(slots=True)
class ClientCounters:
    """What one endpoint's clients did since the proxy began."""

    received: int = 0
    accepted: int = 0
    refused_authentication: int = 0
    closed: int = 0
    queries: int = 0
    """Of clients that have left, as the next one."""
    queries_tls: int = 0


@dataclass(slots=True)
class TargetCounters:
    """What was done at one database server since the proxy began."""

    connects: int = 0
    connects_tls: int = 0
    connects_succeeded: int = 0
    connects_failed: int = 0


@dataclass(slots=True)
class Latencies:
    """How long clients waited since the proxy began: for connections, for answers."""

    lent_at_once: int = 0
    """Connections lent without a wait: the most."""
    _waits_us: Distribution = field(default_factory=Distribution)
    """Of the others."""
    _answers_us: Distribution = field(default_factory=Distribution)
    """How long the database took, where the client had its connection at once: that is what the client waited, too."""
    _late_answers_us: Distribution = field(default_factory=Distribution)
    """How long the database took, where the client had to wait for a connection first."""
    _late_responses_us: Distribution = field(default_factory=Distribution)
    """Both together, of the same."""

    def lent(self, waited_s: float) -> None:
        """A client got a connection, and has waited for it so long."""
        self._waits_us.add(waited_s * MICROSECONDS)

    def answered(self, took_s: float, waited_s: float) -> None:
        """The database has answered all that a client asked at once, and has taken so long; so long it had waited."""
        if waited_s:
            self._late_answers_us.add(took_s * MICROSECONDS)
            self._late_responses_us.add((waited_s + took_s) * MICROSECONDS)
        else:
            self._answers_us.add(took_s * MICROSECONDS)

    def add(self, other: "Latencies") -> None:
        """Count others in."""
        self.lent_at_once += other.lent_at_once
        self._waits_us.merge(other._waits_us)
        self._answers_us.merge(other._answers_us)
        self._late_answers_us.merge(other._late_answers_us)
        self._late_responses_us.merge(other._late_responses_us)

    @property
    def borrow_us(self) -> Distribution:
        """How long clients waited for the connections they got."""
        waits_us = _both(self._waits_us, Distribution())
        if self.lent_at_once:
            waits_us.add(0.0, self.lent_at_once)
        return waits_us

    @property
    def database_us(self) -> Distribution:
        """How long the database took to answer."""
        return _both(self._answers_us, self._late_answers_us)

    @property
    def response_us(self) -> Distribution:
        """How long clients waited for their answers."""
        return _both(self._answers_us, self._late_responses_us)

    def cloudwatch(self) -> dict[str, Distribution]:
        """They by RDS Proxy's names, in microseconds."""
        return {
            "DatabaseConnectionsBorrowLatency": self.borrow_us,
            "QueryDatabaseResponseLatency": self.database_us,
            "QueryResponseLatency": self.response_us,
        }

    def encoded(self) -> dict[str, bytes]:
        """Write them for whoever keeps metrics."""
        return {name: latency.encoded() for name, latency in self.cloudwatch().items()}


@dataclass(slots=True)
class Counters:
    """Since the proxy began."""

    clients: dict[str, ClientCounters] = field(default_factory=dict)
    """By the names of endpoints; what clients of one that is gone did stays."""
    targets: dict[str, TargetCounters] = field(default_factory=dict)
    """By the names of servers; what was done at one that is gone stays."""
    latencies: dict[tuple[str, str], Latencies] = field(default_factory=dict)
    """By endpoint and server."""
    borrow_timeouts: int = 0
    cancels: int = 0
    pins: int = 0
    """Sessions that were pinned, each counted once."""

    def latencies_between(self, endpoint: str, server: str) -> Latencies:
        """Those of an endpoint's clients at a server, to be counted on."""
        return self.latencies.setdefault((endpoint, server), Latencies())

    def summed_latencies(self, *, endpoint: str | None = None, server: str | None = None) -> Latencies:
        """Those of an endpoint's clients, or those at a server; of all where neither is named."""
        summed = Latencies()
        for (of_endpoint, of_server), latencies in self.latencies.items():
            if endpoint in (None, of_endpoint) and server in (None, of_server):
                summed.add(latencies)
        return summed


@dataclass(frozen=True, slots=True)
class PinShown:
    """A pinned session, for people."""

    client_id: int
    user: str
    database: str
    client: str
    reason: str
    statement: str
    age_s: float


@dataclass(slots=True)
class ClientFigures(ClientCounters):
    """Clients of one endpoint, or of all, and what they and those that have left did since the proxy began."""

    connections: int = 0
    connections_tls: int = 0

    def add(self, other: "ClientFigures") -> None:
        """Count another endpoint's in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def cloudwatch(self) -> dict[str, int | float]:
        """The figures by RDS Proxy's names."""
        return {
            "ClientConnections": self.connections,
            "ClientConnectionsTLS": self.connections_tls,
            "ClientConnectionsNoTLS": self.connections - self.connections_tls,
            "ClientConnectionsReceived": self.received,
            "ClientConnectionsSetupSucceeded": self.accepted,
            "ClientConnectionsSetupFailedAuth": self.refused_authentication,
            "ClientConnectionsClosed": self.closed,
            "QueryRequests": self.queries,
            "QueryRequestsTLS": self.queries_tls,
            "QueryRequestsNoTLS": self.queries - self.queries_tls,
        }


_NOT_COUNTED = ("connections_max", "role", "is_failing")


@dataclass(slots=True)
class TargetFigures(TargetCounters):
    """Connections to one database server, or to all, and what was done there since the proxy began."""

    connections: int = 0
    connections_tls: int = 0
    connections_max: int | None = None
    """None: the server has not been asked yet."""
    borrowed: int = 0
    pinned: int = 0
    in_transaction: int = 0
    role: TargetRole = TargetRole.UNKNOWN
    is_failing: bool = False

    def add(self, other: "TargetFigures") -> None:
        """Count another server's in."""
        limits = [one.connections_max for one in (self, other) if one.connections_max is not None]
        for each in fields(self):
            if each.name not in _NOT_COUNTED:
                setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        self.connections_max = sum(limits) if limits else None

    def cloudwatch(self) -> dict[str, int | float]:
        """The figures by RDS Proxy's names; what is not known yet is not there."""
        limit = self.connections_max
        return {
            "DatabaseConnections": self.connections,
            "DatabaseConnectionsWithTLS": self.connections_tls,
            **({} if limit is None else {"MaxDatabaseConnectionsAllowed": limit}),
            "DatabaseConnectionRequests": self.connects,
            "DatabaseConnectionRequestsWithTLS": self.connects_tls,
            "DatabaseConnectionsSetupSucceeded": self.connects_succeeded,
            "DatabaseConnectionsSetupFailed": self.connects_failed,
            "DatabaseConnectionsCurrentlyBorrowed": self.borrowed,
            "DatabaseConnectionsCurrentlySessionPinned": self.pinned,
            "DatabaseConnectionsCurrentlyInTransaction": self.in_transaction,
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures of one moment."""

    endpoints: dict[str, ClientFigures]
    """By name."""
    targets: dict[str, TargetFigures]
    """By the names of servers."""
    pinned: int
    """Sessions: one that keeps its connection for good may not have one yet."""
    waiting: int
    idle: int
    counters: Counters
    pins: tuple[PinShown, ...]
    backend_pids: tuple[int, ...]
    """The first server's process ids of the connections to it; another server's would mean other processes."""

    @property
    def clients(self) -> ClientFigures:
        """Those of all endpoints."""
        summed = ClientFigures()
        for figures in self.endpoints.values():
            summed.add(figures)
        return summed

    @property
    def client_connections(self) -> int:
        """Of all endpoints."""
        return self.clients.connections

    @property
    def databases(self) -> TargetFigures:
        """Those of all servers."""
        summed = TargetFigures()
        for figures in self.targets.values():
            summed.add(figures)
        return summed

    @property
    def database_connections(self) -> int:
        """To all servers."""
        return self.databases.connections

    def cloudwatch(self) -> dict[str, int | float]:
        """The figures by RDS Proxy's names; what is not known yet is not there. Latencies are averages."""
        return self._values(self.latencies)

    def _values(self, latencies: Latencies) -> dict[str, int | float]:
        return {
            **self.clients.cloudwatch(),
            **self.databases.cloudwatch(),
            "DatabaseConnectionsCurrentlySessionPinned": self.pinned,
            **{name: one.average() for name, one in latencies.cloudwatch().items() if one.count},
        }

    @property
    def latencies(self) -> Latencies:
        """Those of all clients."""
        return self.counters.summed_latencies()

    def figures(self, began: str) -> ProxyFigures:
        """The figures for whoever keeps metrics; `began` is what tells this proxy from one before it."""
        summed, of_all = self.counters.summed_latencies, self.latencies
        return ProxyFigures(
            began,
            self._values(of_all),
            of_all.encoded(),
            {
                name: ProxyEndpointFigures(figures.cloudwatch(), summed(endpoint=name).encoded())
                for name, figures in self.endpoints.items()
            },
            {
                name: ProxyTargetFigures(
                    figures.cloudwatch(), figures.role.value, figures.is_failing, summed(server=name).encoded()
                )
                for name, figures in self.targets.items()
            },
        )


def _both(one: Distribution, other: Distribution) -> Distribution:
    both = Distribution()
    both.merge(one)
    both.merge(other)
    return both
