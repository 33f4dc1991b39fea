"""What a view is: a page, what it reads and what it does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec


class Done(msgspec.Struct, frozen=True):
    """What came of something that was asked for, for people."""

    said: str


Read = Callable[[], Awaitable[msgspec.Struct]]
Do = Callable[[bytes], Awaitable[msgspec.Struct]]
"""Takes a request's JSON.

Raises:
    CallerError, BackendUnavailable: it could not be done; the message says why and what helps.
    msgspec.DecodeError: it is not what is taken.
"""


@dataclass(frozen=True, slots=True)
class View:
    """One view of the console. Its page is `static/NAME.html`."""

    name: str
    reads: Mapping[str, Read] = field(default_factory=dict)
    """By what follows `/api/NAME/` in a GET."""
    does: Mapping[str, Do] = field(default_factory=dict)
    """By what follows `/api/NAME/` in a POST."""
