"""Statements that want a database for themselves: the server refuses them while anybody is connected to it. A core.

The proxy's idle connections are nobody's, and so must not stand in the way.

Source: https://www.postgresql.org/docs/current/sql-dropdatabase.html,
https://www.postgresql.org/docs/current/sql-alterdatabase.html,
https://www.postgresql.org/docs/current/manage-ag-templatedbs.html
"""

import re
from collections.abc import Sequence

from workshape.pgproxy.sql_tokens import Token, TokenKind, UnreadableSql, statements

DEFAULT_TEMPLATE = "template1"
_COMMAND = re.compile(rb"(?:drop|alter|create)(?:\s|--[^\n]*+\n|/\*.*?\*/)++database\b", re.IGNORECASE | re.DOTALL)
_SPOKEN = frozenset({TokenKind.WORD, TokenKind.NAME})


def wants_a_database_alone(sql: bytes) -> bool:
    """Whether a text may do so; surely not, if False."""
    return _COMMAND.search(sql) is not None


def databases_wanted_alone(sql: bytes, *, backslash_escapes: bool = False) -> tuple[str, ...]:
    """Name the databases that a text drops, renames, moves or copies."""
    if not wants_a_database_alone(sql):
        return ()
    try:
        read = [_wanted(statement) for statement in statements(sql, backslash_escapes=backslash_escapes)]
    except UnreadableSql:
        return ()
    return tuple(name for name in read if name)


def _wanted(statement: Sequence[Token]) -> str:
    words = [token.text if token.kind is TokenKind.WORD else b"" for token in statement]
    match words[:2]:
        case [b"drop", b"database"]:
            return _name(statement, 4 if words[2:4] == [b"if", b"exists"] else 2)
        case [b"alter", b"database"] if words[3:5] in ([b"rename", b"to"], [b"set", b"tablespace"]):
            return _name(statement, 2)
        case [b"create", b"database"]:
            return _template(statement, words)
    return ""


def _template(statement: Sequence[Token], words: Sequence[bytes]) -> str:
    if b"template" not in words[3:]:
        return DEFAULT_TEMPLATE
    after = words.index(b"template", 3) + 1
    at = after + (statement[after : after + 1] == [Token(TokenKind.OTHER, b"=")])
    return DEFAULT_TEMPLATE if words[at : at + 1] == [b"default"] else _name(statement, at)


def _name(statement: Sequence[Token], at: int) -> str:
    if len(statement) <= at or statement[at].kind not in _SPOKEN:
        return ""
    return statement[at].text.decode("utf-8", "replace")
