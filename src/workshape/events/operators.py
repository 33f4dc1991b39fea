"""The match expressions of an event pattern, `{"prefix": "x"}` and the others, as tests on one value. A core.

Reasons for refusals are worded as in the matcher that AWS publishes, since EventBridge shows them to its users.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
Source: https://github.com/aws/event-ruler
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from itertools import pairwise
from operator import eq, ge, gt, le, lt
from typing import Any

from workshape.errors import Invalid
from workshape.events.dialects import (
    ANYTHING_BUT,
    CIDR,
    EQUALS_IGNORE_CASE,
    EXISTS,
    NUMERIC,
    PREFIX,
    SUFFIX,
    WILDCARD,
    Dialect,
)

Test = Callable[[object], bool]

_LOWER_BOUNDS = {">": gt, ">=": ge}
_UPPER_BOUNDS = {"<": lt, "<=": le}


class InvalidPattern(Invalid):
    """{reason}"""


class JsonNumber(float):
    """A number that remembers how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "JsonNumber":
        """Read a number of JSON."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def is_number(value: object) -> bool:
    """Tell whether a value of JSON is a number: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_text(value: int | float) -> str:
    """How a number was written, as far as is known."""
    return value.text if isinstance(value, JsonNumber) else repr(value)


def number_place(value: object, dialect: Dialect) -> int | None:
    """Where a number lies, in units of the last digit that counts; None when it is none, or out of range."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= dialect.number_max:
        return None
    place: int = round(value * 10**dialect.number_digits)
    return place


def compile_expression(expression: Mapping[str, Any], dialect: Dialect) -> Test:
    """Make the test that an expression stands for; all but `exists: false`, which no value can pass.

    Raises:
        InvalidPattern: it is none of this dialect's.
    """
    name, argument = only_entry(expression, "Match expression name not found")
    if name not in dialect.operators:
        raise InvalidPattern(reason=f"Unrecognized match type {name}")
    if isinstance(argument, dict) and name in (PREFIX, SUFFIX, ANYTHING_BUT):
        return _compile_nested(name, argument, dialect)
    return _COMPILERS[name](argument, dialect)


def only_entry(expression: Mapping[str, Any], reason_empty: str) -> tuple[str, Any]:
    """Take an object's single member.

    Raises:
        InvalidPattern: it has none, or more than one.
    """
    if not expression:
        raise InvalidPattern(reason=reason_empty)
    if len(expression) > 1:
        raise InvalidPattern(reason="Only one key allowed in match expression")
    return next(iter(expression.items()))


def _compile_nested(outer: str, argument: Mapping[str, Any], dialect: Dialect) -> Test:
    inner, value = only_entry(argument, f"{outer.capitalize()} expression name not found")
    if f"{outer}/{inner}" not in dialect.operators:
        raise InvalidPattern(reason=f"Unsupported {outer} pattern: {inner}")
    if outer == ANYTHING_BUT:
        values = value if isinstance(value, list) else [value]
        if not values:
            raise InvalidPattern(reason="Empty arrays are not allowed")
        if inner in (PREFIX, SUFFIX) and "" in values:
            raise InvalidPattern(reason="Null prefix/suffix not allowed")
        return _none_of([_COMPILERS[inner](each, dialect) for each in values])
    affix = _text(value, EQUALS_IGNORE_CASE).lower()
    if outer == PREFIX:
        return lambda value: isinstance(value, str) and value.lower().startswith(affix)
    return lambda value: isinstance(value, str) and value.lower().endswith(affix)


def _none_of(tests: list[Test]) -> Test:
    return lambda value: not any(test(value) for test in tests)


def _text(argument: object, name: str) -> str:
    if not isinstance(argument, str):
        raise InvalidPattern(reason=f"{name} match pattern must be a string")
    return argument


def _prefix(argument: object, _: Dialect) -> Test:
    prefix = _text(argument, PREFIX)
    return lambda value: isinstance(value, str) and value.startswith(prefix)


def _suffix(argument: object, _: Dialect) -> Test:
    suffix = _text(argument, SUFFIX)
    return lambda value: isinstance(value, str) and value.endswith(suffix)


def _equals_ignore_case(argument: object, _: Dialect) -> Test:
    wanted = _text(argument, EQUALS_IGNORE_CASE).lower()
    return lambda value: isinstance(value, str) and value.lower() == wanted


def _exists(argument: object, dialect: Dialect) -> Test:
    if not isinstance(argument, bool):
        raise InvalidPattern(reason="exists match pattern must be either true or false.")
    if dialect.exists_wants_content:
        return lambda value: argument and value is not None and value != ""
    return lambda _value: argument


def _cidr(argument: object, _: Dialect) -> Test:
    text = _text(argument, CIDR)
    if text.count("/") != 1:
        raise InvalidPattern(reason="Malformed CIDR, one '/' required")
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidPattern(reason=f"Malformed CIDR, {error}") from error

    def holds(value: object) -> bool:
        if not isinstance(value, str):
            return False
        try:
            return ip_address(value) in network
        except ValueError:
            return False

    return holds


def _anything_but(argument: object, dialect: Dialect) -> Test:
    values = argument if isinstance(argument, list) else [argument]
    if all(isinstance(value, str) for value in values) and values:
        texts = frozenset(values)
        return lambda value: not isinstance(value, str) or value not in texts
    if all(is_number(value) for value in values) and values:
        places = frozenset(_place(value, dialect) for value in values)
        return lambda value: number_place(value, dialect) not in places
    if any(not isinstance(value, str) and not is_number(value) for value in values):
        raise InvalidPattern(reason="Inside anything but list, start|null|boolean is not supported.")
    reason = "Inside anything but list, either all values are number or string, mixed type is not supported"
    raise InvalidPattern(reason=reason)


def _numeric(argument: object, dialect: Dialect) -> Test:
    if not isinstance(argument, list):
        raise InvalidPattern(reason="Value of numeric must be an array.")
    bounds = _bounds(argument, dialect)
    if len(bounds) == 1:
        ((compare, limit),) = bounds

        def holds_one(value: object) -> bool:
            place = number_place(value, dialect)
            return place is not None and compare(place, limit)

        return holds_one
    (above, low), (below, high) = bounds
    if low > high or (low == high and (above is gt or below is lt)):
        raise InvalidPattern(reason="Bottom must be less than top")

    def holds_both(value: object) -> bool:
        place = number_place(value, dialect)
        return place is not None and above(place, low) and below(place, high)

    return holds_both


def _bounds(terms: list[Any], dialect: Dialect) -> list[tuple[Callable[[int, int], bool], int]]:
    """Read one or two bounds: `=`, one of `<` and `<=`, or `>` or `>=` and perhaps one of those."""
    if not terms or not isinstance(terms[0], str):
        raise InvalidPattern(reason=f"Invalid member in numeric match: {_shown(terms[0] if terms else ']')}")
    operator = terms[0]
    if operator not in {"=", *_LOWER_BOUNDS, *_UPPER_BOUNDS}:
        raise InvalidPattern(reason=f"Unrecognized numeric range operator: {operator}")
    for symbol, number in zip(terms[::2], terms[1::2], strict=False):
        if not is_number(number):
            raise InvalidPattern(reason=f"Value of {'equals' if symbol == '=' else symbol} must be numeric")
    if len(terms) % 2:
        raise InvalidPattern(reason=f"Value of {_shown(terms[-1])} must be numeric")
    first = _place(terms[1], dialect)
    if operator in _LOWER_BOUNDS:
        return [(_LOWER_BOUNDS[operator], first), *_upper_bound(terms[2:], dialect)]
    if len(terms) > 2:
        raise InvalidPattern(reason="Too many elements in numeric expression")
    return [(eq if operator == "=" else _UPPER_BOUNDS[operator], first)]


def _upper_bound(terms: list[Any], dialect: Dialect) -> list[tuple[Callable[[int, int], bool], int]]:
    if not terms:
        return []
    if not isinstance(terms[0], str) or terms[0] not in _UPPER_BOUNDS:
        raise InvalidPattern(reason=f"Bad numeric range operator: {_shown(terms[0])}")
    if len(terms) > 2:
        raise InvalidPattern(reason="Too many terms in numeric range expression")
    return [(_UPPER_BOUNDS[terms[0]], _place(terms[1], dialect))]


def _place(value: object, dialect: Dialect) -> int:
    place = number_place(value, dialect)
    if place is None:
        reason = f"Value must be between -{dialect.number_max:.1E} and {dialect.number_max:.1E}, inclusive"
        raise InvalidPattern(reason=reason)
    return place


def _shown(term: object) -> str:
    return term.text if isinstance(term, JsonNumber) else str(term)


def _wildcard(argument: object, _: Dialect) -> Test:
    """Make a test that looks for one literal part after the other: linear, where a regular expression backtracks."""
    first, *others = _wildcard_parts(_text(argument, WILDCARD))
    if not others:
        return lambda value: value == first
    *middle, last = others

    def holds(value: object) -> bool:
        if not isinstance(value, str) or not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return at <= end

    return holds


def _wildcard_parts(text: str) -> list[str]:
    r"""Cut at each `*`; `\*` and `\\` stand for the character itself."""
    parts, escaped = [""], False
    for at, (character, following) in enumerate(pairwise(text + "\0")):
        if escaped:
            parts[-1] += character
            escaped = False
        elif character == "\\":
            if following not in ("*", "\\"):
                raise InvalidPattern(reason=f"Invalid escape character at pos {at}")
            escaped = True
        elif character == "*":
            if following == "*":
                raise InvalidPattern(reason=f"Consecutive wildcard characters at pos {at}")
            parts.append("")
        else:
            parts[-1] += character
    return parts


_COMPILERS: Mapping[str, Callable[[object, Dialect], Test]] = {
    PREFIX: _prefix,
    SUFFIX: _suffix,
    EQUALS_IGNORE_CASE: _equals_ignore_case,
    EXISTS: _exists,
    CIDR: _cidr,
    ANYTHING_BUT: _anything_but,
    NUMERIC: _numeric,
    WILDCARD: _wildcard,
}
