"""An append-only log of records in segment files: one fsync for all that arrived while the last was under way.

On disk a segment is a header (magic, format version, a random salt) and frames (magic, length, checksum, how much of
the segment was surely on disk when the frame was made, record). A crash may leave anything after the last fsync:
half a frame, zeros, or a later frame without the one before it. Reading stops at the first frame that does not hold;
that is a torn tail, and is cut off, unless a later frame proves that it had once been on disk: then the disk has lost
what was acknowledged, and that is said instead of passed over.

Every write and fsync runs in one thread of its own, so that the event loop never waits for the disk.
"""

import asyncio
import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from workshape.errors import PlatformError
from workshape.later import Later
from workshape.queues.records import Record, decode_record, encode_record
from workshape.store.disk_thread import DiskThread

SEGMENT_BYTES = 8 * 1024 * 1024
"""A segment is closed beyond this: small enough to be cleaned in one go, large enough that files stay few."""
WRITTEN_WITHIN_S = 0.005
"""What nobody waits for: a receive, say. To write each by itself would cost more than the receive."""

_log = logging.getLogger(__name__)

_HEADER = struct.Struct("<8sII")  # magic, version, salt
_HEADER_MAGIC = b"wsqueues"
_VERSION = 1
_FRAME = struct.Struct("<4sIIQ")  # magic, record's length, checksum, bytes of the segment known to be on disk
_FRAME_MAGIC = b"\xf5WS\xf5"
_SYNCED = struct.Struct("<Q")


class JournalFailed(PlatformError):
    """The queues' journal in {folder} cannot be written: {reason}. Nothing more is accepted until a restart."""

    folder: str
    reason: str


class JournalCorrupt(PlatformError):
    """The queues' journal is damaged: {path} at byte {offset}: {reason}.

    Moving that file and all later ones away lets the queues start as they were before.
    """

    path: str
    offset: int
    reason: str


@dataclass(slots=True)
class _Batch:
    """What the next write puts on disk: frames of one segment."""

    segment: int
    frames: list[bytes] = field(default_factory=list)
    on_disk: Later[None] | None = None
    """Given once it is fsynced; None: nobody wants that, and it is only written."""


@dataclass(frozen=True, slots=True)
class _NextSegment:
    number: int
    salt: int


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """One record read back, and where it lay."""

    segment: int
    size_bytes: int
    record: Record


