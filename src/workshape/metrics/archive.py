"""Metrics on disk: one row a metric and minute, in a SQLite file of bounded size.

Written behind and without waiting for the disk: a crash costs the seconds since the last write, a power cut some more.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from workshape.errors import BackendUnavailable
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import MINUTE_S, Metric, Point, Unit

MIB = 1024 * 1024
DAY_MINUTES = 24 * 60
KEPT_MINUTES = 15 * DAY_MINUTES
"""As CloudWatch keeps minutes.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
"""
FILE_BYTES_MAX = 512 * MIB  # about three million rows; when they are more, the oldest days go early
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS metrics (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions BLOB NOT NULL, unit TEXT NOT NULL,
    last_minute INTEGER NOT NULL, UNIQUE (namespace, name, dimensions)
);
CREATE TABLE IF NOT EXISTS points (
    metric INTEGER NOT NULL, minute INTEGER NOT NULL, distribution BLOB NOT NULL, PRIMARY KEY (metric, minute)
) WITHOUT ROWID;
"""


class MetricArchive:
    """One open file. Used from one thread; calls block for about a millisecond."""

    def __init__(self, path: Path, *, file_bytes_max: int = FILE_BYTES_MAX) -> None:
        """Open or create the file.

        Raises:
            BackendUnavailable: not a SQLite file, or written by a later version.
        """
        self._path = path
        self._file_bytes_max = file_bytes_max
        self._ids: dict[Metric, int] = {}
        self._last_minutes: dict[int, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise BackendUnavailable(backend="the metrics", address=str(path), reason=str(error)) from error

    def __repr__(self) -> str:
        return f"<MetricArchive {self._path} metrics={len(self._ids)}>"

    def add(self, points: Iterable[Point]) -> None:
        """Add points to what is there of their minutes.

        Raises:
            sqlite3.Error: the disk is full, or the file is gone; nothing of the points is kept then.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                for point in points:
                    self._add(point)
        except sqlite3.Error:
            self._forget()  # what was rolled back
            raise

    def read(self, metric: Metric, begin: int, end: int) -> list[Point]:
        """The metric's points from minute `begin` until before `end`, oldest first, in the unit it was recorded in."""
        rows = self._connection.execute(
            "SELECT minute, unit, distribution FROM points JOIN metrics ON metrics.id = points.metric "
            "WHERE namespace = ? AND name = ? AND dimensions = ? AND minute >= ? AND minute < ? ORDER BY minute",
            (metric.namespace, metric.name, _encoded(metric), begin, end),
        )
        kept: dict[str, Metric] = {unit: replace(metric, unit=Unit(unit)) for unit in Unit}
        return [Point(kept[unit], minute, Distribution.decoded(data)) for minute, unit, data in rows]

    def metrics(self, active_since: int = 0) -> list[Metric]:
        """Every metric with a point in or after a minute, by namespace, name and dimensions."""
        rows = self._connection.execute(
            "SELECT namespace, name, dimensions, unit FROM metrics WHERE last_minute >= ? "
            "ORDER BY namespace, name, dimensions",
            (active_since,),
        )
        return [Metric(namespace, name, _decoded(data), Unit(unit)) for namespace, name, data, unit in rows]

    def prune(self, now: float) -> None:
        """Drop what is older than `KEPT_MINUTES`, and the oldest days when the file is too large for all of them."""
        present = int(now // MINUTE_S)
        kept = KEPT_MINUTES
        self._drop_before(present - kept)
        while self._used_bytes() > self._file_bytes_max and kept > 0:
            kept -= DAY_MINUTES
            self._drop_before(present - kept)

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._connection.close()

    def _add(self, point: Point) -> None:
        metric = self._id(point)
        key = (metric, point.minute)
        found = self._connection.execute(
            "SELECT distribution FROM points WHERE metric = ? AND minute = ?", key
        ).fetchone()
        values = point.values
        if found is not None:
            values = Distribution.decoded(found[0])
            values.merge(point.values)
        self._connection.execute("REPLACE INTO points VALUES (?, ?, ?)", (*key, values.encoded()))
        if self._last_minutes.get(metric, -1) < point.minute:
            self._last_minutes[metric] = point.minute
            self._connection.execute(
                "UPDATE metrics SET last_minute = max(last_minute, ?) WHERE id = ?", (point.minute, metric)
            )

    def _id(self, point: Point) -> int:
        metric = point.metric
        known = self._ids.get(metric)
        if known is None:
            key: Sequence[object] = (metric.namespace, metric.name, _encoded(metric))
            self._connection.execute(
                "INSERT INTO metrics (namespace, name, dimensions, unit, last_minute) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (*key, metric.unit, point.minute),
            )
            (known,) = self._connection.execute(
                "SELECT id FROM metrics WHERE namespace = ? AND name = ? AND dimensions = ?", key
            ).fetchone()
            self._ids[metric] = known
        return known

    def _drop_before(self, minute: int) -> None:
        for (metric,) in self._connection.execute("SELECT id FROM metrics").fetchall():
            self._connection.execute("DELETE FROM points WHERE metric = ? AND minute < ?", (metric, minute))
        self._connection.execute("DELETE FROM metrics WHERE last_minute < ?", (minute,))
        self._forget()

    def _forget(self) -> None:
        self._ids.clear()
        self._last_minutes.clear()

    def _used_bytes(self) -> int:
        figures = ("page_count", "freelist_count", "page_size")
        pages, free, size = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in figures)
        return int((pages - free) * size)

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            reason = f"written by a later workshape (schema {version}, this one knows {SCHEMA_VERSION})"
            raise BackendUnavailable(backend="the metrics", address=str(self._path), reason=reason)
        self._connection.executescript(_SCHEMA)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _encoded(metric: Metric) -> bytes:
    return msgspec.json.encode(metric.dimensions)


def _decoded(data: bytes) -> tuple[tuple[str, str], ...]:
    return msgspec.json.decode(data, type=tuple[tuple[str, str], ...])
