"""Which statements leave state in their session that cannot be carried to another connection, and which take it away.

RDS Proxy pins on all of: SET commands, PREPARE, DISCARD, DEALLOCATE, EXECUTE, temporary sequences, tables and views,
cursors, LISTEN, LOAD, nextval and setval, advisory locks, setting or resetting a parameter. Here the same state pins,
unless it ends with its transaction (SET LOCAL, cursors WITHOUT HOLD, ON COMMIT DROP, pg_advisory_xact_lock) or can be
carried (variables the server reports, prepared statements of the protocol); and it is pinned no longer than it lasts:
DISCARD ALL, RESET ALL, UNLISTEN * and their like end a pin. As with RDS Proxy, what a stored function does inside is
not seen. In doubt: pin.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html,
https://www.postgresql.org/docs/current/sql-discard.html (what a session's state is)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from itertools import pairwise

from workshape.pgproxy.sql_tokens import Token, TokenKind, UnreadableSql, statements, tokens

STATEMENT_SHOWN_CHARACTERS = 200  # of a statement, in a pin: enough to know it by
REMEMBERED_BYTES_MAX = 4 * 1024  # longer texts are seldom repeated word for word
TEXTS_REMEMBERED = 2048
READ_BYTES_MAX = 64 * 1024  # reading is some MB/s: a longer text with a suspicious word in it pins unread


class PinReason(Enum):
    """Why a session keeps its connection. The value says it to people."""

    VARIABLE = "SET of a variable that the server does not report"
    ROLE = "SET ROLE or SET SESSION AUTHORIZATION"
    PREPARED = "PREPARE in SQL text"
    LISTEN = "LISTEN"
    TEMPORARY = "a temporary table, view or sequence"
    ADVISORY_LOCK = "a session-level advisory lock"
    CURSOR = "a cursor WITH HOLD"
    SEQUENCE = "a sequence's value kept for currval or lastval"
    LIBRARY = "LOAD of a library"
    FUNCTION_CALL = "a fast-path function call, which may do any of these"
    BLOCK = "a DO block that may do any of these"
    UNREAD = "a statement too long or too odd to be read"
    SESSION_MODE = "pool_mode is session"


EVERYTHING = frozenset(PinReason) - {PinReason.SESSION_MODE}
"""That a statement can pin for."""
BEYOND_RESET = frozenset({PinReason.LIBRARY, PinReason.BLOCK, PinReason.UNREAD})
"""DISCARD ALL does not unload a library; and who knows what the unread did."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A session keeps its connection: why, by which statement, since when."""

    reason: PinReason
    statement: str
    time: float
    """As the driver's clock tells it."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What a text does to its session, beyond its transaction."""

    pins: frozenset[PinReason] = frozenset()
    lifts: frozenset[PinReason] = frozenset()
    """Pins that are void once it succeeded outside a transaction."""
    names: tuple[bytes, ...] = ()
    """Prepared statements that it EXECUTEs or DEALLOCATEs by name."""
    deallocates: tuple[bytes, ...] = ()
    """Those of `names` that are gone afterwards."""
    deallocates_all: bool = False

    @property
    def nothing(self) -> bool:
        """Whether it does nothing of all this."""
        return not (self.pins or self.lifts or self.names or self.deallocates_all)


NO_EFFECTS = Effects()


def effects_of(sql: bytes, tracked: frozenset[str], *, backslash_escapes: bool = False) -> Effects:
    """Tell what a text (one statement or several) does to its session.

    `tracked` are the variables that are carried, in lower case.
    """
    if not _is_suspicious(sql):
        return NO_EFFECTS
    if len(sql) > READ_BYTES_MAX:
        return Effects(pins=frozenset({PinReason.UNREAD}))
    if len(sql) > REMEMBERED_BYTES_MAX:
        return _read(sql, tracked, backslash_escapes)
    return _read_once(sql, tracked, backslash_escapes)


def shown(sql: bytes) -> str:
    """Shorten a statement for people."""
    text = " ".join(sql[: STATEMENT_SHOWN_CHARACTERS * 4].decode("utf-8", "replace").split())
    return text if len(text) <= STATEMENT_SHOWN_CHARACTERS else text[: STATEMENT_SHOWN_CHARACTERS - 1] + "…"


# The quick look: nearly every statement has none of these words in it.

# SET and RESET count only where a statement may begin: after nothing, a semicolon, or a comment.
_SETS = re.compile(rb"(?:\A|;|\*/|[\r\n])\s*(?:re)?set\b|set_config|setseed")
_DO = re.compile(rb"(?:\A|;|\*/|[\r\n])\s*do\b")