class Journal:
    """An open journal. `append` and `durable` belong to the event loop that called `open`."""

    def __init__(self, folder: Path, sizes: dict[int, int]) -> None:
        self._folder = folder
        self._sizes = sizes
        """Bytes of each segment that is still there, oldest first."""
        self._batch = _Batch(max(sizes, default=0))
        self._pending_bytes = 0
        self._written_bytes = 0
        self._synced_bytes = 0
        """Both: of the current segment."""
        self._salt = 0
        self._files = _Files(folder)
        self._failure: JournalFailed | None = None
        self._is_open = False
        self._is_writing = False
        """Or about to: at the end of this turn of the event loop, with all that comes in it."""
        self._write_later: asyncio.TimerHandle | None = None
        """Set when there is something to write that nobody waits for."""
        self._thread = DiskThread("queue-journal")

    def __repr__(self) -> str:
        return f"<Journal {self._folder} segments={len(self._sizes)} bytes={self.size_bytes}>"

    @classmethod
    async def open(cls, folder: Path, replay: Callable[[ReadRecord], None]) -> "Journal":
        """Read what is there (a thread hands each record to `replay`), then go on in a new segment.

        Raises:
            JournalCorrupt: what had been on disk is not there any more.
            JournalFailed: the folder cannot be written, or another process has it.
        """
        journal = cls(folder, {})
        try:
            journal._sizes = await journal._thread.do(partial(journal._files.lock_and_read, replay))
            following = journal._turn_to_next_segment()
            await journal._thread.do(partial(journal._files.start_segment, following))
        except OSError as error:
            await journal.close()
            raise JournalFailed(folder=str(folder), reason=str(error)) from error
        except (JournalCorrupt, JournalFailed):
            await journal.close()
            raise
        journal._is_open = True
        return journal

    @property
    def segment(self) -> int:
        """The segment that the next record goes to."""
        return self._batch.segment

    @property
    def oldest_segment(self) -> int:
        """The first segment still there."""
        return next(iter(self._sizes))

    @property
    def segments(self) -> int:
        """How many there are."""
        return len(self._sizes)

    @property
    def size_bytes(self) -> int:
        """Everything on disk or on its way there."""
        return sum(self._sizes.values())

    @property
    def pending_bytes(self) -> int:
        """What has not been written yet."""
        return self._pending_bytes

    def append(self, record: Record) -> int:
        """Put a record on its way to the disk; returns the bytes it takes.

        It is written within milliseconds; who needs it to outlive the process, or the machine's power, awaits
        `durable()`.

        Raises:
            JournalFailed: the disk refused an earlier write.
        """
        if self._failure is not None:
            raise self._failure
        frame = encode_frame(encode_record(record), self._salt, self._synced_bytes)
        self._batch.frames.append(frame)
        self._sizes[self._batch.segment] += len(frame)
        self._pending_bytes += len(frame)
        self._arm()
        return len(frame)

    def durable(self) -> Later[None]:
        """Say when everything appended so far has been fsynced; it fails with JournalFailed when it never will be."""
        waiting = self._batch.on_disk
        if waiting is None:
            waiting = self._batch.on_disk = Later()
            if self._failure is not None:
                waiting.fail(self._failure)
            else:
                self._want_write()
        return waiting

    async def drop_oldest(self) -> None:
        """Delete the first segment; all of it that is still of use has been appended again, and is durable."""
        oldest = self.oldest_segment
        assert oldest < self.segment, "the segment being written is not dropped"
        await self._thread.do(partial(self._files.remove_segment, oldest))
        del self._sizes[oldest]

    async def close(self) -> None:
        """Write and fsync what is left, then let go of the files."""
        if self._is_open:
            self._is_open = False
            with suppress(JournalFailed):  # it has been logged, and whoever asked for anything was told
                await self.durable()
                while self._is_writing:
                    await self.durable()
        self._thread.close()
        self._files.close()

    def _want_write(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            asyncio.get_running_loop().call_soon(self._write)

    def _arm(self) -> None:
        if not self._is_writing and self._write_later is None:
            self._write_later = asyncio.get_running_loop().call_later(WRITTEN_WITHIN_S, self._want_write)

    def _write(self) -> None:
        if self._write_later is not None:
            self._write_later.cancel()
            self._write_later = None
        batch = self._batch
        is_full = self._sizes[batch.segment] >= SEGMENT_BYTES
        following = self._turn_to_next_segment() if is_full else None
        if following is None:
            self._batch = _Batch(batch.segment)
        sync = batch.on_disk is not None
        writing = self._thread.do(partial(self._files.write, batch.frames, sync, following))
        writing.when_done(partial(self._end_write, batch, sync, is_full))

    def _end_write(self, batch: _Batch, sync: bool, rotated: bool, writing: Later[None]) -> None:
        try:
            writing.result()
        except OSError as error:
            self._fail(batch, error)
            return
        self._note_written(batch, sync=sync, rotated=rotated)
        self._is_writing = self._batch.on_disk is not None
        if self._is_writing:
            self._write()
        elif self._batch.frames:
            self._arm()
        if batch.on_disk is not None:
            batch.on_disk.give(None)

    def _turn_to_next_segment(self) -> _NextSegment:
        """From now on records belong to a new segment; the thread makes it after it has written the old one."""
        number = max(self._sizes, default=0) + 1
        self._salt = int.from_bytes(os.urandom(4), "little")
        self._synced_bytes = 0
        self._written_bytes = _HEADER.size
        self._sizes[number] = _HEADER.size
        self._batch = _Batch(number)
        return _NextSegment(number, self._salt)

    def _note_written(self, batch: _Batch, *, sync: bool, rotated: bool) -> None:
        size_bytes = sum(map(len, batch.frames))
        self._pending_bytes -= size_bytes
        if not rotated:
            self._written_bytes += size_bytes
            if sync:
                self._synced_bytes = self._written_bytes

    def _fail(self, batch: _Batch, error: OSError) -> None:
        """Give up for good: after a failed fsync nobody knows what is on disk, and trying again would only hide it."""
        self._failure = JournalFailed(folder=str(self._folder), reason=str(error))
        _log.error("journal_failed folder=%s reason=%s", self._folder, error)
        for waiting in (batch.on_disk, self._batch.on_disk):
            if waiting is not None:
                waiting.fail(self._failure)


class _Files:
    """The files, as the journal's thread sees them. Every method blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1
        self._lock = -1

    def lock_and_read(self, replay: Callable[[ReadRecord], None]) -> dict[int, int]:
        """Keep other processes out, hand over every record, cut a torn tail off; returns the segments' sizes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalFailed(folder=str(self._folder), reason="another process has it open") from error
        paths = {int(path.stem): path for path in sorted(self._folder.glob("*.journal"))}
        sizes: dict[int, int] = {}
        for number, path in sorted(paths.items()):
            if sizes and number != max(sizes) + 1:
                raise JournalCorrupt(path=str(path), offset=0, reason="the file before it is missing")
            kept_bytes = _read_segment(number, path, replay, is_last=number == max(paths))
            if number == max(paths):
                _settle_tail(path, kept_bytes)
            if kept_bytes:
                sizes[number] = kept_bytes
        return sizes

    def write(self, frames: list[bytes], sync: bool, following: _NextSegment | None) -> None:
        """Append frames; fsync when wanted; then start the following segment, if there is one."""
        if frames:
            _write_all(self._descriptor, b"".join(frames))
        if sync or following is not None:
            os.fdatasync(self._descriptor)
        if following is not None:
            self.start_segment(following)

    def start_segment(self, segment: _NextSegment) -> None:
        """Make a segment, its header and its name in the folder durable, and turn to it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(_segment_path(self._folder, segment.number), flags, 0o600)
        _write_all(self._descriptor, _HEADER.pack(_HEADER_MAGIC, _VERSION, segment.salt))
        os.fsync(self._descriptor)
        _sync_folder(self._folder)

    def remove_segment(self, number: int) -> None:
        """Delete a segment."""
        _segment_path(self._folder, number).unlink()
        _sync_folder(self._folder)

    def close(self) -> None:
        """Let go of the files and the lock."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1


def encode_frame(data: bytes, salt: int, synced_bytes: int) -> bytes:
    """Wrap a record for the disk."""
    return _FRAME.pack(_FRAME_MAGIC, len(data), _checksum(data, salt, synced_bytes), synced_bytes) + data


def _checksum(data: bytes | memoryview, salt: int, synced_bytes: int) -> int:
    return zlib.crc32(data, zlib.crc32(_SYNCED.pack(synced_bytes), salt))


def _read_segment(number: int, path: Path, replay: Callable[[ReadRecord], None], *, is_last: bool) -> int:
    """Hand over a segment's records; returns how much of it holds: 0 when not even its header does."""
    data = path.read_bytes()
    if len(data) < _HEADER.size or (is_last and len(data) == _HEADER.size and not data.startswith(_HEADER_MAGIC)):
        if not is_last:
            raise JournalCorrupt(path=str(path), offset=0, reason="it is cut short")
        return 0
    magic, version, salt = _HEADER.unpack_from(data)
    if magic != _HEADER_MAGIC or version != _VERSION:
        reason = f"not a journal of format {_VERSION} (perhaps one of a later workshape)"
        raise JournalCorrupt(path=str(path), offset=0, reason=reason)
    offset = _HEADER.size
    while (frame := _frame_at(data, offset, salt)) is not None:
        payload, _ = frame
        try:
            record = decode_record(payload)
        except msgspec.MsgspecError as error:
            raise JournalCorrupt(path=str(path), offset=offset, reason=str(error)) from error
        size_bytes = _FRAME.size + len(payload)
        replay(ReadRecord(number, size_bytes, record))
        offset += size_bytes
    if offset < len(data) and (not is_last or _was_on_disk(data, offset, salt)):
        raise JournalCorrupt(path=str(path), offset=offset, reason="the checksum of what follows does not hold")
    return offset


def _frame_at(data: bytes, offset: int, salt: int) -> tuple[memoryview, int] | None:
    """The record in the frame at `offset`, and how much had been synced before it; None: no frame that holds."""
    if offset + _FRAME.size > len(data):
        return None
    magic, length, checksum, synced_bytes = _FRAME.unpack_from(data, offset)
    start = offset + _FRAME.size
    if magic != _FRAME_MAGIC or start + length > len(data):
        return None
    payload = memoryview(data)[start : start + length]
    if _checksum(payload, salt, synced_bytes) != checksum:
        return None
    return payload, synced_bytes


def _was_on_disk(data: bytes, offset: int, salt: int) -> bool:
    """Whether a later frame says that the byte at `offset` had been fsynced.

    Frames are looked for everywhere, message bodies too; the salt keeps those from passing for frames.
    """
    candidate = data.find(_FRAME_MAGIC, offset + 1)
    while candidate >= 0:
        frame = _frame_at(data, candidate, salt)
        if frame is not None and frame[1] > offset:
            return True
        candidate = data.find(_FRAME_MAGIC, candidate + 1)
    return False


def _settle_tail(path: Path, kept_bytes: int) -> None:
    """Make the last segment durable as it was read: cut what does not hold, fsync what a crash left unsynced."""
    if kept_bytes == 0:
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        cut_bytes = os.fstat(descriptor).st_size - kept_bytes
        if cut_bytes:
            _log.warning("journal_tail_cut path=%s bytes=%d", path, cut_bytes)
            os.ftruncate(descriptor, kept_bytes)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:010d}.journal"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
