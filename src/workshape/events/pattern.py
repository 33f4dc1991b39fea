"""Event patterns: which events a rule, a filter or a subscription takes. A core.

A pattern is compiled once. Its `$or`s are multiplied out into branches of which one has to hold; a branch is a tree of
the fields it names, and is walked beside the event. As AWS's matcher does, dots in keys join what they stand between,
an array of objects counts as any one of its elements (two fields are found in the same one), and an array of values
as any one of its values.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html
Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import msgspec

from workshape.events.dialects import EVENT_BRIDGE, EXISTS, Dialect
from workshape.events.operators import (
    InvalidPattern,
    JsonNumber,
    Test,
    compile_expression,
    is_number,
    number_place,
    number_text,
)

OR = "$or"
BRANCHES_MAX = 1_000  # AWS: undocumented; enough for any pattern that a person writes, and walked in a millisecond
LEVELS_MAX = 100  # AWS: undocumented; enough for any event there is, and walked without running out of stack

Path = tuple[str, ...]
Branch = dict[Path, "Field"]

_NOTHING: Mapping[str, Any] = {}
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Field:
    """What a pattern accepts as one field's value."""

    texts: frozenset[str]
    constants: tuple[bool | None, ...]
    numbers: frozenset[str | int]
    """As they are written, or where they lie: see `Dialect.numbers_as_text`."""
    tests: tuple[Test, ...]
    or_absent: bool
    dialect: Dialect = field(repr=False)

    def accepts(self, value: object) -> bool:
        """Tell whether one value, no array and no object, is accepted."""
        if isinstance(value, str):
            if value in self.texts:
                return True
        elif value is None or isinstance(value, bool):
            if any(value is constant for constant in self.constants):
                return True
        elif self.numbers and isinstance(value, int | float):
            wanted = number_text(value) if self.dialect.numbers_as_text else number_place(value, self.dialect)
            if wanted in self.numbers:
                return True
        return any(test(value) for test in self.tests)


