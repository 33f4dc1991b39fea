"""Durable documents: bytes by kind and key, in one SQLite file. For what changes rarely and must never be lost.

Messages do not go through here (`queues/journal.py` writes those), nor do invocation records.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workshape.later import Later
from workshape.store.database import open_database
from workshape.store.flusher import Flusher

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents
(kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""


class Documents:
    """One open file. Calls block for a disk write (about a millisecond); each is a transaction of its own.

    Used from one thread. `put` and `delete` have reached the disk when they return (`synchronous=FULL`).
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            BackendUnavailable: not a SQLite file, locked by another process, or written by a later version.
        """
        self._path = path
        self._flusher = Flusher(path.with_name(f"{path.name}-wal"))
        """SQLite's log of what is committed: on disk, so is that. Source: https://www.sqlite.org/wal.html"""
        self._connection = open_database(path, backend="the store", version=SCHEMA_VERSION, schema=_SCHEMA)
        self._connection.execute("PRAGMA synchronous=FULL")

    def __repr__(self) -> str:
        return f"<Documents {self._path}>"

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Write a document, replacing what was there."""
        self._connection.execute(
            "INSERT INTO documents (kind, key, value) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value",
            (kind, key, value),
        )

    def write(self, kind: str, key: str, value: bytes) -> None:
        """Write a document in some microseconds: it outlives this process at once, a power cut after `durable`."""
        with self._unsynced():
            self.put(kind, key, value)

    def write_all(self, documents: Iterable[tuple[str, str, bytes]]) -> None:
        """Write documents (kind, key, value), all of them or none, as `write` writes one."""
        with self._unsynced():
            self.change(documents)

    def erase(self, kind: str, key: str) -> None:
        """Remove a document in some microseconds: for good as `write` writes."""
        with self._unsynced():
            self.delete(kind, key)

    def durable(self) -> Later[None]:
        """Say when all that was written and erased is on disk; those who wait at once share the disk's write.

        It fails with BackendUnavailable when the disk refuses.
        """
        return self._flusher.flushed()

    def change(self, kept: Iterable[tuple[str, str, bytes]] = (), deleted: Iterable[tuple[str, str]] = ()) -> None:
        """Write documents (kind, key, value) and remove others (kind, key), all of it or none, in one transaction."""
        with self._transaction():
            for kind, key, value in kept:
                self.put(kind, key, value)
            for kind, key in deleted:
                self.delete(kind, key)

    def delete(self, kind: str, key: str) -> bool:
        """Remove a document; tell whether it was there."""
        return self._connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key)).rowcount > 0

    def find(self, kind: str, key: str) -> bytes | None:
        """Read one document; None: it is not there."""
        found = self._connection.execute(
            "SELECT value FROM documents WHERE kind = ? AND key = ?", (kind, key)
        ).fetchone()
        return None if found is None else bytes(found[0])

    def all(self, kind: str) -> list[tuple[str, bytes]]:
        """Every document of a kind as (key, value), by key."""
        rows = self._connection.execute("SELECT key, value FROM documents WHERE kind = ? ORDER BY key", (kind,))
        return [(str(key), bytes(value)) for key, value in rows]

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._flusher.close()
        self._connection.close()

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        """Let transactions commit without waiting for the disk.

        Source: https://www.sqlite.org/pragma.html#pragma_synchronous (NORMAL, in WAL mode)
        """
        self._connection.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