def _is_suspicious(sql: bytes) -> bool:
    """Written out: a loop over the words takes four times as long, and this is asked of every statement."""
    lower = sql.lower()
    return (
        b"temp" in lower
        or b"listen" in lower
        or b"prepare" in lower
        or b"execute" in lower
        or b"deallocate" in lower
        or b"discard" in lower
        or b"advisory" in lower
        or b"hold" in lower
        or b"load" in lower
        or b"close" in lower
        or b"tval" in lower  # nextval, lastval, setval
        or b"currval" in lower
        or b'u&"' in lower  # a name spelled in code points
        or (b"set" in lower and _SETS.search(lower) is not None)
        or (b"do" in lower and _DO.search(lower) is not None)
    )


# The careful look


@lru_cache(maxsize=TEXTS_REMEMBERED)
def _read_once(sql: bytes, tracked: frozenset[str], backslash_escapes: bool) -> Effects:
    return _read(sql, tracked, backslash_escapes)


def _read(sql: bytes, tracked: frozenset[str], backslash_escapes: bool) -> Effects:
    found = _Findings(tracked)
    try:
        for statement in statements(sql, backslash_escapes=backslash_escapes):
            found.add(statement)
    except UnreadableSql:
        return Effects(pins=frozenset({PinReason.UNREAD}))
    return NO_EFFECTS if found.effects.nothing else found.effects


_FUNCTIONS = {
    b"nextval": PinReason.SEQUENCE,
    b"setval": PinReason.SEQUENCE,
    b"currval": PinReason.SEQUENCE,
    b"lastval": PinReason.SEQUENCE,
    b"pg_advisory_lock": PinReason.ADVISORY_LOCK,
    b"pg_advisory_lock_shared": PinReason.ADVISORY_LOCK,
    b"pg_try_advisory_lock": PinReason.ADVISORY_LOCK,
    b"pg_try_advisory_lock_shared": PinReason.ADVISORY_LOCK,
    b"setseed": PinReason.VARIABLE,
}
_TEMPORARY = (b"temp", b"temporary")
_BEFORE_TEMPORARY = (b"create", b"into", b"local", b"global", b"replace")
_DISCARDS = {
    b"all": EVERYTHING - BEYOND_RESET,
    b"temp": frozenset({PinReason.TEMPORARY}),
    b"temporary": frozenset({PinReason.TEMPORARY}),
    b"sequences": frozenset({PinReason.SEQUENCE}),
}
# Whole statements: with more behind them (WHERE false) they may do nothing.
_LIFTING: Mapping[tuple[bytes, ...], PinReason] = {
    (b"reset", b"all"): PinReason.VARIABLE,
    (b"unlisten", b"*"): PinReason.LISTEN,
    (b"close", b"all"): PinReason.CURSOR,
    (b"select", b"pg_advisory_unlock_all", b"(", b")"): PinReason.ADVISORY_LOCK,
}
_SPOKEN = frozenset({TokenKind.WORD, TokenKind.OTHER})  # a quoted "all" or "*" is somebody's name
_CONSTANTS = frozenset({TokenKind.STRING, TokenKind.BODY})
# Spelled in SQL, named by the server.
_SPOKEN_VARIABLES = {b"names": "client_encoding", b"schema": "search_path", b"time": "timezone"}
_DO_WORDS = frozenset(
    {b"listen", b"temp", b"temporary", b"execute", b"load", b"discard", b"prepare", b"deallocate", b"reset", b"hold"}
)