class _Node:
    """A step of the way to some fields, of one branch."""

    __slots__ = ("alone", "children", "dotted", "field", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.alone: _Node | None = None
        """The root of the way to here and nowhere else, to see whether the event has the field anywhere."""
        self.field: Field | None = None
        self.children: dict[str, _Node] = {}
        self.dotted: tuple[Path, ...] = ()
        """What an event may write as one key with dots in it: the ways to all that is more than a step away."""

    def __repr__(self) -> str:
        return f"<_Node {'.'.join(self.path)} {sorted(self.children)}>"


class _Asked:
    """An event, and of which fields it has been found out whether it has them anywhere: that is looked up once."""

    __slots__ = ("event", "is_absent")

    def __init__(self, event: Mapping[str, Any]) -> None:
        self.event = event
        self.is_absent: dict[_Node, bool] = {}


class Pattern:
    """A compiled pattern."""

    def __init__(self, branches: list[Branch], dialect: Dialect) -> None:
        self._roots = [_tree(branch) for branch in branches]
        self._dialect = dialect
        self._reads_numbers = dialect.numbers_as_text and any(
            field.numbers for branch in branches for field in branch.values()
        )

    def __repr__(self) -> str:
        return f"<Pattern {self._roots}>"

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Tell whether a decoded event is taken. Numbers that are no `JsonNumber` count as Python writes them."""
        if not event and self._dialect.matches_nothing_in_nothing:
            return False
        asked = _Asked(event)
        try:
            return any(_holds(root, event, asked) for root in self._roots)
        except RecursionError:
            return False  # nested deeper than can be looked into, as what cannot be read is taken neither

    def matches_json(self, event: str | bytes) -> bool:
        """Tell whether an event is taken; what is not a JSON object is not."""
        decoded = self.decode(event)
        return isinstance(decoded, dict) and self.matches(decoded)

    def decode(self, event: str | bytes) -> object:
        """Read JSON as precisely as this pattern needs; None when it is none."""
        try:
            if self._reads_numbers:
                return _decode_exactly(event)
            return msgspec.json.decode(event)
        except (ValueError, RecursionError):  # both libraries' errors are ValueErrors
            return None


def compile_pattern(text: str | bytes, dialect: Dialect = EVENT_BRIDGE) -> Pattern:
    """Compile a pattern written in JSON.

    Raises:
        InvalidPattern: it is none; the reason is what EventBridge would show.
    """
    try:
        written = _decode_exactly(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPattern(reason=f"The pattern is not valid JSON: {error}") from error
    if not isinstance(written, dict):
        raise InvalidPattern(reason="Filter is not an object")
    branches = _object([{}], (), written, dialect)
    _check_limits(written, branches, dialect)
    return Pattern(branches, dialect)


def _decode_exactly(text: str | bytes) -> Any:
    return json.loads(text, parse_int=JsonNumber, parse_float=JsonNumber, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _object(branches: list[Branch], path: Path, written: Mapping[str, Any], dialect: Dialect) -> list[Branch]:
    """Add what an object asks for to each branch; of two patterns for one field the last counts."""
    if not written:
        raise InvalidPattern(reason="Empty objects are not allowed")
    for key, value in written.items():
        below = (*path, *key.split("."))
        if len(below) > LEVELS_MAX:
            # AWS: undocumented; we chose the words.
            raise InvalidPattern(reason=f"It asks for fields on more than {LEVELS_MAX} levels")
        if key == OR:
            branches = _alternatives(branches, path, value, dialect)
        elif isinstance(value, dict):
            if not dialect.nested:
                # AWS: undocumented; we chose the words.
                raise InvalidPattern(reason=f'"{key}" must be an array: only the message body has nested properties')
            branches = _object(branches, below, value, dialect)
        elif isinstance(value, list):
            accepted = _field(value, dialect)
            for branch in branches:
                branch[below] = accepted
        else:
            raise InvalidPattern(reason=f'"{key}" must be an object or an array')
    return branches


def _alternatives(branches: list[Branch], path: Path, written: Any, dialect: Dialect) -> list[Branch]:
    if not isinstance(written, list):
        raise InvalidPattern(reason=f"It must be an Array followed with {OR}.")
    if any(not isinstance(alternative, dict) for alternative in written):
        raise InvalidPattern(reason=f"Only JSON object is allowed in array of {OR} relationship.")
    if len(written) < 2:
        raise InvalidPattern(reason=f"There must have at least 2 Objects in {OR} relationship.")
    found: list[Branch] = []
    for alternative in written:
        _refuse_operators(alternative, dialect)
        found += _object([dict(branch) for branch in branches], path, alternative, dialect)
        if len(found) > BRANCHES_MAX:
            # AWS: undocumented; we chose the words.
            raise InvalidPattern(reason=f"Its {OR}s make more than {BRANCHES_MAX} combinations")
    return found


def _refuse_operators(alternative: Mapping[str, Any], dialect: Dialect) -> None:
    for key in alternative:
        if key in dialect.operators:
            raise InvalidPattern(reason=f"{key} is Ruler reserved fieldName which cannot be used inside {OR}.")


def _field(values: list[Any], dialect: Dialect) -> Field:
    if not values:
        raise InvalidPattern(reason="Empty arrays are not allowed")
    if any(isinstance(value, list) for value in values):
        raise InvalidPattern(reason="Match value must be String, number, true, false, or null")
    numbers = [value for value in values if is_number(value)]
    places = [number_place(number, dialect) for number in numbers]
    return Field(
        texts=frozenset(value for value in values if isinstance(value, str)),
        constants=tuple(value for value in values if value is None or isinstance(value, bool)),
        numbers=frozenset(
            number.text if dialect.numbers_as_text or place is None else place
            for number, place in zip(numbers, places, strict=True)
        ),
        tests=tuple(compile_expression(value, dialect) for value in values if isinstance(value, dict)),
        or_absent={EXISTS: False} in values,
        dialect=dialect,
    )


def _check_limits(written: Mapping[str, Any], branches: list[Branch], dialect: Dialect) -> None:
    """Source: https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html"""
    keys = {path[0] for branch in branches for path in branch}
    if dialect.keys_max is not None and len(keys) > dialect.keys_max:
        # AWS: undocumented; we chose the words.
        raise InvalidPattern(reason=f"Filter policy can not have more than {dialect.keys_max} keys")
    if dialect.combinations_max is not None and _combinations(written) > dialect.combinations_max:
        # AWS: undocumented; we chose the words.
        raise InvalidPattern(reason=f"Filter policy is too complex: more than {dialect.combinations_max} combinations")


def _combinations(written: Mapping[str, Any], depth: int = 1) -> int:
    return prod(
        sum(_combinations(each, depth) for each in value)
        if key == OR
        else _combinations(value, depth + 1)
        if isinstance(value, dict)
        else len(value) * depth
        for key, value in written.items()
    )


def _tree(branch: Branch) -> _Node:
    root = _Node(())
    for path, accepted in branch.items():
        node = root
        for step in path:
            node = node.children.setdefault(step, _Node((*node.path, step)))
        node.field = accepted
        if accepted.or_absent:
            node.alone = _tree({path: replace(accepted, or_absent=False)})
    _note_dotted(root)
    return root


def _note_dotted(node: _Node) -> list[Path]:
    """Fill in `dotted`, from the leaves up; return the ways to all that is below."""
    ways: list[Path] = []
    further: list[Path] = []
    for step, child in node.children.items():
        ways.append((step,))
        further += [(step, *way) for way in _note_dotted(child)]
    node.dotted = tuple(further)
    return ways + further


def _holds(node: _Node, value: object, asked: _Asked) -> bool:
    """Tell whether all that a branch asks for at and below a node holds for the value there."""
    accepted = node.field
    if accepted is not None and not _accepts(accepted, value) and not _is_absent_as_wanted(node, asked):
        return False
    if not node.children:
        return True
    return any(_holds_within(node, each, asked) for each in _objects(value))


def _holds_within(node: _Node, there: Mapping[str, Any], asked: _Asked) -> bool:
    there = _undotted(node, there)
    return all(_holds(child, there.get(step, _MISSING), asked) for step, child in node.children.items())


def _accepts(accepted: Field, value: object) -> bool:
    if isinstance(value, str):
        return accepted.accepts(value)
    return any(accepted.accepts(each) for each in _values(value))


def _is_absent_as_wanted(node: _Node, asked: _Asked) -> bool:
    """Tell whether `exists: false` is asked for and holds."""
    if node.alone is None:
        return False
    if node not in asked.is_absent:
        asked.is_absent[node] = _is_absent(node, node.alone, asked.event)
    return asked.is_absent[node]


def _is_absent(node: _Node, way: _Node, event: Mapping[str, Any]) -> bool:
    """Tell whether there is no value, in no element of the arrays on the way; objects are no values."""
    there: list[object] = [event]
    for step in node.path:
        there = [
            within[step] for value in there for each in _objects(value) if step in (within := _undotted(way, each))
        ]
        way = way.children[step]
    return not any(True for value in there for _ in _values(value))


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    """The object that a value is, or the objects of an array, of arrays in it too; an empty one when there is none."""
    if isinstance(value, dict):
        yield value
        return
    found = False
    if isinstance(value, list):
        for each in _elements(value):
            if isinstance(each, dict):
                found = True
                yield each
    if not found:
        yield _NOTHING


def _values(value: object) -> Iterator[object]:
    """The value itself, or those of an array; objects are none."""
    if isinstance(value, list):
        yield from (each for each in _elements(value) if not isinstance(each, dict))
    elif value is not _MISSING and not isinstance(value, dict):
        yield value


def _elements(array: list[Any]) -> Iterator[Any]:
    """The elements of an array, and of arrays in it, without recursion: an event may nest them thousands deep."""
    rest = [iter(array)]
    while rest:
        for each in rest[-1]:
            if isinstance(each, list):
                rest.append(iter(each))
                break
            yield each
        else:
            rest.pop()


def _undotted(node: _Node, there: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take apart those keys of an object that are several steps in one."""
    for way in node.dotted:
        if ".".join(way) in there:
            return _taken_apart(node, there)
    return there


def _taken_apart(node: _Node, there: Mapping[str, Any]) -> Mapping[str, Any]:
    whole = dict(there)
    for way in node.dotted:
        key = ".".join(way)
        if key in there:
            value = there[key]
            for step in reversed(way[1:]):
                value = {step: value}
            present = whole.get(way[0], _MISSING)
            whole[way[0]] = value if present is _MISSING else _merged(present, value)
    return whole


def _merged(one: object, other: object) -> object:
    if isinstance(one, dict) and isinstance(other, dict):
        # Each key once: a second visit would double with every level.
        return {**other, **{key: _merged(value, other[key]) if key in other else value for key, value in one.items()}}
    return [one, other]
