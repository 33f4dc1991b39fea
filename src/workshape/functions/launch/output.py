"""What an environment writes to its standard output and error, as events of its log: lines, and framed messages.

A line is an event. So is what a runtime's client frames, however many lines it has: a log record, a traceback. A frame
is a type (four bytes that begin with `MAGIC`), a length (four), a time (eight), all big-endian, and the message.

Source: https://github.com/aws/aws-lambda-python-runtime-interface-client (FramedTelemetryLogSink)
"""

import asyncio
import os
from collections.abc import Callable

LINE_BYTES_MAX = 256 * 1024
"""A longer line is handed on in pieces: what never ends must not be kept.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html (size of a log event)
"""
PIPE_BYTES = 1 << 16  # what one holds
READ_BYTES = 1 << 11  # few enough that not even as many empty lines take long
LINES_AT_ONCE_MAX = 256
MAGIC = b"\xa5\x5a\x00"
"""What a frame begins with. No text in UTF-8 has its first byte."""
FRAME_BYTES_MAX = 32 * 1024 * 1024  # more than anybody logs at once
_HEADER_BYTES = 16
_LENGTH = slice(4, 8)
_TIME_BEGIN = 8  # microseconds do not reach its first byte before the year 4253
READS_AT_ONCE_MAX = 256
"""An environment that floods does not keep the event loop from the others: neither with much, nor with many lines."""


class Lines:
    """Finds the lines, and the framed messages, in what comes in pieces."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._unfinished: list[bytes] = []
        self._unfinished_bytes = 0
        self._header = b""
        """The beginning of what may become a frame's."""
        self._framed_bytes = 0
        """How much of a message is yet to come."""

    def take(self, data: bytes) -> None:
        """Hand on what is whole now."""
        if self._header:
            data, self._header = self._header + data, b""
        while data:
            if self._framed_bytes:
                data = self._take_framed(data)
                continue
            begin = _frame_in(data)
            self._take_lines(data[:begin])
            if len(data) - begin < _HEADER_BYTES:
                self._header = data[begin:]
                return
            self.end_line()
            data = self._begin_frame(data[begin:])

    def end_line(self) -> None:
        """Take what there is of a line for a whole one."""
        if self._unfinished and not self._framed_bytes:
            self._finish()

    def end(self) -> None:
        """Nothing more comes: what is left is an event, too."""
        self._framed_bytes = 0
        if self._header:
            self._keep(self._header)
            self._header = b""
        self.end_line()

    def _begin_frame(self, data: bytes) -> bytes:
        self._framed_bytes = int.from_bytes(data[_LENGTH], "big")
        if not self._framed_bytes:
            self._finish()
        return data[_HEADER_BYTES:]

    def _take_framed(self, data: bytes) -> bytes:
        message = data[: self._framed_bytes]
        self._framed_bytes -= len(message)
        self._keep(message if self._framed_bytes else message.removesuffix(b"\n"))
        if not self._framed_bytes:
            self._finish()
        return data[len(message) :]

    def _take_lines(self, data: bytes) -> None:
        lines = data.split(b"\n")
        for line in lines[:-1]:
            self._keep(line)
            self._finish()
        if lines[-1]:
            self._keep(lines[-1])

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


def _frame_in(data: bytes) -> int:
    """Tell where a frame begins, or what may become one; at the end: nowhere."""
    begin = data.find(MAGIC)
    while 0 <= begin <= len(data) - _HEADER_BYTES and not _is_frame(data[begin : begin + _HEADER_BYTES]):
        begin = data.find(MAGIC, begin + 1)
    if begin >= 0:
        return begin
    return len(data) - next((count for count in (2, 1) if data.endswith(MAGIC[:count])), 0)


def _is_frame(header: bytes) -> bool:
    """Tell a frame from bytes that happen to look like one's beginning, of which whoever prints no text has some."""
    return int.from_bytes(header[_LENGTH], "big") <= FRAME_BYTES_MAX and header[_TIME_BEGIN] == 0


class OutputLines:
    """Reads a pipe; calls `on_line` with each event, without its last newline, and `on_end` once."""

    def __init__(self, descriptor: int, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Take ownership of the descriptor."""
        self._descriptor = descriptor
        self._on_line = on_line
        self._lines = Lines(self._line)
        self._on_end = on_end
        os.set_blocking(descriptor, False)
        self._loop = asyncio.get_running_loop()
        self._lines_read = 0
        self._loop.add_reader(descriptor, self._read, READS_AT_ONCE_MAX, LINES_AT_ONCE_MAX)

    def drain(self, *, whole: bool = True) -> None:
        """Hand on what has been written by now: a function's lines come before whatever follows them.

        A line that has no end yet is kept until it has, unless also what is not `whole` is wanted.
        """
        self._read(PIPE_BYTES // READ_BYTES, PIPE_BYTES)
        if not whole:
            self._lines.end_line()

    def _read(self, reads_max: int, lines_max: int) -> None:
        self._lines_read = 0
        for _ in range(reads_max):
            if self._descriptor < 0 or self._lines_read >= lines_max:
                return
            try:
                data = os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self.close()
                return
            self._lines.take(data)

    def _line(self, line: bytes) -> None:
        self._lines_read += 1
        self._on_line(line)

    def close(self) -> None:
        """Read no more; `on_end` is called unless it has been."""
        if self._descriptor < 0:
            return
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._lines.end()
        self._on_end()
