"""Which of a function's own lines are too detailed for its log. A core.

Only functions that log in JSON have a level, and only lines that name theirs are judged by it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
"""

from datetime import datetime
from enum import IntEnum
from typing import Any

import msgspec


class LogLevel(IntEnum):
    """From the most detailed to the least."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5


class _Line(msgspec.Struct):
    level: Any = msgspec.UNSET
    timestamp: Any = None
    time: Any = None


_DECODER = msgspec.json.Decoder(_Line)


def is_too_detailed(line: bytes, least: LogLevel) -> bool:
    """Tell whether a line is below the level its function wants in its log."""
    if least is LogLevel.TRACE or not line.startswith(b"{"):
        return False
    try:
        found = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: nested thousands deep
        return False
    return found.level is not msgspec.UNSET and _level(found) < least


def _level(line: _Line) -> LogLevel:
    """What Lambda takes the level for: INFO when it is none, or when the time beside it is none."""
    try:
        datetime.fromisoformat(line.timestamp or line.time)
        return LogLevel[line.level.upper()]
    except (KeyError, AttributeError, TypeError, ValueError):
        return LogLevel.INFO
