"""What an environment writes to its standard output and error, as lines."""

import asyncio
import os
from collections.abc import Callable

LINE_BYTES_MAX = 256 * 1024
"""A longer line is handed on in pieces: what never ends must not be kept.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html (size of a log event)
"""
READ_BYTES = 1 << 16  # what a pipe holds
READS_AT_ONCE_MAX = 16  # an environment that floods does not keep the event loop from the others


class Lines:
    """Finds the lines in what comes in pieces."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._unfinished: list[bytes] = []
        self._unfinished_bytes = 0

    def take(self, data: bytes) -> None:
        """Hand on the lines that are whole now."""
        lines = data.split(b"\n")
        for line in lines[:-1]:
            self._keep(line)
            self._finish()
        if lines[-1]:
            self._keep(lines[-1])

    def end(self) -> None:
        """Nothing more comes: what is left is a line, too."""
        if self._unfinished:
            self._finish()

    def _keep(self, part: bytes) -> None:
        while self._unfinished_bytes + len(part) > LINE_BYTES_MAX:
            room = LINE_BYTES_MAX - self._unfinished_bytes
            self._unfinished.append(part[:room])
            part = part[room:]
            self._finish()
        self._unfinished.append(part)
        self._unfinished_bytes += len(part)

    def _finish(self) -> None:
        line = b"".join(self._unfinished)
        self._unfinished.clear()
        self._unfinished_bytes = 0
        self._on_line(line)


class OutputLines:
    """Reads a pipe; calls `on_line` with each line, without its newline, and `on_end` once."""

    def __init__(self, descriptor: int, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Take ownership of the descriptor."""
        self._descriptor = descriptor
        self._lines = Lines(on_line)
        self._on_end = on_end
        os.set_blocking(descriptor, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self.drain)

    def drain(self) -> None:
        """Hand on what has been written by now: a function's lines come before whatever follows them."""
        for _ in range(READS_AT_ONCE_MAX):
            if self._descriptor < 0:
                return
            try:
                data = os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self.close()
                return
            self._lines.take(data)

    def close(self) -> None:
        """Read no more; `on_end` is called unless it has been."""
        if self._descriptor < 0:
            return
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._lines.end()
        self._on_end()
