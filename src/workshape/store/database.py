"""SQLite files of ours, opened: with a log of what is committed beside them, and a version that is checked."""

import sqlite3
from pathlib import Path

from workshape.errors import BackendUnavailable


def open_database(path: Path, *, backend: str, version: int, schema: str) -> sqlite3.Connection:
    """Open or create a file; `schema` is run each time. Its connection commits by itself, and belongs to one thread.

    Source: https://www.sqlite.org/wal.html

    Raises:
        BackendUnavailable: not a SQLite file, locked by another process, or written by a later version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > version:
            reason = f"written by a later workshape (schema {found}, this one knows {version})"
            raise BackendUnavailable(backend=backend, address=str(path), reason=reason)
        connection.executescript(f"{schema} PRAGMA user_version = {version};")
    except (sqlite3.Error, OSError) as error:
        raise BackendUnavailable(backend=backend, address=str(path), reason=str(error)) from error
    return connection
