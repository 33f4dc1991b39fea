"""Proxies' figures as Prometheus scrapes them; docs/observability.md has the names. A core."""

from collections.abc import Iterable, Sequence

from workshape.metrics.distribution import Distribution
from workshape.metrics.exposition import Family, Labels, counter, gauge, histogram
from workshape.status import ProxyFigures

PREFIX = "workshape_proxy"
LATENCY_BOUNDS_S = (0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 120.0, 300.0)
"""From what a connection that is free takes to the longest borrow timeout."""
_GAUGES = {
    "ClientConnections": ("client_connections", "Clients connected."),
    "ClientConnectionsTLS": ("client_connections_tls", "Those with TLS."),
    "DatabaseConnections": ("database_connections", "Connections to the database."),
    "DatabaseConnectionsWithTLS": ("database_connections_tls", "Those with TLS."),
    "MaxDatabaseConnectionsAllowed": ("database_connections_max", "Connections to the database, at most."),
    "DatabaseConnectionsCurrentlyBorrowed": ("borrowed_connections", "Connections lent to a client."),
    "DatabaseConnectionsCurrentlySessionPinned": ("pinned_connections", "Connections that a session keeps."),
    "DatabaseConnectionsCurrentlyInTransaction": ("in_transaction_connections", "Connections in a transaction."),
}
_COUNTERS = {
    "ClientConnectionsReceived": ("clients_received_total", "Clients that came."),
    "ClientConnectionsSetupSucceeded": ("clients_accepted_total", "Clients that logged in."),
    "ClientConnectionsSetupFailedAuth": ("clients_refused_total", "Clients whose login was refused."),
    "ClientConnectionsClosed": ("clients_closed_total", "Clients that left."),
    "DatabaseConnectionRequests": ("connects_total", "Connections to the database that were begun."),
    "DatabaseConnectionsSetupSucceeded": ("connects_succeeded_total", "Connections to the database that were made."),
    "DatabaseConnectionsSetupFailed": ("connects_failed_total", "Connections to the database that failed."),
    "QueryRequests": ("queries_total", "Queries."),
}
_LATENCIES = {
    "DatabaseConnectionsBorrowLatency": ("borrow_seconds", "How long clients waited for a database connection."),
    "QueryDatabaseResponseLatency": ("database_response_seconds", "How long the database took to answer."),
    "QueryResponseLatency": ("response_seconds", "How long clients waited for their answers."),
}


def proxy_families(proxies: Iterable[tuple[Labels, ProxyFigures]]) -> Sequence[Family]:
    """Name the figures of proxies, each with its labels."""
    everything = list(proxies)
    families: list[Family] = []
    for make, names in ((gauge, _GAUGES), (counter, _COUNTERS)):
        for figure, (name, text) in names.items():
            values = [(labels, one.values[figure]) for labels, one in everything if figure in one.values]
            families.append(make(f"{PREFIX}_{name}", text, values))
    for figure, (name, text) in _LATENCIES.items():
        spreads = [
            (labels, Distribution.decoded(one.latencies_us[figure]))
            for labels, one in everything
            if figure in one.latencies_us
        ]
        families.append(histogram(f"{PREFIX}_{name}", text, spreads, LATENCY_BOUNDS_S, per_second=1_000_000))
    return families
