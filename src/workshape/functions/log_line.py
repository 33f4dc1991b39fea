"""One event of a function's log, which is one line of its file. A core."""

from dataclasses import dataclass
from datetime import datetime

from workshape.functions.model import FunctionName


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event of a function's log; its message may have several lines."""

    function: FunctionName
    time: float
    """Unix time."""
    stream: str
    message: str
    dropped: int = 0
    """Lines lost right before this one, because the follower was too slow."""


LINE_BREAK = "\v"
"""What a file has for a newline within a message: hardly any text has one, and terminals go on to another line."""
_LINE_BREAK = LINE_BREAK.encode()


def on_one_line(message: bytes) -> bytes:
    """Write a message so that it takes one line of a file."""
    return message.replace(b"\n", _LINE_BREAK) if b"\n" in message else message


def parse_line(name: FunctionName, text: str) -> LogLine:
    """Read a file's line."""
    time, _, rest = text.partition(" ")
    stream, _, message = rest.partition(" ")
    if LINE_BREAK in message:
        message = message.replace(LINE_BREAK, "\n")
    try:
        return LogLine(name, datetime.fromisoformat(time).timestamp(), stream, message)
    except ValueError:
        return LogLine(name, 0.0, "", text)  # somebody else wrote into the file
