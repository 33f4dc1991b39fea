"""What is said to be on fire, by figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.alarms import Alarm, Severity, alarms
from workshape.status import (
    ConnectionHolder,
    DatabaseStatus,
    EngineStatus,
    FunctionStatus,
    HolderKind,
    HostedProxyStatus,
    MappingStatus,
    MinuteStatus,
    ProxyPool,
    ProxyStatus,
    QueueStatus,
)

SEARCH = ConnectionHolder("search", HolderKind.FUNCTION, 20, 18)
PROXY = ConnectionHolder("the proxy", HolderKind.PROXY, 4, 4)


def database(connections: int, refused: int | None = 0, *holders: ConnectionHolder) -> DatabaseStatus:
    return DatabaseStatus("shop", connections, 30, 3, holders, refused)


def function(minute: MinuteStatus | None = None, **more: object) -> FunctionStatus:
    fields = {"concurrency": 1, "limit": 900, "last_minute": minute or MinuteStatus(), **more}
    return FunctionStatus("search", "python3.12", 256, 10, **fields)  # type: ignore[arg-type]  # each test gives its own


def of(engine: EngineStatus, proxy: ProxyStatus | None = None) -> list[Alarm]:
    return alarms(engine, proxy)


def proxy_with(*pools: ProxyPool) -> ProxyStatus:
    return ProxyStatus(0, 0, 0, 0, 0, 0, 0, 27, 0, 0, {}, pools, (), ())


def test_a_calm_engine_has_no_alarms() -> None:
    calm = EngineStatus(
        database=database(3, 0, PROXY),
        functions=(function(MinuteStatus(100, 1, 0, 3, 5.0, 9.0)),),
        queues=(QueueStatus("work", 2, 1, 0, 4.0), QueueStatus("dead", 0, 0, 0, None, ("work",))),
        mappings=(MappingStatus("1", "work", "search", "Enabled", 10, "OK"),),
    )
    busy = ProxyPool("shop", "app", 40, 5, 20, 0, 0, 0, 0.2)

    assert of(calm, proxy_with(busy)) == []


def test_a_proxy_that_does_not_reach_its_database_says_why() -> None:
    well = HostedProxyStatus("well", {}, "available", "AVAILABLE")
    new = HostedProxyStatus("new", {}, "creating", "REGISTERING", "not yet")
    ill = HostedProxyStatus("ill", {}, "available", "UNAVAILABLE", "the password is another one")

    (alarm,) = of(EngineStatus(proxies=(well, new, ill)))

    assert alarm.severity is Severity.FIRE
    assert (alarm.subject, alarm.what) == ("proxy ill", "ill does not serve as it should: the password is another one")


def test_a_full_database_names_who_holds_it_and_what_helps() -> None:
    (alarm,) = of(EngineStatus(database=database(27, 41, SEARCH, PROXY)))

    assert alarm.severity is Severity.FIRE
    assert alarm.what == (
        "27 of 27 connections are taken, and 41 were refused in the last minute; search has 20, 18 of them idle."
    )
    assert alarm.remedy == 'throttle search, then end its connections; for good, give it database = "proxy"'
    assert (alarm.function, alarm.connections) == ("search", True)


@pytest.mark.parametrize(
    ("connections", "refused", "severity"),
    [(20, 0, None), (21, None, Severity.WARNING), (25, 0, Severity.FIRE), (5, 1, Severity.FIRE)],
)
def test_a_database_is_on_fire_when_it_refuses_or_is_nearly_full(
    connections: int, refused: int | None, severity: Severity | None
) -> None:
    found = of(EngineStatus(database=database(connections, refused)))

    assert [alarm.severity for alarm in found] == ([] if severity is None else [severity])


def test_a_database_that_is_not_seen_is_told() -> None:
    (alarm,) = of(EngineStatus(database=DatabaseStatus("shop", unknown="the watch cannot connect to it")))

    assert alarm.what.endswith("the watch cannot connect to it")


@pytest.mark.parametrize(
    ("status", "severity", "words"),
    [
        (function(MinuteStatus(throttles=7), reserved_concurrency=0, limit=0), Severity.WARNING, "is switched off"),
        (function(MinuteStatus(throttles=7), reserved_concurrency=5, limit=5), Severity.WARNING, "its limit is 5"),
        (function(MinuteStatus(throttles=7)), Severity.FIRE, "all without a limit share 900"),
        (function(MinuteStatus(10, 5, p50_ms=1.0, p99_ms=1.0)), Severity.FIRE, "5 of 10 invocations of search failed"),
        (function(MinuteStatus(100, 5, p50_ms=1.0, p99_ms=1.0)), Severity.WARNING, "(5%)"),
        (function(MinuteStatus(1, 0, p50_ms=1.0, p99_ms=9_500.0)), Severity.WARNING, "its timeout is 10 s"),
    ],
)
def test_a_function_in_trouble_is_told_and_a_limit_offered(
    status: FunctionStatus, severity: Severity, words: str
) -> None:
    (alarm,) = of(EngineStatus(functions=(status,)))

    assert (alarm.severity, alarm.function) == (severity, "search")
    assert words in alarm.what


def test_dead_letters_old_messages_and_undelivered_ones_are_told() -> None:
    engine = EngineStatus(
        queues=(QueueStatus("work", 5, 0, 0, 600.0), QueueStatus("dead", 1, 0, 0, 9.0, ("work",))),
        mappings=(MappingStatus("1", "work", "search", "Enabled", 10, "PROBLEM: Function call failed"),),
        deliveries_pending={"subscription": 3},
    )

    said = [alarm.what for alarm in of(engine)]

    assert said == [
        "5 messages wait in work, the oldest for 10 min.",
        "dead holds 1 message that could not be processed, of work.",
        "What polls work for search says: PROBLEM: Function call failed",
        "3 deliveries (subscription) wait for a destination that did not take them.",
    ]


def test_clients_that_wait_at_the_proxy_are_told_with_what_is_pinned() -> None:
    pool = ProxyPool("shop", "app", 40, 12, 20, 0, 0, 2, 4.21)

    (alarm,) = of(EngineStatus(), proxy_with(pool))

    assert alarm.severity is Severity.FIRE
    assert alarm.what == ("12 clients wait for a connection to shop, the longest for 4.2 s; 20 are lent, 2 pinned.")


def test_a_proxy_that_does_not_answer_is_told_first() -> None:
    found = alarms(EngineStatus(database=database(27, 5)), None, "the proxy does not answer")

    assert [alarm.subject for alarm in found] == ["proxy", "database"]


@given(
    st.integers(0, 40),
    st.one_of(st.none(), st.integers(0, 5)),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_fires_come_before_warnings_and_every_alarm_says_what_helps(
    connections: int, refused: int | None, errors: int, throttles: int, dead: int
) -> None:
    engine = EngineStatus(
        database=database(connections, refused, SEARCH),
        functions=(function(MinuteStatus(5, errors, throttles, 0, 1.0, 1.0)), function(reserved_concurrency=0)),
        queues=(QueueStatus("dead", dead, 0, 0, None, ("work",)),),
    )

    found = of(engine)

    severities = [alarm.severity for alarm in found]
    assert severities == sorted(severities, key=lambda severity: severity is Severity.WARNING)
    assert all(alarm.what and alarm.remedy and alarm.subject for alarm in found)