@dataclass(slots=True)
class _Findings:
    """What the statements of a text did so far, in their order: a later one may undo an earlier one."""

    tracked: frozenset[str]
    effects: Effects = field(default=NO_EFFECTS)

    def add(self, statement: Sequence[Token]) -> None:
        words = tuple(token.text if token.kind is TokenKind.WORD else b"" for token in statement)
        self._add_first_word(statement, words)
        for reason in _anywhere(statement, words, self.tracked):
            self._pin(reason)

    def _add_first_word(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        second = statement[1].text if len(statement) > 1 else b""
        match words[0]:
            case b"set":
                self._set(statement, words)
            case b"discard":
                self._discard(second)
            case b"execute" | b"deallocate":
                self._name(statement, words)
            case b"declare" if (b"with", b"hold") in pairwise(words):
                self._pin(PinReason.CURSOR)
            case b"prepare" if not (second == b"transaction" and statement[2:] and statement[2].kind in _CONSTANTS):
                self._pin(PinReason.PREPARED)
            case b"do":
                self._do(statement)
            case b"listen" | b"load":
                self._pin(PinReason.LISTEN if words[0] == b"listen" else PinReason.LIBRARY)
            case _ if all(token.kind in _SPOKEN for token in statement):
                lifted = _LIFTING.get(tuple(token.text for token in statement))
                self._lift(frozenset() if lifted is None else frozenset({lifted}))

    def _set(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        if words[1:3] == (b"session", b"characteristics"):
            self._pin(PinReason.VARIABLE)
            return
        after = 2 if words[1:2] == (b"session",) and words[2:3] != (b"authorization",) else 1
        if len(statement) <= after or words[after] in (b"local", b"transaction", b"constraints"):
            return
        if words[after] in (b"role", b"session"):
            self._pin(PinReason.ROLE)
            return
        name = statement[after].text
        variable = _SPOKEN_VARIABLES.get(words[after], name.decode("utf-8", "replace").lower())
        if variable not in self.tracked:
            self._pin(PinReason.VARIABLE)

    def _discard(self, what: bytes) -> None:
        self._lift(_DISCARDS.get(what, frozenset()))
        if what == b"all":
            self.effects = replace(self.effects, deallocates_all=True)

    def _name(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        after = 2 if words[:2] == (b"deallocate", b"prepare") and len(statement) > 2 else 1
        if len(statement) <= after:
            return
        if words[0] == b"deallocate" and words[after] == b"all":
            self._lift(frozenset({PinReason.PREPARED}))
            self.effects = replace(self.effects, deallocates_all=True)
            return
        name = statement[after].text
        gone = (*self.effects.deallocates, name) if words[0] == b"deallocate" else self.effects.deallocates
        self.effects = replace(self.effects, names=(*self.effects.names, name), deallocates=gone)

    def _do(self, statement: Sequence[Token]) -> None:
        for body in (token.text for token in statement if token.kind in (TokenKind.BODY, TokenKind.STRING)):
            inside = [token for token in tokens(body) if token.kind is TokenKind.WORD]
            words = [token.text for token in inside]
            pairs = list(pairwise(words))
            kept = sum(second != b"local" for first, second in pairs if first == b"set")
            if not _DO_WORDS.isdisjoint(words) or kept > words.count(b"update"):
                self._pin(PinReason.BLOCK)
            for reason in _anywhere(list(tokens(body)), tuple(words), self.tracked):
                self._pin(reason)

    def _pin(self, reason: PinReason) -> None:
        effects = self.effects
        self.effects = replace(effects, pins=effects.pins | {reason}, lifts=effects.lifts - {reason})

    def _lift(self, reasons: frozenset[PinReason]) -> None:
        effects = self.effects
        self.effects = replace(effects, pins=effects.pins - reasons, lifts=effects.lifts | reasons)


def _anywhere(statement: Sequence[Token], words: tuple[bytes, ...], tracked: frozenset[str]) -> set[PinReason]:
    """Find what pins wherever it stands: functions called, temporary relations made, pg_temp named."""
    found = set()
    for position, token in enumerate(statement):
        if token.kind is TokenKind.WORD and token.text in _TEMPORARY:
            before = statement[position - 1].text if position else b""
            if before in _BEFORE_TEMPORARY and not _drops_on_commit(words):
                found.add(PinReason.TEMPORARY)
        if token.kind not in (TokenKind.WORD, TokenKind.NAME):
            continue
        if token.text.startswith(b"pg_temp"):
            found.add(PinReason.TEMPORARY)
        if position + 1 < len(statement) and statement[position + 1].text == b"(":
            if token.text in _FUNCTIONS:
                found.add(_FUNCTIONS[token.text])
            elif token.text == b"set_config" and not _is_harmless(statement[position + 2 :], tracked):
                found.add(PinReason.VARIABLE)
    return found


def _drops_on_commit(words: tuple[bytes, ...]) -> bool:
    return any(words[at : at + 3] == (b"on", b"commit", b"drop") for at in range(len(words)))


def _is_harmless(arguments: Sequence[Token], tracked: frozenset[str]) -> bool:
    """Tell whether set_config( is followed by a tracked variable, or by constants with is_local true."""
    if len(arguments) < 6 or arguments[0].kind is not TokenKind.STRING:
        return False
    name = arguments[0].text.decode("utf-8", "replace").lower()
    if b"\\" not in arguments[0].text and name in tracked and arguments[1].text == b",":
        return True
    return [token.text for token in arguments[3:6]] == [b",", b"true", b")"] and arguments[1].text == b","
