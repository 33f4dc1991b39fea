"""Timelines: values in the order of their times, added by the million and read page by page; in one SQLite file.

`documents.py` keeps what is held in memory anyway; this is for what stays on the disk until it is asked for.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from workshape.errors import BackendUnavailable
from workshape.later import Later
from workshape.store.database import open_database
from workshape.store.flusher import Flusher

SCHEMA_VERSION = 1
DROPPED_AT_ONCE_MAX = 1_000
"""A few milliseconds: between such steps everyone else has their turn."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS placed (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    line TEXT NOT NULL, at REAL NOT NULL, added_at REAL NOT NULL, value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS placed_at ON placed (line, at, number);
CREATE INDEX IF NOT EXISTS placed_added_at ON placed (line, added_at);
CREATE TABLE IF NOT EXISTS lines (line TEXT PRIMARY KEY, count INTEGER NOT NULL, size_bytes INTEGER NOT NULL);
"""


class Position(NamedTuple):
    """Where a value is on its line: by its time, and among those of one time by when it came."""

    at: float
    """Unix time."""
    number: int


class Placed(NamedTuple):
    """A value and where it is."""

    position: Position
    value: bytes


class LineSize(NamedTuple):
    """What is on a line."""

    values: int
    size_bytes: int


class Timelines:
    """One open file. Used from one thread; calls block for microseconds, or as long as a page takes to read."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            BackendUnavailable: not a SQLite file, locked by another process, or written by a later version.
        """
        self._path = path
        self._flusher = Flusher(path.with_name(f"{path.name}-wal"))
        self._connection = open_database(path, backend="the timelines", version=SCHEMA_VERSION, schema=_SCHEMA)
        self._connection.execute("PRAGMA synchronous=NORMAL")  # who adds waits for the disk

    def __repr__(self) -> str:
        return f"<Timelines {self._path}>"

    def add(self, values: Iterable[tuple[str, float, bytes]], now: float) -> Later[None]:
        """Place values (line, time, value); the result is there when they are on disk.

        Raises:
            BackendUnavailable: the disk refuses; none is placed.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                for line, at, value in values:
                    self._connection.execute(
                        "INSERT INTO placed (line, at, added_at, value) VALUES (?, ?, ?, ?)", (line, at, now, value)
                    )
                    self._connection.execute(
                        "INSERT INTO lines VALUES (?, 1, ?) ON CONFLICT (line) DO UPDATE "
                        "SET count = count + 1, size_bytes = size_bytes + excluded.size_bytes",
                        (line, len(value)),
                    )
        except sqlite3.Error as error:
            raise BackendUnavailable(backend="the timelines", address=str(self._path), reason=str(error)) from error
        return self._flusher.flushed()

    def page(self, line: str, after: Position, until: float, count_max: int, added_since: float = 0.0) -> list[Placed]:
        """Read what comes after a position, before the time `until`: so many values at most, in their order.

        What was added before `added_since` is passed over.
        """
        rows = self._connection.execute(
            "SELECT at, number, value FROM placed WHERE line = ? AND (at, number) > (?, ?) AND at < ? "
            "AND added_at >= ? ORDER BY at, number LIMIT ?",
            (line, after.at, after.number, until, added_since, count_max),
        )
        return [Placed(Position(at, number), bytes(value)) for at, number, value in rows]

    def size(self, line: str) -> LineSize:
        """Count what is on a line."""
        row = self._connection.execute("SELECT count, size_bytes FROM lines WHERE line = ?", (line,)).fetchone()
        return LineSize(*row) if row is not None else LineSize(0, 0)

    def lines(self) -> list[str]:
        """Name the lines that there is anything on."""
        return [str(line) for (line,) in self._connection.execute("SELECT line FROM lines ORDER BY line")]

    def drop(self, line: str, added_before: float = float("inf")) -> bool:
        """Drop some of what was added before a time; tell whether there may be more of it."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            dropped = self._connection.execute(
                "DELETE FROM placed WHERE number IN (SELECT number FROM placed WHERE line = ? AND added_at < ? "
                "ORDER BY added_at LIMIT ?) RETURNING length(value)",
                (line, added_before, DROPPED_AT_ONCE_MAX),
            ).fetchall()
            self._connection.execute(
                "UPDATE lines SET count = count - ?, size_bytes = size_bytes - ? WHERE line = ?",
                (len(dropped), sum(length for (length,) in dropped), line),
            )
            self._connection.execute("DELETE FROM lines WHERE line = ? AND count = 0", (line,))
        return len(dropped) == DROPPED_AT_ONCE_MAX

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._flusher.close()
        self._connection.close()
