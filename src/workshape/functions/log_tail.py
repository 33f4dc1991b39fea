"""The last of what an invocation logs, for whoever asked for it. A core."""

from collections import deque
from collections.abc import Iterable

from workshape.functions.limits import LOG_TAIL_BYTES


class LogTail:
    """Keeps the lines that the last `LOG_TAIL_BYTES` are of, and none before them."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<LogTail {self._bytes} bytes>"

    def add(self, lines: Iterable[bytes]) -> None:
        """Take lines, each without its newline."""
        for line in lines:
            self._lines.append(line)
            self._bytes += len(line) + 1
        while self._lines and self._bytes - len(self._lines[0]) - 1 >= LOG_TAIL_BYTES:
            self._bytes -= len(self._lines.popleft()) + 1

    @property
    def text(self) -> bytes:
        """What there is of it by now."""
        return b"".join(line + b"\n" for line in self._lines)[-LOG_TAIL_BYTES:]
