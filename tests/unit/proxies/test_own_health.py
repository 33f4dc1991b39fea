"""The app's own proxy: a server is well as long as there are connections, or getting one has not failed."""

from workshape.proxies.own_health import OwnHealth
from workshape.status import ProxyFigures, ProxyTargetFigures


def figures(connections: int, failed: int, *, is_failing: bool = False, role: str = "READ_WRITE") -> ProxyFigures:
    values: dict[str, int | float] = {
        "DatabaseConnections": connections,
        "DatabaseConnectionsSetupFailed": failed,
    }
    return ProxyFigures("x", values, {}, {}, {"main": ProxyTargetFigures(values, role, is_failing)})


def state(health: OwnHealth, told: ProxyFigures) -> str:
    return health.servers(told)["main"].health.state


def test_it_is_well_until_an_attempt_fails_and_again_once_there_is_a_connection() -> None:
    health = OwnHealth()

    seen = [state(health, figures(*step)) for step in ((0, 0), (2, 0), (0, 0), (0, 3), (0, 3), (1, 3), (0, 3))]

    assert seen == ["AVAILABLE"] * 3 + ["UNAVAILABLE"] * 2 + ["AVAILABLE"] * 2


def test_a_server_that_was_seen_to_be_back_is_well_though_nobody_has_a_connection() -> None:
    health = OwnHealth()

    seen = [state(health, figures(0, 3, is_failing=is_failing)) for is_failing in (True, True, False, False)]

    assert seen == ["UNAVAILABLE", "UNAVAILABLE", "AVAILABLE", "AVAILABLE"]


def test_failures_beside_connections_that_stand_are_no_end() -> None:
    health = OwnHealth()

    assert state(health, figures(5, 2)) == "AVAILABLE"


def test_a_proxy_that_was_started_again_counts_from_nothing() -> None:
    health = OwnHealth()
    state(health, figures(1, 9))

    assert state(health, figures(0, 0)) == "AVAILABLE"
    assert state(health, figures(0, 1)) == "UNAVAILABLE"


def test_a_servers_role_is_what_the_proxy_says() -> None:
    assert OwnHealth().servers(figures(1, 0, role="READ_ONLY"))["main"].role == "READ_ONLY"
