"""What a proxy counts, by the names RDS Proxy has for it in CloudWatch.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html
"""

from dataclasses import dataclass


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
    borrows: int = 0
    borrow_seconds: float = 0.0
    borrow_timeouts: int = 0
    cancels: int = 0
    idle_in_transaction_ended: int = 0
    pins: int = 0
    """Sessions that were pinned, each counted once."""


@dataclass(frozen=True, slots=True)
class PinShown:
    """A pinned session, for people."""

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
        latency_s = counters.borrow_seconds / counters.borrows if counters.borrows else 0.0
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
            "DatabaseConnectionsBorrowLatency": latency_s * 1e6,
            "QueryRequests": self.query_requests,
        }

    def document(self) -> dict[str, object]:
        """The figures by plain names, with every pin: for `GET /status`."""
        return {
            "client_connections": self.client_connections,
            "database_connections": self.database_connections,
            "borrowed": self.borrowed,
            "pinned": self.pinned,
            "in_transaction": self.in_transaction,
            "idle": self.idle,
            "waiting": self.waiting,
            "max": self.max_database_connections,
            "query_requests": self.query_requests,
            "borrow_timeouts": self.counters.borrow_timeouts,
            "pins": [
                {
                    "user": pin.user,
                    "database": pin.database,
                    "client": pin.client,
                    "reason": pin.reason,
                    "statement": pin.statement,
                    "age_s": round(pin.age_s, 3),
                }
                for pin in self.pins
            ],
        }
