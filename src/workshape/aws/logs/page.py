"""Which events of a log an answer has, and where the next one goes on. A core.

A position is a millisecond and a number among the events of that millisecond: it stays true when files rotate.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from workshape.aws.logs.errors import InvalidToken
from workshape.functions.log_line import LogLine

EVENTS_MAX = 10_000
BYTES_MAX = 1024 * 1024
EVENT_BYTES = 26  # what each event counts beside its message
"""Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The place of an event in its log."""

    ms: int
    """Unix time."""
    number: int = 0

    @property
    def following(self) -> "Position":
        """The place right after it."""
        return Position(self.ms, self.number + 1)


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a log, and where it stands."""

    position: Position
    line: LogLine


@dataclass(frozen=True, slots=True)
class Page:
    """Events, oldest first, and whether there are more in the direction that was read."""

    events: list[Event]
    has_more: bool


def numbered(lines: Iterable[LogLine]) -> Iterator[Event]:
    """Give every line its place; they come in the order they were written."""
    ms, number = -1, 0
    for line in lines:
        # Clocks that were set back would give two lines the same place: such a line keeps the time before it.
        at = max(round(line.time * 1_000), ms)
        number = number + 1 if at == ms else 0
        ms = at
        yield Event(Position(ms, number), line)


def first_page(events: Iterable[Event], wanted: Callable[[LogLine], bool], begin: Position, limit: int) -> Page:
    """Take the first events from a position on."""
    taken: list[Event] = []
    size = 0
    for event in events:
        if event.position < begin or not wanted(event.line):
            continue
        size += _size(event)
        if len(taken) == limit or (taken and size > BYTES_MAX):
            return Page(taken, has_more=True)
        taken.append(event)
    return Page(taken, has_more=False)


def last_page(events: Iterable[Event], wanted: Callable[[LogLine], bool], end: Position | None, limit: int) -> Page:
    """Take the last events before a position."""
    taken: deque[Event] = deque()
    size, dropped = 0, False
    for event in events:
        if end is not None and event.position >= end:
            break
        if not wanted(event.line):
            continue
        taken.append(event)
        size += _size(event)
        while len(taken) > limit or (len(taken) > 1 and size > BYTES_MAX):
            size -= _size(taken.popleft())
            dropped = True
    return Page(list(taken), has_more=dropped)


def write_token(direction: str, position: Position) -> str:
    """Write where to go on, `f`orward or `b`ackward."""
    return f"{direction}/{position.ms}/{position.number}"


def read_token(token: str) -> tuple[str, Position]:
    """Read what `write_token` has written.

    Raises:
        InvalidToken: it has not.
    """
    direction, _, rest = token.partition("/")
    ms, _, number = rest.partition("/")
    if direction not in ("f", "b") or not ms.isdecimal() or not number.isdecimal():
        raise InvalidToken()
    return direction, Position(int(ms), int(number))


def _size(event: Event) -> int:
    return len(event.line.message.encode()) + EVENT_BYTES
