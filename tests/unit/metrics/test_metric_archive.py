"""Metrics on disk: added up, found again, dropped when old or too many."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.errors import BackendUnavailable
from workshape.metrics.archive import DAY_MINUTES, KEPT_MINUTES, MetricArchive
from workshape.metrics.book import MetricBook, total
from workshape.metrics.metric import MINUTE_S, Metric, Point, Unit

INVOCATIONS = Metric("AWS/Lambda", "Invocations", (("FunctionName", "f"),))
DURATION = Metric("AWS/Lambda", "Duration", (("FunctionName", "f"),), Unit.MILLISECONDS)
AT = 1_791_442_429.0
MINUTE = int(AT // MINUTE_S)


def points(metric: Metric, *values: float, at: float = AT) -> list[Point]:
    book = MetricBook()
    for value in values:
        book.record(metric, value, at)
    return book.take()


def test_what_a_minute_gets_later_is_added_to_it(tmp_path: Path) -> None:
    archive = MetricArchive(tmp_path / "metrics.sqlite")
    archive.add(points(DURATION, 1.0, 5.0))

    archive.add(points(DURATION, 3.0) + points(DURATION, 7.0, at=AT + MINUTE_S) + points(INVOCATIONS, 1.0))

    found = archive.read(DURATION, MINUTE, MINUTE + 2)
    assert [(point.minute, point.values.count, point.values.total) for point in found] == [
        (MINUTE, 3, 9.0),
        (MINUTE + 1, 1, 7.0),
    ]
    assert archive.read(DURATION, MINUTE + 1, MINUTE + 1) == []
    assert archive.metrics() == [DURATION, INVOCATIONS]
    assert archive.metrics(active_since=MINUTE + 1) == [DURATION]
    archive.close()


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    first = MetricArchive(tmp_path / "metrics.sqlite")
    first.add(points(DURATION, 4.0))
    first.close()

    second = MetricArchive(tmp_path / "metrics.sqlite")
    second.add(points(DURATION, 6.0))

    (point,) = second.read(DURATION, MINUTE, MINUTE + 1)
    assert (point.values.count, point.values.total) == (2, 10.0)
    second.close()


def test_old_minutes_are_dropped_and_metrics_without_any(tmp_path: Path) -> None:
    archive = MetricArchive(tmp_path / "metrics.sqlite")
    archive.add(points(INVOCATIONS, 1.0) + points(DURATION, 1.0) + points(DURATION, 2.0, at=AT + DAY_MINUTES * 60))

    archive.prune(AT + (KEPT_MINUTES + 1) * MINUTE_S)

    assert [point.values.total for point in archive.read(DURATION, 0, MINUTE * 2)] == [2.0]
    assert archive.metrics() == [DURATION]
    archive.add(points(INVOCATIONS, 1.0, at=AT + DAY_MINUTES * 60))
    assert archive.metrics() == [DURATION, INVOCATIONS]
    archive.close()


def test_a_file_that_grows_too_large_loses_its_oldest_days(tmp_path: Path) -> None:
    archive = MetricArchive(tmp_path / "metrics.sqlite", file_bytes_max=200_000)
    for day in range(5):
        for minute in range(500):
            archive.add(points(DURATION, *map(float, range(1, 20)), at=AT + (day * DAY_MINUTES + minute) * MINUTE_S))

    archive.prune(AT + 5 * DAY_MINUTES * MINUTE_S)

    left = archive.read(DURATION, 0, MINUTE * 2)
    assert 0 < len(left) < 2_500
    assert left[-1].minute == MINUTE + 4 * DAY_MINUTES + 499
    archive.close()


def test_points_that_could_not_be_written_do_no_harm_to_later_ones(tmp_path: Path) -> None:
    archive = MetricArchive(tmp_path / "metrics.sqlite")
    archive.add(points(DURATION, 1.0))
    full = "PRAGMA max_page_count = 1"
    room = "PRAGMA max_page_count = 1000000"
    many = [point for number in range(2_000) for point in points(Metric("n", f"m{number}"), 1.0)]
    archive._connection.execute(full)  # as on a full disk

    with pytest.raises(sqlite3.OperationalError):
        archive.add(many + points(INVOCATIONS, 1.0))

    archive._connection.execute(room)
    archive.add(points(INVOCATIONS, 2.0))
    assert archive.metrics() == [DURATION, INVOCATIONS]
    (point,) = archive.read(INVOCATIONS, MINUTE, MINUTE + 1)
    assert point.values.total == 2.0
    archive.close()


def test_a_file_that_is_no_archive_is_refused_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sqlite"
    path.write_text("not a database, and long enough to be looked at as one" * 100)

    with pytest.raises(BackendUnavailable, match=r"metrics\.sqlite"):
        MetricArchive(path)


@given(st.lists(st.tuples(st.sampled_from([DURATION, INVOCATIONS]), st.integers(0, 9), st.integers(0, 600))))
def test_a_book_loses_and_invents_nothing(recorded: list[tuple[Metric, int, int]]) -> None:
    book = MetricBook()
    taken: list[Point] = []
    for number, (metric, value, second) in enumerate(recorded):
        book.record(metric, float(value), AT + second)
        if number % 7 == 0:
            taken += book.take()

    taken += book.take()

    assert book.take() == []
    for metric in (DURATION, INVOCATIONS):
        values = [value for other, value, _ in recorded if other == metric]
        summed = total(point for point in taken if point.metric == metric)
        assert (summed.count, summed.total) == (len(values), sum(values))
    minutes = {(metric, int((AT + second) // MINUTE_S)) for metric, _, second in recorded}
    assert {(point.metric, point.minute) for point in taken} == minutes
