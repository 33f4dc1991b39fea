"""What clients say, as data that prints as the Python it is made by: what was found becomes a test by paste.

`{n}` in a text is the client's number: clients of one conversation keep to tables, channels and locks of their own, so
that what each is told does not depend on the others.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import struct
from dataclasses import dataclass, fields, is_dataclass
from typing import Protocol

from workshape.pgproxy import messages
from workshape.pgproxy.messages import message


class Said(Protocol):
    """One message of a client's."""

    def wire(self, client: int) -> bytes:
        """As it is sent by the client with this number."""


@dataclass(frozen=True, slots=True)
class Query:
    sql: str

    def wire(self, client: int) -> bytes:
        return message(messages.QUERY, _text(self.sql, client))


@dataclass(frozen=True, slots=True)
class Parse:
    name: str
    sql: str
    types: tuple[int, ...] = ()
    """Of its parameters, by their object ids."""

    def wire(self, client: int) -> bytes:
        types = struct.pack(f"!h{len(self.types)}I", len(self.types), *self.types)
        return messages.parse(self.name.encode(), _text(self.sql, client) + types)


@dataclass(frozen=True, slots=True)
class Bind:
    statement: str = ""
    portal: str = ""
    values: tuple[str | None, ...] = ()
    formats: tuple[int, ...] = ()
    """Of the results' columns: 0 is text, 1 is binary."""

    def wire(self, client: int) -> bytes:
        names = _text(self.portal, client) + _text(self.statement, client)
        values = b"".join(_value(value) for value in self.values)
        formats = struct.pack(f"!h{len(self.formats)}h", len(self.formats), *self.formats)
        return message(messages.BIND, names + struct.pack("!hh", 0, len(self.values)) + values + formats)


@dataclass(frozen=True, slots=True)
class Describe:
    what: str
    """S: a statement, P: a portal."""
    name: str = ""

    def wire(self, client: int) -> bytes:
        return message(messages.DESCRIBE, self.what.encode() + _text(self.name, client))


@dataclass(frozen=True, slots=True)
class Execute:
    portal: str = ""
    rows: int = 0
    """At most; 0: all."""

    def wire(self, client: int) -> bytes:
        return message(messages.EXECUTE, _text(self.portal, client) + struct.pack("!i", self.rows))


@dataclass(frozen=True, slots=True)
class Close:
    what: str
    name: str = ""

    def wire(self, client: int) -> bytes:
        return message(messages.CLOSE, self.what.encode() + _text(self.name, client))


@dataclass(frozen=True, slots=True)
class Flush:
    def wire(self, client: int) -> bytes:
        return message(messages.FLUSH)


@dataclass(frozen=True, slots=True)
class Sync:
    def wire(self, client: int) -> bytes:
        return message(messages.SYNC)


@dataclass(frozen=True, slots=True)
class CopyData:
    data: str

    def wire(self, client: int) -> bytes:
        return message(messages.COPY_DATA, self.data.encode())


@dataclass(frozen=True, slots=True)
class CopyDone:
    def wire(self, client: int) -> bytes:
        return message(messages.COPY_DONE)


@dataclass(frozen=True, slots=True)
class CopyFail:
    reason: str = "enough"

    def wire(self, client: int) -> bytes:
        return message(messages.COPY_FAIL, _text(self.reason, client))


@dataclass(frozen=True, slots=True)
class FunctionCall:
    function: int
    """By its object id."""
    values: tuple[str | None, ...] = ()

    def wire(self, client: int) -> bytes:
        head = struct.pack("!Ihh", self.function, 0, len(self.values))
        body = b"".join(_value(value) for value in self.values)
        return message(messages.FUNCTION_CALL, head + body + struct.pack("!h", 0))


@dataclass(frozen=True, slots=True)
class Terminate:
    def wire(self, client: int) -> bytes:
        return message(messages.TERMINATE)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client says at one go."""

    said: tuple[Said, ...]
    client: int = 0
    waits: bool = True
    """It goes on when it has been answered, not at once."""
    cuts: tuple[int, ...] = ()
    """The lengths of the pieces in which it is sent; what is left is sent in one."""
    vanishes: bool = False
    """It hangs up behind it, without a good-bye and without listening."""

    def pieces(self) -> list[bytes]:
        """What is sent, piece by piece."""
        data = b"".join(one.wire(self.client) for one in self.said)
        found = []
        for size in self.cuts:
            found.append(data[:size])
            data = data[size:]
        return [piece for piece in (*found, data) if piece]

    @property
    def leaves(self) -> bool:
        """Whether it is the client's last."""
        return self.vanishes or any(isinstance(one, Terminate) for one in self.said)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a few clients say, in this order."""

    turns: tuple[Turn, ...]
    connections: int = 1
    """That they share."""
    pool_mode: str = "transaction"

    @property
    def clients(self) -> list[int]:
        """The numbers of those who speak."""
        return sorted({turn.client for turn in self.turns})

    def __str__(self) -> str:
        """As Python, a turn a line."""
        turns = "".join(f"\n        {shown(turn)}," for turn in self.turns)
        rest = "".join(f",\n    {text}" for text in _arguments(self)[1:])
        return f"Conversation(\n    ({turns}\n    ){rest},\n)"


def shown(value: object) -> str:
    """Print it as Python, without what is as by default."""
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))}{',' if len(value) == 1 else ''})"
    return f"{type(value).__name__}({', '.join(_arguments(value))})" if is_dataclass(value) else repr(value)


def _arguments(value: object) -> list[str]:
    assert is_dataclass(value)
    found: list[str] = []
    by_name = False
    for one in fields(value):
        if (given := getattr(value, one.name)) == one.default:
            by_name = True
        else:
            found.append(f"{one.name}={shown(given)}" if by_name else shown(given))
    return found


def _text(text: str, client: int) -> bytes:
    return text.replace("{n}", str(client)).encode() + b"\0"


def _value(value: str | None) -> bytes:
    if value is None:
        return struct.pack("!i", -1)
    return struct.pack("!i", len(value.encode())) + value.encode()
