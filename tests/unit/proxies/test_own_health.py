"""The app's own proxy: well as long as it has connections, or has not failed to get one."""

from workshape.proxies.own_health import OwnHealth
from workshape.status import ProxyFigures


def figures(connections: int, failed: int) -> ProxyFigures:
    return ProxyFigures("x", {"DatabaseConnections": connections, "DatabaseConnectionsSetupFailed": failed}, {})


def test_it_is_well_until_an_attempt_fails_and_again_once_there_is_a_connection() -> None:
    health = OwnHealth()

    seen = [health.state(figures(*step)).state for step in ((0, 0), (2, 0), (0, 0), (0, 3), (0, 3), (1, 3), (0, 3))]

    assert seen == ["AVAILABLE"] * 3 + ["UNAVAILABLE"] * 2 + ["AVAILABLE"] * 2


def test_failures_beside_connections_that_stand_are_no_end() -> None:
    health = OwnHealth()

    assert health.state(figures(5, 2)).is_available


def test_a_proxy_that_was_started_again_counts_from_nothing() -> None:
    health = OwnHealth()
    health.state(figures(1, 9))

    assert health.state(figures(0, 0)).is_available
    assert not health.state(figures(0, 1)).is_available
