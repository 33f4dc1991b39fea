"""What a service model demands of values beside their type: required members, lengths, ranges, patterns, enums.

The wording is AWS's, as its services answer (`ValidationException`); the documentation does not give it.
"""

from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from workshape.aws.protocol.errors import ConstraintsViolated
from workshape.aws.protocol.patterns import compile_pattern

Check = Callable[[Any, str, list[str]], None]
"""Takes a value and its place, adds a sentence for each violation."""

SHOWN_CHARACTERS_MAX = 1_000  # of a value, in an error: enough to recognise it by
_LENGTH_TYPES = {"string", "character", "list", "map", "blob"}
_RANGE_TYPES = {"integer", "long", "float", "double"}


class Constraints:
    """The checks of one service."""

    def __init__(self) -> None:
        self._structures: dict[str, Check] = {}

    def check_input(self, shape: StructureShape | None) -> Callable[[dict[str, Any]], None]:
        """Make the check of an operation's input, which raises `ConstraintsViolated`."""
        check = self._check(shape) if shape is not None else None

        def check_all(value: dict[str, Any]) -> None:
            found: list[str] = []
            if check is not None:
                check(value, "", found)
            if found:
                errors = "error" if len(found) == 1 else "errors"
                summary = f"{len(found)} validation {errors} detected"
                raise ConstraintsViolated(summary=summary, violations="; ".join(found))

        return check_all

    def _check(self, shape: Shape) -> Check | None:
        """Make, or find, the check of a shape; None: anything goes."""
        if isinstance(shape, StructureShape):
            return self._structure_check(shape)
        own = _own_checks(shape)
        if isinstance(shape, ListShape):
            member = self._check(shape.member)
            if member is not None:
                own.append(_list_check(member))
        elif isinstance(shape, MapShape):
            key, value = self._check(shape.key), self._check(shape.value)
            if key is not None or value is not None:
                own.append(_map_check(key, value))
        return _all_of(own)

    def _structure_check(self, shape: StructureShape) -> Check:
        if shape.name in self._structures:
            return self._structures[shape.name]
        checks: dict[str, Check] = {}
        required = tuple((name, _first_lower(name)) for name in shape.required_members)

        def check(value: Any, place: str, found: list[str]) -> None:
            prefix = f"{place}." if place else ""
            for name, shown in required:
                if name not in value:
                    found.append(_violation("null", prefix + shown, "Member must not be null"))
            for name, item in value.items():
                member = checks.get(name)
                if member is not None:
                    member(item, prefix + _first_lower(name), found)

        self._structures[shape.name] = check
        for name, member in shape.members.items():
            member_check = self._check(member)
            if member_check is not None:
                checks[name] = member_check
        return check


def _own_checks(shape: Shape) -> list[Check]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    show = _hidden if shape.metadata.get("sensitive") else _shown
    checks = []
    if (least is not None or most is not None) and shape.type_name in _LENGTH_TYPES:
        checks.append(_bounds_check(len, "length", least, most, show))
    if (least is not None or most is not None) and shape.type_name in _RANGE_TYPES:
        checks.append(_bounds_check(lambda value: value, "value", least, most, show))
    if pattern := shape.metadata.get("pattern"):
        checks += _pattern_checks(pattern, show)
    if isinstance(shape, StringShape) and shape.enum:
        checks.append(_enum_check(tuple(shape.enum), show))
    return checks


def _bounds_check(
    measure: Callable[[Any], float], what: str, least: float | None, most: float | None, show: Callable[[Any], str]
) -> Check:
    low, high = (float("-inf") if least is None else least), (float("inf") if most is None else most)

    def check(value: Any, place: str, found: list[str]) -> None:
        size = measure(value)
        if size < low:
            found.append(_violation(show(value), place, f"Member must have {what} greater than or equal to {least}"))
        elif size > high:
            found.append(_violation(show(value), place, f"Member must have {what} less than or equal to {most}"))

    return check


def _pattern_checks(pattern: str, show: Callable[[Any], str]) -> list[Check]:
    compiled = compile_pattern(pattern)
    if compiled is None:
        return []

    def check(value: Any, place: str, found: list[str]) -> None:
        if compiled.fullmatch(value) is None:
            found.append(_violation(show(value), place, f"Member must satisfy regular expression pattern: {pattern}"))

    return [check]


def _enum_check(values: tuple[str, ...], show: Callable[[Any], str]) -> Check:
    known = frozenset(values)

    def check(value: Any, place: str, found: list[str]) -> None:
        if value not in known:
            found.append(_violation(show(value), place, f"Member must satisfy enum value set: [{', '.join(values)}]"))

    return check


def _list_check(member: Check) -> Check:
    def check(value: Any, place: str, found: list[str]) -> None:
        for number, item in enumerate(value, 1):
            member(item, f"{place}.{number}.member", found)

    return check


def _map_check(key_check: Check | None, value_check: Check | None) -> Check:
    def check(value: Any, place: str, found: list[str]) -> None:
        for key, item in value.items():
            if key_check is not None:
                key_check(key, f"{place}.key", found)
            if value_check is not None:
                value_check(item, f"{place}.{key}.member", found)

    return check


def _all_of(checks: list[Check]) -> Check | None:
    if len(checks) < 2:
        return checks[0] if checks else None

    def check(value: Any, place: str, found: list[str]) -> None:
        for each in checks:
            each(value, place, found)

    return check


def _violation(shown: str, place: str, rule: str) -> str:
    return f"Value {shown} at '{place}' failed to satisfy constraint: {rule}"


def _shown(value: Any) -> str:
    return f"'{str(value)[:SHOWN_CHARACTERS_MAX]}'"


def _hidden(_value: Any) -> str:
    return "'***'"


def _first_lower(name: str) -> str:
    return name[:1].lower() + name[1:]
