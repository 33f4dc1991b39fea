"""One line of a function's log. A core."""

from dataclasses import dataclass
from datetime import datetime

from workshape.functions.model import FunctionName


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a function's log."""

    function: FunctionName
    time: float
    """Unix time."""
    stream: str
    message: str
    dropped: int = 0
    """Lines lost right before this one, because the follower was too slow."""


def parse_line(name: FunctionName, text: str) -> LogLine:
    """Read a file's line."""
    time, _, rest = text.partition(" ")
    stream, _, message = rest.partition(" ")
    try:
        return LogLine(name, datetime.fromisoformat(time).timestamp(), stream, message)
    except ValueError:
        return LogLine(name, 0.0, "", text)  # somebody else wrote into the file
