"""Which of a database's servers gets a client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.hosted import AVAILABLE, REGISTERING, ServerState, TargetRole, TargetState, health_of_database
from workshape.pgproxy.target_choice import Standing, choose, fits, roles

STANDINGS = st.builds(
    Standing, takes_writes=st.sampled_from([None, True, False]), is_failing=st.booleans(), borrowed=st.integers(0, 9)
)


@given(st.lists(STANDINGS, max_size=5), st.booleans())
def test_nobody_is_sent_to_a_server_that_fails_or_is_known_for_another_role_and_nobody_waits_in_vain(
    standings: list[Standing], writes: bool
) -> None:
    chosen = choose(standings, writes=writes)

    if chosen is None:
        assert not any(fits(standing, writes=writes) for standing in standings)
    else:
        assert not standings[chosen].is_failing
        assert standings[chosen].takes_writes in (None, writes)


@given(st.lists(STANDINGS, min_size=1, max_size=5))
def test_who_reads_goes_to_the_reader_with_the_fewest_connections_in_use(standings: list[Standing]) -> None:
    readers = [one for one in standings if one.takes_writes is False and not one.is_failing]

    chosen = choose(standings, writes=False)

    if readers and chosen is not None:
        assert standings[chosen].borrowed <= min(one.borrowed for one in readers)


@pytest.mark.parametrize(
    ("standings", "writes", "expected"),
    [
        ([Standing(None, False, 9), Standing(None, False, 0)], True, 0),
        ([Standing(None, False, 0), Standing(None, False, 9)], False, 1),
        ([Standing(True, True, 0), Standing(False, False, 0)], True, None),
        ([Standing(True, True, 0), Standing(True, False, 0)], True, 1),
        ([Standing(True, False, 0), Standing(False, True, 0)], False, None),
        ([Standing(False, False, 0), Standing(None, False, 5)], True, 1),
        ([], True, None),
    ],
    ids=[
        "unknown servers: the configured writer writes",
        "unknown servers: the configured reader reads",
        "the writer fails: wait for another",
        "the writer failed over",
        "the reader fails: never the writer",
        "the configured writer only reads now",
        "no servers",
    ],
)
def test_roles_are_what_servers_say_and_what_is_configured_where_they_have_not_been_asked(
    standings: list[Standing], writes: bool, expected: int | None
) -> None:
    assert choose(standings, writes=writes) == expected


AWAY = TargetState("UNAVAILABLE", "UNREACHABLE", "It does not answer.")
WRITER, READER = ServerState(AVAILABLE, TargetRole.READ_WRITE), ServerState(AVAILABLE, TargetRole.READ_ONLY)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(True, True), (False, True), (None, False)], ["READ_WRITE", "READ_ONLY", "UNKNOWN"]),
        ([(True, False), (False, True)], ["READ_WRITE", "READ_ONLY"]),
        ([(True, False), (True, True)], ["UNKNOWN", "READ_WRITE"]),
        ([(False, True), (True, True), (False, False)], ["READ_ONLY", "READ_WRITE", "READ_ONLY"]),
    ],
    ids=["as they say", "the writer is away", "another writes by now", "after a fail-over"],
)
def test_a_servers_role_is_what_it_said_last_unless_another_writes_instead(
    found: list[tuple[bool | None, bool]], expected: list[str]
) -> None:
    assert [role.value for role in roles(found)] == expected


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([ServerState(AVAILABLE, TargetRole.READ_ONLY)], ("AVAILABLE", "")),
        ([ServerState(AWAY, TargetRole.READ_WRITE)], ("UNAVAILABLE", "UNREACHABLE")),
        ([WRITER, ServerState(AWAY, TargetRole.READ_ONLY)], ("AVAILABLE", "")),
        ([ServerState(AWAY, TargetRole.READ_WRITE), READER], ("UNAVAILABLE", "UNREACHABLE")),
        ([READER, ServerState(AWAY, TargetRole.READ_ONLY)], ("UNAVAILABLE", "INVALID_REPLICATION_STATE")),
        ([ServerState(REGISTERING), ServerState(REGISTERING)], ("REGISTERING", "")),
    ],
    ids=["alone", "alone, away", "a reader is away", "the writer is away", "nobody writes", "not checked yet"],
)
def test_a_database_is_available_while_one_of_its_servers_takes_writes(
    servers: list[ServerState], expected: tuple[str, str]
) -> None:
    told = health_of_database(servers)

    assert (told.state, told.reason) == expected
