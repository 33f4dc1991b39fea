"""The journal: what a crash may leave on the disk, at every byte, and what may not be passed over."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from workshape.queues import journal as journal_module
from workshape.queues.journal import Journal, JournalCorrupt, JournalFailed, ReadRecord
from workshape.queues.model import MessageNumber, QueueNumber
from workshape.queues.records import MessagesDeleted, Record

QUEUE = QueueNumber(1)


def record(number: int) -> Record:
    return MessagesDeleted(QUEUE, (MessageNumber(number),))


async def write(folder: Path, numbers: range, *, sync_each: bool = True) -> None:
    journal = await Journal.open(folder, lambda _: None)
    for number in numbers:
        journal.append(record(number))
        if sync_each:
            await journal.durable()
    await journal.close()


async def read(folder: Path) -> list[int]:
    found: list[ReadRecord] = []
    journal = await Journal.open(folder, found.append)
    await journal.close()
    return [number for one in found if isinstance(one.record, MessagesDeleted) for number in one.record.numbers]


@pytest.fixture
def numbered_copies(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / f"copy-{number}" for number in range(10_000))


def copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return max(target.glob("*.journal"))


async def test_what_was_durable_is_read_back_in_order(tmp_path: Path) -> None:
    await write(tmp_path / "journal", range(100))

    assert await read(tmp_path / "journal") == list(range(100))


async def test_one_fsync_serves_everyone_who_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    real = os.fdatasync

    def count(descriptor: int) -> None:
        syncs.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", count)
    journal = await Journal.open(tmp_path, lambda _: None)

    async def append(number: int) -> None:
        journal.append(record(number))
        await journal.durable()

    await asyncio.gather(*(append(number) for number in range(200)))
    await journal.close()

    assert len(syncs) <= 4


async def test_a_tail_torn_at_any_byte_costs_only_the_frames_it_tore(
    tmp_path: Path, numbered_copies: Iterator[Path]
) -> None:
    await write(tmp_path / "journal", range(4))
    whole = max((tmp_path / "journal").glob("*.journal")).read_bytes()
    frame_bytes = (len(whole) - 16) // 4

    for cut in range(len(whole)):
        target = next(numbered_copies)
        copy(tmp_path / "journal", target).write_bytes(whole[:cut])
        kept = max(cut - 16, 0) // frame_bytes
        assert await read(target) == list(range(kept))
        assert await read(target) == list(range(kept)), "cut once and for all"


async def test_zeros_where_the_tail_should_be_are_a_torn_tail(tmp_path: Path) -> None:
    await write(tmp_path / "journal", range(3))
    path = max((tmp_path / "journal").glob("*.journal"))
    path.write_bytes(path.read_bytes() + bytes(4096))

    assert await read(tmp_path / "journal") == [0, 1, 2]


async def test_a_later_frame_without_the_one_before_it_is_a_torn_tail_when_neither_was_synced(tmp_path: Path) -> None:
    await write(tmp_path / "journal", range(4), sync_each=False)
    path = max((tmp_path / "journal").glob("*.journal"))
    damaged = bytearray(path.read_bytes())
    frame_bytes = (len(damaged) - 16) // 4
    damaged[16 + frame_bytes + 25] ^= 0xFF
    path.write_bytes(damaged)

    assert await read(tmp_path / "journal") == [0]


async def test_damage_to_what_had_been_synced_is_said_and_not_passed_over(
    tmp_path: Path, numbered_copies: Iterator[Path]
) -> None:
    await write(tmp_path / "journal", range(4))
    whole = max((tmp_path / "journal").glob("*.journal")).read_bytes()
    frame_bytes = (len(whole) - 16) // 4

    for offset in range(16, 16 + 3 * frame_bytes):
        target = next(numbered_copies)
        damaged = bytearray(whole)
        damaged[offset] ^= 0xFF
        copy(tmp_path / "journal", target).write_bytes(damaged)
        with pytest.raises(JournalCorrupt):
            await read(target)


async def test_damage_in_a_file_that_was_closed_is_said(tmp_path: Path) -> None:
    await write(tmp_path, range(3))
    first = min(tmp_path.glob("*.journal"))
    await write(tmp_path, range(3))
    first.write_bytes(first.read_bytes()[:-1])

    with pytest.raises(JournalCorrupt, match="checksum"):
        await read(tmp_path)


async def test_a_missing_file_in_the_middle_is_said(tmp_path: Path) -> None:
    for _ in range(3):
        await write(tmp_path, range(3))
    sorted(tmp_path.glob("*.journal"))[1].unlink()

    with pytest.raises(JournalCorrupt, match="missing"):
        await read(tmp_path)


async def test_a_crash_while_a_segment_was_being_made_is_survived(tmp_path: Path) -> None:
    await write(tmp_path, range(3))
    (tmp_path / "0000000002.journal").write_bytes(b"wsq")

    assert await read(tmp_path) == [0, 1, 2]


async def test_segments_rotate_and_are_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 500)

    await write(tmp_path, range(100))

    assert len(list(tmp_path.glob("*.journal"))) > 5
    assert await read(tmp_path) == list(range(100))


async def test_the_oldest_segment_can_be_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 500)
    journal = await Journal.open(tmp_path, lambda _: None)
    for number in range(100):
        journal.append(record(number))
        await journal.durable()

    await journal.drop_oldest()
    size_bytes = journal.size_bytes
    await journal.close()

    left = await read(tmp_path)
    assert left == list(range(left[0], 100))
    assert left[0] > 0
    assert size_bytes < 100 * 50


async def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, lambda _: None)

    with pytest.raises(JournalFailed, match="another process"):
        await Journal.open(tmp_path, lambda _: None)

    await journal.close()


async def test_after_a_failed_fsync_nothing_is_acknowledged_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await Journal.open(tmp_path, lambda _: None)

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    journal.append(record(1))
    with pytest.raises(JournalFailed, match="Input/output error"):
        await journal.durable()
    monkeypatch.undo()

    with pytest.raises(JournalFailed):
        journal.append(record(2))
    with pytest.raises(JournalFailed):
        await journal.durable()
    await journal.close()


async def test_a_waiter_that_gave_up_does_not_disturb_the_others(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, lambda _: None)
    journal.append(record(1))
    given_up = asyncio.ensure_future(journal.durable())
    await asyncio.sleep(0)

    given_up.cancel()
    journal.append(record(2))
    await journal.durable()
    await journal.close()

    assert await read(tmp_path) == [1, 2]


async def test_what_nobody_waits_for_is_written_all_the_same(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, lambda _: None)
    journal.append(record(1))
    journal.append(record(2))

    async with asyncio.timeout(30):
        while journal.pending_bytes:
            await asyncio.sleep(0.001)
    found = b"".join(path.read_bytes() for path in tmp_path.glob("*.journal"))
    await journal.close()

    assert found.count(b"\xf5WS\xf5") == 2
