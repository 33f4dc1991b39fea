"""SQL text as tokens and statements, as PostgreSQL's own lexer cuts it: comments nest, dollar quotes have tags.

Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from workshape.errors import CallerError


class TokenKind(Enum):
    """What a token is; comments and white space are none."""

    WORD = auto()
    """A key word or a name without quotes; its text is in lower case."""
    NAME = auto()
    """A name in double quotes; its text is without them."""
    STRING = auto()
    """A string constant; its text is what is between the quotes, escapes not resolved."""
    BODY = auto()
    """A dollar-quoted string constant; its text is what is between the tags."""
    OTHER = auto()
    """A number, a parameter, an operator's character."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token."""

    kind: TokenKind
    text: bytes


class UnreadableSql(CallerError):
    """The text ends inside a quote or a comment, or uses escapes in a name."""


# The possessive quantifiers keep an unterminated quote from costing more than one pass.
_TOKEN = re.compile(
    rb"""(?P<space>\s++|--[^\r\n]*+)
    |(?P<comment>/\*)
    |(?P<tag>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$)
    |(?P<escape>[eE]'(?P<escape_text>(?:[^'\\]++|\\.|'')*+)')
    |(?P<string>(?:[bBxXnN]|[uU]&)?'(?P<string_text>(?:[^']++|'')*+)')
    |(?P<unicode>[uU]&"(?P<unicode_text>(?:[^"]++|"")*+)")
    |(?P<name>"(?P<name_text>(?:[^"]++|"")*+)")
    |(?P<open>(?:[eEbBxXnN]|[uU]&)?'|(?:[uU]&)?")
    |(?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+)
    |(?P<number>\d[\d.]*+)
    |(?P<parameter>\$\d++)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_CONTINUATION = re.compile(rb"(?:\s++|--[^\r\n]*+)++'")
_BACKSLASH_STRING = re.compile(rb"[nN]?'((?:[^'\\]++|\\.|'')*+)'", re.DOTALL)


def statements(sql: bytes, *, backslash_escapes: bool = False) -> Iterator[list[Token]]:
    """Give the statements of a text, empty ones left out.

    `backslash_escapes` as with `standard_conforming_strings = off`.

    Raises:
        UnreadableSql: the server would not take it, or reads it in a way that is not followed here.
    """
    statement: list[Token] = []
    for token in tokens(sql, backslash_escapes=backslash_escapes):
        if token.kind is TokenKind.OTHER and token.text == b";":
            if statement:
                yield statement
            statement = []
        else:
            statement.append(token)
    if statement:
        yield statement


def tokens(sql: bytes, *, backslash_escapes: bool = False) -> Iterator[Token]:
    """Give the tokens of a text.

    Raises:
        UnreadableSql: see `statements`.
    """
    position = 0
    while position < len(sql):
        found = _TOKEN.match(sql, position)
        assert found is not None, "the last alternative matches anything"
        kind = found.lastgroup or ""
        end = found.end()
        if kind == "comment":
            end = _comment_end(sql, end)
        elif kind == "tag":
            close = sql.find(found.group(), end)
            if close < 0:
                raise UnreadableSql
            yield Token(TokenKind.BODY, sql[end:close])
            end = close + len(found.group())
        elif kind in ("string", "open") and backslash_escapes and sql[position : position + 1] in b"'nN":
            again = _BACKSLASH_STRING.match(sql, position)
            if again is None:
                raise UnreadableSql
            yield Token(TokenKind.STRING, again.group(1))
            end = again.end()
        elif kind == "escape" and _CONTINUATION.match(sql, end):  # it goes on, with escapes, on the next line
            raise UnreadableSql
        elif kind != "space":
            yield _token(kind, found)
        position = end


def _token(kind: str, found: re.Match[bytes]) -> Token:
    match kind:
        case "word":
            return Token(TokenKind.WORD, found.group().lower())
        case "name":
            return Token(TokenKind.NAME, found.group("name_text").replace(b'""', b'"'))
        case "string" | "escape":
            return Token(TokenKind.STRING, found.group(f"{kind}_text"))
        case "unicode" if b"\\" not in found.group("unicode_text") and b"uescape" not in found.string.lower():
            return Token(TokenKind.NAME, found.group("unicode_text"))
        case "open" | "unicode":
            raise UnreadableSql
        case _:
            return Token(TokenKind.OTHER, found.group())


def _comment_end(sql: bytes, position: int) -> int:
    """Find where the comment ends whose `/*` ended at `position`; comments nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, position)
        if edge is None:
            raise UnreadableSql
        depth += 1 if edge.group() == b"/*" else -1
        position = edge.end()
    return position
