"""Documents that are written now and on disk a little later, all who wait together."""

import asyncio
import os
from pathlib import Path

import pytest

from workshape.errors import BackendUnavailable
from workshape.store import flusher as flusher_module
from workshape.store.documents import Documents
from workshape.store.flusher import Flusher


async def test_what_is_written_and_erased_is_seen_by_another_process_at_once(store: Documents, tmp_path: Path) -> None:
    store.write("k", "a", b"1")
    store.write("k", "b", b"2")
    store.erase("k", "a")
    await store.durable()

    other = Documents(tmp_path / "store.sqlite")
    found = other.all("k")
    other.close()

    assert found == [("b", b"2")]
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,), "the others wait for the disk as before"


async def test_those_who_wait_at_once_share_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = []

    def flush(descriptor: int) -> None:
        flushes.append(descriptor)
        os.fsync(descriptor)

    monkeypatch.setattr(flusher_module, "_flush", flush)
    path = tmp_path / "file"
    path.write_bytes(b"1")
    flusher = Flusher(path)

    first = flusher.flushed()
    later = [flusher.flushed() for _ in range(10)]
    await asyncio.gather(first, *later)
    flusher.close()

    assert len(flushes) == 2, "one was under way; all who came meanwhile waited for the next"


async def test_whoever_waits_hears_of_a_file_that_is_gone_and_so_does_the_next(tmp_path: Path) -> None:
    flusher = Flusher(tmp_path / "gone")

    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="No such file"):
            await flusher.flushed()
    (tmp_path / "gone").write_bytes(b"1")
    await flusher.flushed()
    flusher.close()


async def test_whoever_waits_hears_of_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flush(_descriptor: int) -> None:
        raise OSError("no space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"1")
    flusher = Flusher(path)

    with monkeypatch.context() as patched:
        patched.setattr(flusher_module, "_flush", flush)
        with pytest.raises(BackendUnavailable, match="no space left"):
            await flusher.flushed()
    await flusher.flushed()
    flusher.close()
