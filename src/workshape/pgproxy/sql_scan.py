"""What a text does to its session, as far as its tokens tell; and whether they tell it for sure.

Statements that begin with SET, LISTEN, DEALLOCATE and the like say all by their first words. What may stand anywhere (a
function's name, TEMP, pg_temp) is evidence only: `nextval(` is a call in one place and a column's default in another.
Then the finding is a guess that errs towards a pin, and a parser may know better.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from workshape.pgproxy.pins import (
    LASTING_FUNCTIONS,
    SET_CONFIG,
    SETTINGS_VIEW,
    TEMPORARY_SCHEMA,
    UNLOCK_ALL,
    UNREAD,
    Effects,
    Findings,
    PinReason,
)
from workshape.pgproxy.sql_tokens import Token, TokenKind, UnreadableSql, statements, tokens

_FUNCTIONS: Mapping[bytes, PinReason] = {name.encode(): reason for name, reason in LASTING_FUNCTIONS.items()}
_SET_CONFIG, _SETTINGS_VIEW, _TEMPORARY_SCHEMA = SET_CONFIG.encode(), SETTINGS_VIEW.encode(), TEMPORARY_SCHEMA.encode()
_TEMPORARY = (b"temp", b"temporary")
_BEFORE_TEMPORARY = (b"create", b"into", b"local", b"global", b"replace")
_DISCARDS = {
    b"temp": frozenset({PinReason.TEMPORARY}),
    b"temporary": frozenset({PinReason.TEMPORARY}),
    b"sequences": frozenset({PinReason.SEQUENCE}),
}
# Whole statements: with more behind them (WHERE false) they may do nothing.
_LIFTING: Mapping[tuple[bytes, ...], PinReason] = {
    (b"unlisten", b"*"): PinReason.LISTEN,
    (b"close", b"all"): PinReason.CURSOR,
    (b"select", UNLOCK_ALL.encode(), b"(", b")"): PinReason.ADVISORY_LOCK,
}
_SPOKEN = frozenset({TokenKind.WORD, TokenKind.OTHER})  # a quoted "all" or "*" is somebody's name
_CONSTANTS = frozenset({TokenKind.STRING, TokenKind.BODY})
_NAMES = frozenset({TokenKind.WORD, TokenKind.NAME})
# Spelled in SQL, named by the server.
_SPOKEN_VARIABLES = {b"names": "client_encoding", b"schema": "search_path", b"time": "timezone"}
_DO_WORDS = frozenset(
    {b"listen", b"temp", b"temporary", b"execute", b"load", b"discard", b"prepare", b"deallocate", b"reset", b"hold"}
)
_BEFORE_STATEMENTS = frozenset({b";", b"begin", b"then", b"else", b"loop", b">"})  # in PL/pgSQL; the last ends a label
_AFTER_SESSION = ((b"authorization",), (b"characteristics",))
_PATH_VARIABLE = "search_path"
BLOCK_LANGUAGE = b"plpgsql"  # of DO, unless it says another


def scan(sql: bytes, tracked: frozenset[str], *, backslash_escapes: bool) -> tuple[Effects, bool]:
    """Tell what a text does to its session, and whether that is sure."""
    scanned = _Scan(Findings(tracked))
    try:
        for statement in statements(sql, backslash_escapes=backslash_escapes):
            scanned.add(statement)
    except UnreadableSql:
        return UNREAD, False
    return scanned.findings.effects, scanned.is_sure


def block_pins(body: bytes, language: bytes, tracked: frozenset[str]) -> frozenset[PinReason]:
    """Tell what the body of a DO block may leave behind: PL/pgSQL is read, anything else may do all."""
    if language.lower() != BLOCK_LANGUAGE:
        return frozenset({PinReason.BLOCK})
    try:
        inside = list(tokens(body))
    except UnreadableSql:
        return frozenset({PinReason.BLOCK})
    words = _words(inside)
    found = set(_evidence(inside, words, tracked))
    if not _DO_WORDS.isdisjoint(words) or any(_is_set(inside, words, at) for at in range(len(words))):
        found.add(PinReason.BLOCK)
    return frozenset(found)


def _is_set(inside: Sequence[Token], words: Sequence[bytes], at: int) -> bool:
    """Whether a SET for the session begins there, not the SET of an UPDATE."""
    begins = at == 0 or inside[at - 1].text in _BEFORE_STATEMENTS
    return words[at] == b"set" and begins and words[at + 1 : at + 2] != (b"local",)


def _words(statement: Sequence[Token]) -> tuple[bytes, ...]:
    return tuple(token.text if token.kind is TokenKind.WORD else b"" for token in statement)


class _Scan:
    """A text's statements, one after the other."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.is_sure = True

    def add(self, statement: Sequence[Token]) -> None:
        """Take note of the next statement."""
        words = _words(statement)
        self._add_first_word(statement, words)
        for reason in _evidence(statement, words, self.findings.tracked):
            self.findings.pin(reason)
            self.is_sure = False

    def _add_first_word(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        take = _TAKE.get(words[0])
        if take is not None:
            take(self, statement, words)
        if all(token.kind in _SPOKEN for token in statement):
            lifted = _LIFTING.get(tuple(token.text for token in statement))
            self.findings.lift(frozenset() if lifted is None else frozenset({lifted}))

    def _listen(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        self.findings.pin(PinReason.LISTEN)

    def _load(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        self.findings.pin(PinReason.LIBRARY)

    def _declare(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        if (b"with", b"hold") in pairwise(words):
            self.findings.pin(PinReason.CURSOR)

    def _prepare(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        is_two_phase = words[1:2] == (b"transaction",) and statement[2:] and statement[2].kind in _CONSTANTS
        if not is_two_phase:
            self.findings.pin(PinReason.PREPARED)

    def _create(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        pairs = list(pairwise(words))
        if (b"as", b"execute") in pairs:
            at = pairs.index((b"as", b"execute")) + 1
            self._name(statement[at:], words[at:])

    def _set(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        findings = self.findings
        after = 1 if words[1:2] != (b"session",) or words[2:3] in _AFTER_SESSION else 2
        if len(statement) <= after:
            return
        if statement[after + 1 : after + 2] and statement[after + 1].text == b".":
            findings.pin(PinReason.VARIABLE)  # an extension's, whatever it begins with
            return
        variable = _variable(statement, words, after)
        if _PATH_VARIABLE in (variable, _variable(statement, words, min(after + 1, len(words) - 1))):
            self._set_path(statement)
        if words[after] in (b"local", b"transaction", b"constraints"):
            return
        if words[after] == b"session":
            is_role = words[after + 1 : after + 2] == (b"authorization",)
            findings.pin(PinReason.ROLE if is_role else PinReason.VARIABLE)
        elif words[-1] == b"default" or (variable == "timezone" and words[-1] == b"local"):
            findings.reset(variable)
        else:
            findings.set(variable)

    def _set_path(self, statement: Sequence[Token]) -> None:
        path = _path(statement)
        if path is None:
            self.is_sure = False
        self.findings.set_path(path or TEMPORARY_SCHEMA)

    def _reset(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        if words[1:2] == (b"all",):
            self.findings.lift(frozenset({PinReason.VARIABLE}))
            self.findings.reset_all()
        elif len(statement) > 1:
            self.findings.reset(_variable(statement, words, 1))

    def _discard(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        what = words[1:2]
        if what == (b"all",):
            self.findings.discard_all()
        elif what:
            self.findings.lift(_DISCARDS.get(what[0], frozenset()))

    def _name(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        after = 2 if words[:2] == (b"deallocate", b"prepare") and len(statement) > 2 else 1
        if len(statement) <= after:
            return
        if words[0] == b"execute":
            self.findings.execute(statement[after].text)
        elif words[after] == b"all":
            self.findings.deallocate_all()
        else:
            self.findings.deallocate(statement[after].text)

    def _explain(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        """Take what is explained for executed: with ANALYZE it is."""
        after = 1
        if len(statement) > 1 and statement[1].text == b"(":
            closing = [at for at, token in enumerate(statement) if token.text == b")"]
            after = closing[0] + 1 if closing else len(statement)
        while words[after : after + 1] in ((b"analyze",), (b"analyse",), (b"verbose",)):
            after += 1
        if after < len(statement):
            self._add_first_word(statement[after:], words[after:])

    def _do(self, statement: Sequence[Token], words: tuple[bytes, ...]) -> None:
        language = BLOCK_LANGUAGE
        rest = list(statement[1:])
        if b"language" in words and words.index(b"language") + 1 < len(statement):
            at = words.index(b"language")
            language = statement[at + 1].text
            del rest[at - 1 : at + 1]
        if len(rest) != 1 or (rest[0].kind is TokenKind.STRING and (b"\\" in rest[0].text or b"''" in rest[0].text)):
            self.findings.pin(PinReason.BLOCK)
            self.is_sure = False
            return
        for reason in block_pins(rest[0].text, language, self.findings.tracked):
            self.findings.pin(reason)


_TAKE: Mapping[bytes, Callable[[_Scan, Sequence[Token], tuple[bytes, ...]], None]] = {
    b"set": _Scan._set,
    b"reset": _Scan._reset,
    b"discard": _Scan._discard,
    b"execute": _Scan._name,
    b"deallocate": _Scan._name,
    b"declare": _Scan._declare,
    b"prepare": _Scan._prepare,
    b"explain": _Scan._explain,
    b"create": _Scan._create,
    b"do": _Scan._do,
    b"listen": _Scan._listen,
    b"load": _Scan._load,
}


def _variable(statement: Sequence[Token], words: Sequence[bytes], at: int) -> str:
    return _SPOKEN_VARIABLES.get(words[at], statement[at].text.decode("utf-8", "replace").lower())


def _path(tokens_of_it: Sequence[Token]) -> str | None:
    """Give a search_path's schemas as they are spelled; None when they are spelled with escapes."""
    spelled = b" ".join(token.text for token in tokens_of_it)
    return None if b"\\" in spelled or b"uescape" in spelled.lower() else spelled.decode("utf-8", "replace")


def _evidence(statement: Sequence[Token], words: Sequence[bytes], tracked: frozenset[str]) -> set[PinReason]:
    """Find what may pin wherever it stands: functions called, temporary relations made, pg_temp named."""
    found = set()
    for position, token in enumerate(statement):
        if token.kind is TokenKind.WORD and token.text in _TEMPORARY:
            before = statement[position - 1].text if position else b""
            if before in _BEFORE_TEMPORARY and not _drops_on_commit(words):
                found.add(PinReason.TEMPORARY)
        if token.kind not in _NAMES:
            continue
        if token.text.startswith(_TEMPORARY_SCHEMA):
            found.add(PinReason.TEMPORARY)
        if token.text == _SETTINGS_VIEW and b"update" in words:
            found.add(PinReason.VARIABLE)
        if position + 1 < len(statement) and statement[position + 1].text == b"(":
            if token.text in _FUNCTIONS:
                found.add(_FUNCTIONS[token.text])
            elif token.text == _SET_CONFIG:
                found |= _set_config(statement[position + 2 :], tracked)
    return found


def _drops_on_commit(words: Sequence[bytes]) -> bool:
    return any(words[at : at + 3] == (b"on", b"commit", b"drop") for at in range(len(words)))


def _set_config(arguments: Sequence[Token], tracked: frozenset[str]) -> set[PinReason]:
    """Tell what a call of it leaves: nothing of a tracked variable, nor of constants with is_local true."""
    if len(arguments) < 6 or arguments[0].kind is not TokenKind.STRING or b"\\" in arguments[0].text:
        return {PinReason.VARIABLE}
    name = arguments[0].text.decode("utf-8", "replace").lower()
    found = set()
    if name == _PATH_VARIABLE and TEMPORARY_SCHEMA in (_path(arguments) or TEMPORARY_SCHEMA).lower():
        found.add(PinReason.TEMPORARY)
    is_local = [token.text for token in arguments[3:6]] == [b",", b"true", b")"]
    if arguments[1].text != b"," or not (name in tracked or is_local):
        found.add(PinReason.VARIABLE)
    return found
