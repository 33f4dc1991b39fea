"""What is said on the proxy's admin console: SQL-like commands, as PgBouncer's users know them.

Source: https://www.pgbouncer.org/usage.html#admin-console (the commands that have the same name do the same)
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from workshape.errors import CallerError

COMMAND_CHARACTERS_MAX = 1_000  # the longest there is has a database's name in it: 63 bytes
SHOWN_CHARACTERS = 80

_TOKEN = re.compile(r"""\s*("(?:[^"]|"")+"|[^\s";]+)""")
# What drivers say by themselves around every statement: granted, and without meaning here.
_GRANTED = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SET", "RESET", "DISCARD", "DEALLOCATE"})


class UnknownCommand(CallerError):
    """{reason}"""

    reason: str


class Table(Enum):
    """What can be shown. The value says it to people."""

    CLIENTS = "every client: its address, what it does, for how long, which database connection it has"
    CONFIG = "the settings"
    DATABASES = "every database: its connections, and whether it is paused"
    HELP = "this table"
    LATENCY = "how long clients waited for a connection and for answers, and the database took: histograms"
    PINS = "every pin: its reason, its statement, its client, its age"
    POOLS = "every pool: clients that have a connection, that wait; connections lent, idle, being opened"
    SERVERS = "every database connection: who holds it, and for how long"
    STATS = "what was counted since the proxy began"
    TARGETS = "every database server: whether it takes writes or only reads, or fails; its connections"
    VERSION = "the proxy's version"


@dataclass(frozen=True, slots=True)
class Show:
    """Show a table."""

    table: Table


@dataclass(frozen=True, slots=True)
class Pause:
    """Lend nothing any more, and answer when the last connection has come back."""

    database: str | None
    """None: of every database."""


@dataclass(frozen=True, slots=True)
class Resume:
    """End a pause."""

    database: str | None


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Replace every database connection as soon as nobody holds it."""

    database: str | None


@dataclass(frozen=True, slots=True)
class KillClient:
    """End a client."""

    id: int


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the settings again."""


class ShutdownWait(Enum):
    """What is waited for before the proxy ends; no client is admitted meanwhile."""

    NOTHING = auto()
    SERVERS = auto()
    """Every database connection has come back."""
    CLIENTS = auto()
    """Every client has left."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the proxy."""

    wait: ShutdownWait


@dataclass(frozen=True, slots=True)
class Granted:
    """Answer with this tag; nothing is done."""

    tag: str


Command = Show | Pause | Resume | Reconnect | KillClient | Reload | Shutdown | Granted


def read_command(text: str) -> Command | None:
    """Understand one command; None for an empty one.

    Raises:
        UnknownCommand: there is no such command, or it lacks its operand.
    """
    tokens = _tokens(text)
    words = tuple(token.upper() for token in tokens)
    if not words:
        return None
    if words[0] in _GRANTED:
        return Granted(words[0])
    whole = _WHOLE.get(words)
    if whole is not None:
        return whole
    match words:
        case ("PAUSE", _):
            return Pause(_unquoted(tokens[1]))
        case ("RESUME", _):
            return Resume(_unquoted(tokens[1]))
        case ("RECONNECT", _):
            return Reconnect(_unquoted(tokens[1]))
        case ("KILL_CLIENT" | "KILL", number) | ("KILL", "CLIENT", number) if number.isdecimal():
            return KillClient(int(number))
        case ("KILL_CLIENT" | "KILL", *_):
            raise UnknownCommand(reason="KILL_CLIENT needs the id of a client: SHOW CLIENTS has them")
    raise _unknown(text)


_WHOLE: dict[tuple[str, ...], Command] = {
    **{("SHOW", table.name): Show(table) for table in Table},
    ("PAUSE",): Pause(None),
    ("RESUME",): Resume(None),
    ("RECONNECT",): Reconnect(None),
    ("RELOAD",): Reload(),
    ("SHUTDOWN",): Shutdown(ShutdownWait.NOTHING),
    ("SHUTDOWN", "WAIT_FOR_SERVERS"): Shutdown(ShutdownWait.SERVERS),
    ("SHUTDOWN", "WAIT_FOR_CLIENTS"): Shutdown(ShutdownWait.CLIENTS),
}
"""Commands without an operand."""


def _tokens(text: str) -> list[str]:
    """Split into words and quoted names; one semicolon may end it.

    Raises:
        UnknownCommand: something else is in it, or it is far too long.
    """
    whole = text.strip().removesuffix(";").rstrip()
    found: list[str] = []
    at = 0
    while at < len(whole):
        match = _TOKEN.match(whole, at)
        if match is None or len(whole) > COMMAND_CHARACTERS_MAX:
            raise _unknown(text)
        found.append(match.group(1))
        at = match.end()
    return found


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _unknown(text: str) -> UnknownCommand:
    shown = text.strip()[:SHOWN_CHARACTERS]
    return UnknownCommand(reason=f"no such command on the proxy's admin console: {shown!r}; SHOW HELP lists them")
