"""Filter patterns: terms for any message, conditions on properties for messages in JSON. A core.

    ERROR Exception         both are in the message          ?ERROR ?WARN       one of them is
    -INFO                   it is not                        "a phrase"         it is, blanks and all
    { ($.level = "ERROR" || $.ms > 100) && $.user.id IS NOT NULL ... }

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Any

import msgspec

from workshape.aws.logs.errors import InvalidFilterPattern, NotBuilt

Matches = Callable[[str], bool]
"""Tells whether a message matches."""
Condition = Callable[[Any], bool]
"""Tells whether a decoded JSON document meets it."""

DEPTH_MAX = 32  # of brackets; a pattern has 1,024 characters
_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))')
_ABSENT = object()
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<selector>\$(?:\.[\w-]+|\[\d+\]|\['[^']*'\])+)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<sign>&&|\|\||<=|>=|!=|[=<>()])|
    (?P<word>[\w.*:/@+-]+)|(?P<other>\S))""",
    re.VERBOSE,
)
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]|\['([^']*)'\]")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def compile_pattern(pattern: str) -> Matches:
    """Read a pattern; the empty one matches everything.

    Raises:
        InvalidFilterPattern: it is none. NotBuilt: CloudWatch has it, workshape does not.
    """
    text = pattern.strip()
    if text.startswith("["):
        raise NotBuilt(feature="filter patterns for space-delimited messages ([...])")
    if text.startswith("{"):
        return _in_json(_Conditions(text).read())
    return _terms(text)


def _terms(pattern: str) -> Matches:
    wanted: dict[str, list[str]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(pattern):
        found = _TERM.match(pattern, at)
        if found is None:
            raise InvalidFilterPattern(pattern=pattern, reason="a quotation mark has no partner")
        kind, phrase, term = found.groups()
        if term is not None and (term.startswith("%") or term.endswith("%")):
            raise NotBuilt(feature="regular expressions in filter patterns (%...%)")
        wanted[kind].append(term if phrase is None else re.sub(r"\\(.)", r"\1", phrase))
        at = found.end()
    every, either, none = wanted[""], wanted["?"], wanted["-"]
    if either and (every or none):
        raise NotBuilt(feature="?terms beside other terms in a filter pattern")
    return lambda message: (
        all(term in message for term in every)
        and not any(term in message for term in none)
        and (not either or any(term in message for term in either))
    )


def _in_json(condition: Condition) -> Matches:
    def matches(message: str) -> bool:
        if not message.lstrip().startswith(("{", "[")):
            return False
        try:
            return condition(msgspec.json.decode(message))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):  # the last: nested thousands deep
            return False

    return matches


class _Conditions:
    """Reads `{ condition {&& condition} {|| ...} }`; `&&` binds tighter."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        if not pattern.endswith("}"):
            raise InvalidFilterPattern(pattern=pattern, reason="it ends without a }")
        self._tokens = [(str(found.lastgroup), found[0].strip()) for found in _TOKEN.finditer(pattern[1:-1])]
        self._next = 0
        self._depth = 0

    def read(self) -> Condition:
        """Read all of it."""
        condition = self._either()
        if self._next < len(self._tokens):
            raise self._unexpected()
        return condition

    def _either(self) -> Condition:
        found = [self._both()]
        while self._take("||"):
            found.append(self._both())
        return found[0] if len(found) == 1 else lambda document: any(condition(document) for condition in found)

    def _both(self) -> Condition:
        found = [self._one()]
        while self._take("&&"):
            found.append(self._one())
        return found[0] if len(found) == 1 else lambda document: all(condition(document) for condition in found)

    def _one(self) -> Condition:
        if self._take("("):
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise InvalidFilterPattern(pattern=self._pattern, reason=f"it nests deeper than {DEPTH_MAX}")
            condition = self._either()
            self._depth -= 1
            if not self._take(")"):
                raise self._unexpected()
            return condition
        kind, selector = self._peek()
        if kind != "selector":
            raise self._unexpected()
        self._next += 1
        select = _selector(selector)
        kind, sign = self._peek()
        if kind == "word":
            return self._state(select)
        if sign not in _COMPARISONS:
            raise self._unexpected()
        self._next += 1
        kind, value = self._peek()
        if kind not in ("word", "text"):
            raise self._unexpected()
        self._next += 1
        return self._comparison(select, sign, kind, value)

    def _state(self, select: Callable[[Any], Any]) -> Condition:
        words = []
        while self._peek()[0] == "word":
            words.append(self._peek()[1].upper())
            self._next += 1
        match words:
            case ["EXISTS"]:
                return lambda document: select(document) is not _ABSENT
            case ["NOT", "EXISTS"]:
                return lambda document: select(document) is _ABSENT
            case ["IS", "TRUE" | "FALSE" | "NULL" as word]:
                expected = {"TRUE": True, "FALSE": False, "NULL": None}[word]
                return lambda document: select(document) is expected
        raise InvalidFilterPattern(pattern=self._pattern, reason=f"{' '.join(words)!r} is no condition")

    def _comparison(self, select: Callable[[Any], Any], sign: str, kind: str, value: str) -> Condition:
        if kind == "word" and _NUMBER.fullmatch(value):
            number, compare = float(value), _COMPARISONS[sign]
            return lambda document: _is_number(found := select(document)) and compare(found, number)
        if sign not in ("=", "!="):
            raise InvalidFilterPattern(pattern=self._pattern, reason=f"{sign} compares numbers, and {value} is none")
        text = re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "text" else value
        fits = re.compile(translate(text.replace("[", "[[]").replace("?", "[?]"))).match if "*" in text else None

        def is_it(found: Any) -> bool:
            return isinstance(found, str) and (fits(found) is not None if fits is not None else found == text)

        if sign == "=":
            return lambda document: is_it(select(document))
        return lambda document: (found := select(document)) is not _ABSENT and not is_it(found)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, sign: str) -> bool:
        if self._peek() != ("sign", sign):
            return False
        self._next += 1
        return True

    def _unexpected(self) -> InvalidFilterPattern | NotBuilt:
        kind, token = self._peek()
        if token == "%":  # noqa: S105 - a token of the pattern
            return NotBuilt(feature="regular expressions in filter patterns (%...%)")
        where = "at its end" if kind == "end" else f"at {token!r}"
        return InvalidFilterPattern(pattern=self._pattern, reason=f"it cannot be read {where}")


def _selector(selector: str) -> Callable[[Any], Any]:
    steps: list[str | int] = [
        int(number) if number else name or quoted for name, number, quoted in _STEP.findall(selector)
    ]

    def select(document: Any) -> Any:
        for step in steps:
            if isinstance(step, int):
                if not isinstance(document, list) or step >= len(document):
                    return _ABSENT
                document = document[step]
            elif not isinstance(document, dict) or step not in document:
                return _ABSENT
            else:
                document = document[step]
        return document

    return select


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
