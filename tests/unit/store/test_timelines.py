"""Values by the million, in the order of their times."""

import sqlite3
from pathlib import Path

import pytest

from workshape.errors import BackendUnavailable
from workshape.store import timelines as timelines_module
from workshape.store.timelines import LineSize, Position, Timelines

START = Position(0.0, 0)


def times(timelines: Timelines, line: str, **span: float) -> list[float]:
    until = span.get("until", 1e9)
    return [placed.position.at for placed in timelines.page(line, START, until, 100, span.get("added_since", 0.0))]


async def test_values_are_read_in_the_order_of_their_times_page_by_page(tmp_path: Path) -> None:
    timelines = Timelines(tmp_path / "t.sqlite")
    await timelines.add([("a", at, str(at).encode()) for at in (3.0, 1.0, 2.0, 2.0)], now=10.0)
    await timelines.add([("b", 1.5, b"other")], now=10.0)

    first = timelines.page("a", START, 3.0, 2)
    second = timelines.page("a", first[-1].position, 3.0, 2)
    timelines.close()

    assert [placed.value for placed in (*first, *second)] == [b"1.0", b"2.0", b"2.0"]


async def test_what_was_added_outlives_the_file_being_closed_and_is_counted(tmp_path: Path) -> None:
    timelines = Timelines(tmp_path / "t.sqlite")
    await timelines.add([("a", 1.0, b"12"), ("a", 2.0, b"345"), ("b", 1.0, b"6")], now=10.0)
    timelines.close()

    again = Timelines(tmp_path / "t.sqlite")
    sizes = {line: again.size(line) for line in (*again.lines(), "nothing")}
    again.close()

    assert sizes == {"a": LineSize(2, 5), "b": LineSize(1, 1), "nothing": LineSize(0, 0)}


async def test_what_is_too_old_is_passed_over_and_dropped_in_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines_module, "DROPPED_AT_ONCE_MAX", 2)
    timelines = Timelines(tmp_path / "t.sqlite")
    await timelines.add([("a", 1.0, b"x"), ("a", 2.0, b"x"), ("a", 3.0, b"x")], now=10.0)
    await timelines.add([("a", 4.0, b"x")], now=20.0)

    young = times(timelines, "a", added_since=15.0)
    more = [timelines.drop("a", added_before=15.0) for _ in range(2)]
    left, size = times(timelines, "a"), timelines.size("a")
    everything = [timelines.drop("a") for _ in range(1)]
    lines = timelines.lines()
    timelines.close()

    assert young == [4.0]
    assert (more, left, size) == ([True, False], [4.0], LineSize(1, 1))
    assert (everything, lines) == ([False], [])


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "t.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(BackendUnavailable, match="a later workshape"):
        Timelines(tmp_path / "t.sqlite")
