"""Which route answers a request. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar
from urllib.parse import unquote

from workshape.errors import Conflict, Invalid

T = TypeVar("T")

ANY = "ANY"
DEFAULT = "$default"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", ANY})

_VARIABLE = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}")


class SameRequests(Conflict):
    """the routes {one!r} and {other!r} are for the same requests"""

    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """The route chosen, and what its path variables caught, percent-decoded."""

    key: str
    target: T
    parameters: dict[str, str]


class _Kind(IntEnum):
    """What a segment of a route's path is; a smaller one is the more specific."""

    LITERAL = 0
    VARIABLE = 1
    GREEDY = 2


@dataclass(frozen=True, slots=True)
class _Pattern(Generic[T]):
    key: str
    target: T
    method: str
    segments: tuple[tuple[_Kind, str], ...]

    @property
    def rank(self) -> tuple[bool, tuple[_Kind, ...], bool]:
        """Orders patterns that match the same path: full matches, then greedy ones, then ANY after a method."""
        kinds = tuple(kind for kind, _ in self.segments)
        return _Kind.GREEDY in kinds, kinds, self.method == ANY


class RouteTable(Generic[T]):
    """An API's routes. A full match goes before a greedy one, a literal segment before a variable, a method before
    ANY; a greedy variable that begins later goes before one that begins earlier; `$default` comes last."""

    def __init__(self, routes: Iterable[tuple[str, T]]) -> None:
        """Read the routes: a key (`METHOD /path`, with `{variables}` and at its end perhaps a greedy `{variable+}`; or
        `$default`), and what is behind it.

        Raises:
            Invalid: a key is not a route key.
            SameRequests: two are for the same requests.
        """
        self._default: Match[T] | None = None
        patterns: list[_Pattern[T]] = []
        for key, target in routes:
            if key != DEFAULT:
                patterns.append(_pattern(key, target))
            elif self._default is None:
                self._default = Match(key, target, {})
            else:
                raise SameRequests(one=DEFAULT, other=DEFAULT)
        _refuse_ambiguity(patterns)
        self._patterns = sorted(patterns, key=lambda pattern: pattern.rank)
        self._literal = {
            (pattern.method, tuple(text for _, text in pattern.segments)): Match(pattern.key, pattern.target, {})
            for pattern in patterns
            if all(kind is _Kind.LITERAL for kind, _ in pattern.segments)
        }

    def __repr__(self) -> str:
        return f"<RouteTable {len(self._patterns)} routes default={self._default is not None}>"

    def find(self, method: str, raw_path: str) -> Match[T] | None:
        """Choose the route for a request; the path is still percent-encoded."""
        segments = _segments(raw_path)
        # Nothing is more specific than all literals and the method.
        found = self._literal.get((method, tuple(map(unquote, segments))))
        if found is not None:
            return found
        for pattern in self._patterns:
            if pattern.method in (method, ANY):
                parameters = _parameters(pattern.segments, segments)
                if parameters is not None:
                    return Match(pattern.key, pattern.target, parameters)
        return self._default


def check_route_key(key: str) -> None:
    """Check that a key is one.

    Raises:
        Invalid: it is not.
    """
    if key != DEFAULT:
        _pattern(key, None)


def _pattern(key: str, target: T) -> _Pattern[T]:
    method, space, path = key.partition(" ")
    if not space or method not in METHODS or not path.startswith("/"):
        reason = f"the route {key!r} is not METHOD /path ({', '.join(sorted(METHODS))}) or $default"
        raise Invalid(reason=reason)
    segments = tuple(_kind(segment, key) for segment in _segments(path))
    if any(kind is _Kind.GREEDY for kind, _ in segments[:-1]):
        raise Invalid(reason=f"the route {key!r} has a greedy variable that is not at its end")
    names = [name for kind, name in segments if kind is not _Kind.LITERAL]
    if len(set(names)) < len(names):
        raise Invalid(reason=f"the route {key!r} names a variable twice")
    return _Pattern(key, target, method, segments)


def _kind(segment: str, key: str) -> tuple[_Kind, str]:
    if variable := _VARIABLE.fullmatch(segment):
        return (_Kind.GREEDY if variable[2] else _Kind.VARIABLE), variable[1]
    if "{" in segment or "}" in segment:
        raise Invalid(reason=f"the route {key!r}: {segment!r} is neither a whole variable nor plain text")
    return _Kind.LITERAL, unquote(segment)


def _refuse_ambiguity(patterns: Sequence[_Pattern[T]]) -> None:
    seen: dict[tuple[str, tuple[tuple[_Kind, str], ...]], str] = {}
    for pattern in patterns:
        shape = tuple((kind, name if kind is _Kind.LITERAL else "") for kind, name in pattern.segments)
        if (pattern.method, shape) in seen:
            raise SameRequests(one=seen[pattern.method, shape], other=pattern.key)
        seen[pattern.method, shape] = pattern.key


def _segments(raw_path: str) -> list[str]:
    return raw_path.removeprefix("/").split("/")


def _parameters(pattern: Sequence[tuple[_Kind, str]], path: Sequence[str]) -> dict[str, str] | None:
    """Lay a path over a pattern: what the variables catch, or None where they differ."""
    parameters: dict[str, str] = {}
    for index, (kind, name) in enumerate(pattern):
        if kind is _Kind.GREEDY:
            rest = "/".join(path[index:])
            if not rest:
                return None
            parameters[name] = unquote(rest)
            return parameters
        if index >= len(path):
            return None
        text = unquote(path[index])
        if kind is _Kind.LITERAL:
            if text != name:
                return None
        elif not text:
            return None
        else:
            parameters[name] = text
    return parameters if len(path) == len(pattern) else None
