"""Whose a database connection is, and which are to end."""

import pytest

from workshape.backends import WATCH, Backend, Selection, choose, count_by_owner, holders
from workshape.status import ConnectionHolder, HolderKind

BACKENDS = [
    Backend(1, "search", True),
    Backend(2, "search", False),
    Backend(3, "events", True),
    Backend(4, "search", True),  # the proxy shows the name of the client it lent it to
    Backend(5, WATCH, False),
    Backend(6, "psql", True),
    Backend(7, "", True),
]
FUNCTIONS = ["search", "events"]
PROXY = [4]


@pytest.mark.parametrize(
    ("selection", "pids"),
    [
        (Selection(), [1, 2, 3]),
        (Selection(idle_only=True), [1, 3]),
        (Selection(function="search"), [1, 2]),
        (Selection(function="search", idle_only=True), [1]),
        (Selection(everybody=True), [1, 2, 3, 4, 6, 7]),
        (Selection(everybody=True, idle_only=True), [1, 3, 4, 6, 7]),
        (Selection(function="psql"), [6]),
    ],
)
def test_what_is_asked_for_is_chosen_and_never_the_watch(selection: Selection, pids: list[int]) -> None:
    assert [backend.pid for backend in choose(BACKENDS, selection, FUNCTIONS, PROXY)] == pids


def test_connections_are_counted_by_who_has_them_most_first() -> None:
    assert count_by_owner(BACKENDS, PROXY) == {
        "search": 2,
        "events": 1,
        "the proxy": 1,
        "the platform's watch": 1,
        "psql": 1,
        "somebody without an application name": 1,
    }


def test_a_function_whose_name_postgresql_cuts_is_known_all_the_same() -> None:
    name = "f" * 64

    assert choose([Backend(1, name[:63], True)], Selection(), [name], []) == [Backend(1, name[:63], True)]
    assert choose([Backend(1, name[:63], True)], Selection(function=name), [name], []) != []


def test_who_has_connections_is_told_with_what_kind_they_are_and_how_many_are_idle() -> None:
    long = Backend(8, "f" * 63, False)

    found = {holder.name: holder for holder in holders([*BACKENDS, long], [*FUNCTIONS, "f" * 64], PROXY)}

    assert found["search"] == ConnectionHolder("search", HolderKind.FUNCTION, 2, 1)
    assert found["the proxy"] == ConnectionHolder("the proxy", HolderKind.PROXY, 1, 1)
    assert found["the platform's watch"].kind is HolderKind.PLATFORM
    assert found["psql"] == ConnectionHolder("psql", HolderKind.OTHER, 1, 1)
    assert found["f" * 63].kind is HolderKind.FUNCTION, "PostgreSQL cuts names"
