"""Reads a function's log files by time: what CloudWatch Logs' operations and `workshape logs --since` look for.

The files are read from a thread of their own and held line by line, never whole: they may be large.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from workshape.functions.log_line import LogLine, parse_line
from workshape.functions.model import FunctionName
from workshape.iso_time import iso_milliseconds

FOREVER_S = 253_402_300_799.0  # Unix time of the end of the year 9999
SEARCH_BYTES = 64 * 1024  # where a binary search ends, and reading line by line begins


def read_lines(name: FunctionName, files: Sequence[Path], since: float, until: float) -> Iterator[LogLine]:
    """Read the lines of a log from `since` until before `until` (Unix time), oldest first.

    `files` are oldest first. A line without a time belongs to the one before it.
    """
    begin, end = iso_milliseconds(since).encode(), iso_milliseconds(until).encode()
    for path in files:
        try:
            with path.open("rb") as file:
                file.seek(_near(file, begin))
                yield from _lines_between(name, file, begin, end)
        except FileNotFoundError:
            continue  # rotated away since its name was read


def _lines_between(name: FunctionName, file: BinaryIO, begin: bytes, end: bytes) -> Iterator[LogLine]:
    """Read on from the beginning of a line; times compare as text, because all are written alike."""
    for line in file:
        if not line.endswith(b"\n"):
            return  # being written right now
        if line < begin:
            continue
        if line >= end and line[:4].isdigit():
            return
        yield parse_line(name, line[:-1].decode(errors="replace"))


def _near(file: BinaryIO, begin: bytes) -> int:
    """Find the beginning of a line shortly before the first one that is not older than `begin`."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > SEARCH_BYTES:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()  # the rest of a line
        start = file.tell()
        if start >= high or file.readline() >= begin:
            high = middle
        else:
            low = start
    return low
