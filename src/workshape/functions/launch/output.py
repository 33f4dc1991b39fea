"""What an environment writes to its standard output and error, as lines."""

import asyncio
from collections.abc import Callable

LINE_BYTES_MAX = 256 * 1024
"""A longer line is handed on in pieces: what never ends must not be kept.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html (size of a log event)
"""


class OutputLines(asyncio.Protocol):
    """Reads a pipe; calls `on_line` with each line, without its newline, and `on_end` once."""

    def __init__(self, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_line = on_line
        self._on_end = on_end
        self._unfinished: list[bytes] = []
        self._unfinished_bytes = 0

    def data_received(self, data: bytes) -> None:
        lines = data.split(b"\n")
        for line in lines[:-1]:
            self._keep(line)
            self._finish()
        if lines[-1]:
            self._keep(lines[-1])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unfinished:
            self._finish()
        self._on_end()

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
