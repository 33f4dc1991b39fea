"""SQLite files of ours, opened: with a log of what is committed beside them, and a version that is checked.

Only their owner may read them: they hold secrets, keys, and the variables of functions.
"""

import os
import sqlite3
from contextlib import suppress
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
        _make_private(path)
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


def _make_private(path: Path) -> None:
    """SQLite gives the files beside a database the permissions that it has; those of an earlier version get them here.

    Source: https://www.sqlite.org/src/file?name=src/os_unix.c (findCreateFileMode)
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for file in (path, *(path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))):
        with suppress(FileNotFoundError, PermissionError):  # another user's file is that user's to open or close
            file.chmod(0o600)
