"""Function logs: one file a function, its latest lines, and followers who see each line as it comes.

A file's line is `TIME STREAM MESSAGE`: `2026-10-08T06:53:49.256Z 2026/10/08/[$LATEST]22be53... START RequestId: ...`.
A message of several lines is one line of the file, see `log_line.py`.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from workshape.functions.flush_timer import FlushTimer
from workshape.functions.log_line import LogLine, on_one_line, parse_line
from workshape.functions.model import FunctionName
from workshape.iso_time import iso_milliseconds

MIB = 1024 * 1024
FILE_BYTES_MAX = 16 * MIB
FILES_MAX = 4  # per function: NAME.log is written, NAME.1.log came before it, ...
BUFFERED_BYTES_MAX = 4 * MIB  # a function that writes faster than this in a tenth of a second makes us write at once
LINE_BYTES = 96  # what a line takes in a file besides its message, and no less in memory
FOLLOWED_LINES_MAX = 10_000  # a follower further behind than this loses the oldest: functions never wait for readers

_Written = tuple[float, str, Sequence[bytes]]
"""When, in which stream, and the lines."""

_log = logging.getLogger(__name__)


class Follower:
    """The lines written since it was made: `async with logs.subscribe() as lines: async for line in lines: ...`"""

    def __init__(self, logs: "FunctionLogs", name: FunctionName | None) -> None:
        self._logs = logs
        self._name = name
        self._lines: deque[LogLine] = deque()
        self._dropped = 0
        self._arrived = asyncio.Event()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Follower {self._name or '*'} waiting={len(self._lines)} dropped={self._dropped}>"

    def __aiter__(self) -> "Follower":
        return self

    async def __anext__(self) -> LogLine:
        while not self._lines:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        line = self._lines.popleft()
        if self._dropped:
            line = replace(line, dropped=self._dropped)
            self._dropped = 0
        return line

    async def __aenter__(self) -> "Follower":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def offer(self, line: LogLine) -> None:
        """Take a line if it is of the function followed; drop the oldest one waiting when there is no room."""
        if self._name is not None and line.function != self._name:
            return
        if len(self._lines) >= FOLLOWED_LINES_MAX:
            self._lines.popleft()
            self._dropped += 1
        self._lines.append(line)
        self._arrived.set()

    def close(self) -> None:
        """Follow no longer; the iteration ends after the lines already here."""
        self._closed = True
        self._logs.unsubscribe(self)
        self._arrived.set()


class FunctionLogs:
    """All functions' logs in one folder. Used on the event loop's thread; `close` it to lose nothing."""

    def __init__(self, folder: Path, *, file_bytes_max: int = FILE_BYTES_MAX, files_max: int = FILES_MAX) -> None:
        self._folder = folder
        self._file_bytes_max = file_bytes_max
        self._files_max = files_max
        self._buffers: dict[FunctionName, list[_Written]] = {}
        self._buffered_bytes = 0
        self._followers: set[Follower] = set()
        self._timer = FlushTimer(self.flush)
        folder.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"<FunctionLogs {self._folder} buffered={self._buffered_bytes} followers={len(self._followers)}>"

    def write(self, name: FunctionName, stream: str, message: bytes, at: float) -> None:
        """Keep a line (without its newline), and show it to the followers."""
        self.write_all(name, stream, (message,), at)

    def write_all(self, name: FunctionName, stream: str, messages: Sequence[bytes], at: float) -> None:
        """Keep lines of one moment, in their order."""
        buffer = self._buffers.get(name)
        if buffer is None:
            buffer = self._buffers[name] = []
        buffer.append((at, stream, messages))
        self._buffered_bytes += sum(map(len, messages)) + LINE_BYTES * len(messages)
        if self._buffered_bytes >= BUFFERED_BYTES_MAX:
            self.flush()
        else:
            self._timer.arm()
        if self._followers:
            for message in messages:
                line = LogLine(name, at, stream, message.decode(errors="replace"))
                for follower in self._followers:
                    follower.offer(line)

    def subscribe(self, name: FunctionName | None = None) -> Follower:
        """Follow one function's log, or all of them, from now on."""
        follower = Follower(self, name)
        self._followers.add(follower)
        return follower

    def unsubscribe(self, follower: Follower) -> None:
        """Forget a follower; see `Follower.close`."""
        self._followers.discard(follower)

    def tail(self, name: FunctionName, lines: int) -> list[LogLine]:
        """Return the last lines of a function's log, oldest first."""
        self.flush()
        found: list[LogLine] = []
        for number in range(self._files_max):
            texts = _last_lines(self._file(name, number), lines - len(found))
            found = [parse_line(name, text) for text in texts] + found
            if len(found) >= lines:
                break
        return found

    def names(self) -> list[FunctionName]:
        """Whoever has written something that is still there."""
        self.flush()
        files = (name for name in os.listdir(self._folder) if name.endswith(".log"))
        return sorted({FunctionName(name.partition(".")[0]) for name in files})

    def files(self, name: FunctionName) -> list[Path]:
        """Where a function's log is, oldest file first, with all it has written so far; none when it never has."""
        self.flush()
        files = [self._file(name, number) for number in reversed(range(self._files_max))]
        return [path for path in files if path.exists()]

    def flush(self) -> None:
        """Write what is buffered."""
        for name, buffer in self._buffers.items():
            if buffer:
                self._append(name, buffer)
                buffer.clear()
        self._buffered_bytes = 0

    def release_followers(self) -> None:
        """Let the followers go, with what they have not read yet: nobody writes any more."""
        for follower in list(self._followers):
            follower.close()

    def close(self) -> None:
        """Write the rest and let the followers go."""
        self._timer.cancel()
        self.flush()
        self.release_followers()

    def _file(self, name: FunctionName, number: int = 0) -> Path:
        return self._folder / (f"{name}.{number}.log" if number else f"{name}.log")

    def _append(self, name: FunctionName, buffer: list[_Written]) -> None:
        path = self._file(name)
        data = bytearray()
        shown_ms, shown = -1, ""
        for at, stream, messages in buffer:
            if (at_ms := int(at * 1_000)) != shown_ms:
                shown_ms, shown = at_ms, iso_milliseconds(at)
            begin = f"{shown} {stream} ".encode()
            for message in messages:
                data += begin + on_one_line(message) + b"\n"
        try:
            with path.open("ab") as file:
                file.write(data)
                size = file.tell()
            if size >= self._file_bytes_max:
                self._rotate(name)
        except OSError as error:
            # A full disk must not stop the functions; what is lost is said.
            count = sum(len(messages) for _, _, messages in buffer)
            _log.error("log_lines_lost", extra={"count": count, "path": str(path), "reason": str(error)})

    def _rotate(self, name: FunctionName) -> None:
        for number in reversed(range(self._files_max - 1)):
            older = self._file(name, number)
            if older.exists():
                older.replace(self._file(name, number + 1))


def _last_lines(path: Path, count: int) -> list[str]:
    """Read a file's end, from its end, doubling the piece until it holds enough lines."""
    if count <= 0 or not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        piece = 64 * 1024
        while True:
            begin = max(0, size - piece)
            file.seek(begin)
            lines = file.read(size - begin).split(b"\n")[:-1]  # a line without its newline is not whole
            if begin == 0:
                break
            lines = lines[1:]  # the first one began before the piece
            if len(lines) >= count:
                break
            piece *= 2
    return [line.decode(errors="replace") for line in lines[-count:]]
