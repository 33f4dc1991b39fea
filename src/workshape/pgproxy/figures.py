"""What a proxy counts, by the names RDS Proxy has for it in CloudWatch.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html
"""

from dataclasses import dataclass, field

from workshape.metrics.distribution import Distribution


@dataclass(slots=True)
class Counters:
    """Since the proxy began."""

    clients_received: int = 0
    clients_accepted: int = 0
    clients_refused_authentication: int = 0
    clients_closed: int = 0
    clients_refused: int = 0
    """For the client limit."""
    connects: int = 0
    connects_succeeded: int = 0
    connects_failed: int = 0
    queries: int = 0
    """Of clients that have left; see `Snapshot.query_requests`."""
    borrow_latency_ms: Distribution = field(default_factory=Distribution)
    """How long clients waited for the connections they got."""
    borrow_timeouts: int = 0
    cancels: int = 0
    idle_in_transaction_ended: int = 0
    pins: int = 0
    """Sessions that were pinned, each counted once."""


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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures of one moment."""

    client_connections: int
    client_connections_tls: int
    database_connections: int
    max_database_connections: int | None
    borrowed: int
    pinned: int
    in_transaction: int
    waiting: int
    idle: int
    query_requests: int
    counters: Counters
    pins: tuple[PinShown, ...]
    backend_pids: tuple[int, ...]
    """The server's process ids of the database connections."""

    def cloudwatch(self) -> dict[str, float | int | str | bool | None]:
        """The figures by RDS Proxy's names; latencies in microseconds, as there."""
        counters = self.counters
        latency_ms = counters.borrow_latency_ms.average() if counters.borrow_latency_ms.count else 0.0
        return {
            "ClientConnections": self.client_connections,
            "ClientConnectionsTLS": self.client_connections_tls,
            "ClientConnectionsNoTLS": self.client_connections - self.client_connections_tls,
            "ClientConnectionsReceived": counters.clients_received,
            "ClientConnectionsSetupSucceeded": counters.clients_accepted,
            "ClientConnectionsSetupFailedAuth": counters.clients_refused_authentication,
            "ClientConnectionsClosed": counters.clients_closed,
            "DatabaseConnections": self.database_connections,
            "MaxDatabaseConnectionsAllowed": self.max_database_connections,
            "DatabaseConnectionRequests": counters.connects,
            "DatabaseConnectionsSetupSucceeded": counters.connects_succeeded,
            "DatabaseConnectionsSetupFailed": counters.connects_failed,
            "DatabaseConnectionsCurrentlyBorrowed": self.borrowed,
            "DatabaseConnectionsCurrentlySessionPinned": self.pinned,
            "DatabaseConnectionsCurrentlyInTransaction": self.in_transaction,
            "DatabaseConnectionsBorrowLatency": latency_ms * 1e3,
            "QueryRequests": self.query_requests,
        }
