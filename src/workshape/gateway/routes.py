"""Which route answers a request. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import unquote

from workshape.errors import Invalid

ANY = "ANY"
DEFAULT = "$default"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", ANY})

_VARIABLE = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A route key and the function behind it."""

    key: str
    """`METHOD /path`, with `{variables}` and at its end perhaps a greedy `{variable+}`; or `$default`."""
    function: str
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Match:
    """The route chosen, and what its path variables caught, percent-decoded."""

    route: Route
    parameters: dict[str, str]


class _Kind(IntEnum):
    """What a segment of a route's path is; a smaller one is the more specific."""

    LITERAL = 0
    VARIABLE = 1
    GREEDY = 2


@dataclass(frozen=True, slots=True)
class _Pattern:
    route: Route
    method: str
    segments: tuple[tuple[_Kind, str], ...]

    @property
    def rank(self) -> tuple[bool, tuple[_Kind, ...], bool]:
        """Orders patterns that match the same path: full matches, then greedy ones, then ANY after a method."""
        kinds = tuple(kind for kind, _ in self.segments)
        return _Kind.GREEDY in kinds, kinds, self.method == ANY


class RouteTable:
    """An API's routes. A full match goes before a greedy one, a literal segment before a variable, a method before
    ANY; a greedy variable that begins later goes before one that begins earlier; `$default` comes last."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Read the route keys.

        Raises:
            Invalid: a key is not a route key, or two are for the same requests.
        """
        self._default = next((route for route in routes if route.key == DEFAULT), None)
        patterns = [_pattern(route) for route in routes if route.key != DEFAULT]
        _refuse_ambiguity(patterns, sum(route.key == DEFAULT for route in routes))
        self._patterns = sorted(patterns, key=lambda pattern: pattern.rank)

    def __repr__(self) -> str:
        return f"<RouteTable {len(self._patterns)} routes default={self._default is not None}>"

    def find(self, method: str, raw_path: str) -> Match | None:
        """Choose the route for a request; the path is still percent-encoded."""
        segments = _segments(raw_path)
        for pattern in self._patterns:
            if pattern.method in (method, ANY):
                parameters = _parameters(pattern.segments, segments)
                if parameters is not None:
                    return Match(pattern.route, parameters)
        return Match(self._default, {}) if self._default is not None else None


def _pattern(route: Route) -> _Pattern:
    method, space, path = route.key.partition(" ")
    if not space or method not in METHODS or not path.startswith("/"):
        reason = f"the route {route.key!r} is not METHOD /path ({', '.join(sorted(METHODS))}) or $default"
        raise Invalid(reason=reason)
    segments = tuple(_kind(segment, route.key) for segment in _segments(path))
    if any(kind is _Kind.GREEDY for kind, _ in segments[:-1]):
        raise Invalid(reason=f"the route {route.key!r} has a greedy variable that is not at its end")
    names = [name for kind, name in segments if kind is not _Kind.LITERAL]
    if len(set(names)) < len(names):
        raise Invalid(reason=f"the route {route.key!r} names a variable twice")
    return _Pattern(route, method, segments)


def _kind(segment: str, key: str) -> tuple[_Kind, str]:
    if variable := _VARIABLE.fullmatch(segment):
        return (_Kind.GREEDY if variable[2] else _Kind.VARIABLE), variable[1]
    if "{" in segment or "}" in segment:
        raise Invalid(reason=f"the route {key!r}: {segment!r} is neither a whole variable nor plain text")
    return _Kind.LITERAL, unquote(segment)


def _refuse_ambiguity(patterns: Sequence[_Pattern], defaults: int) -> None:
    seen: dict[tuple[str, tuple[tuple[_Kind, str], ...]], _Pattern] = {}
    if defaults > 1:
        raise Invalid(reason="there are two $default routes")
    for pattern in patterns:
        shape = tuple((kind, name if kind is _Kind.LITERAL else "") for kind, name in pattern.segments)
        other = seen.setdefault((pattern.method, shape), pattern)
        if other is not pattern:
            keys = f"{other.route.key!r} and {pattern.route.key!r}"
            raise Invalid(reason=f"the routes {keys} are for the same requests")


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
