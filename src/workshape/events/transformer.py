"""What a rule's target gets of an event: all of it, a part, a constant, or a template filled in. A core.

A placeholder where JSON has a value becomes JSON (a string in its quotes); inside a string it becomes bare text, and
there AWS escapes nothing, but takes the quotes out of objects and lists.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from workshape.errors import Invalid
from workshape.events.json_path import NotThere, parse_path

RESERVED = (
    "aws.events.rule-arn",
    "aws.events.rule-name",
    "aws.events.event.ingestion-time",
    "aws.events.event",
    "aws.events.event.json",
)
_NAME = re.compile(r"<([A-Za-z0-9_.-]+)>")
_VARIABLE = re.compile(r"[A-Za-z0-9_-]+")


# The errors. AWS: undocumented; we chose the words.


class InvalidInput(Invalid):
    """Input for target {target} is not a valid JSON text."""

    target: str


class InvalidTemplate(Invalid):
    """Invalid InputTemplate for target {target} : {reason}."""

    target: str


class InvalidPlaceholder(Invalid):
    """InputTemplate for target {target} contains invalid placeholder {placeholder}."""

    target: str
    placeholder: str


class InvalidInputPath(Invalid):
    """Invalid {member} for target {target} : {reason}"""

    target: str
    member: str


class TwoInputs(Invalid):
    """Only one of Input, InputPath, or InputTransformer must be provided for target {target}."""

    target: str


class InputTransformer(msgspec.Struct, frozen=True):
    """Paths into the event by variable, and the template that has the variables in it."""

    template: str
    paths: dict[str, str] = {}


class TargetInput(msgspec.Struct, frozen=True):
    """At most one of the three; none: the whole event."""

    constant: str | None = None
    """JSON."""
    path: str | None = None
    transformer: InputTransformer | None = None


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What reserved variables are about."""

    rule_arn: str
    rule_name: str
    ingestion_time: str
    """ISO 8601."""


Render = Callable[[dict[str, Any], bytes, RuleContext], bytes]
"""Takes the event, the same as JSON, and the context; returns what the target gets."""


def compile_input(given: TargetInput, target: str) -> Render:
    """Prepare a target's input once; `target` is its id, for errors.

    Raises:
        InvalidInput, InvalidInputPath, InvalidTemplate, InvalidPlaceholder, TwoInputs: AWS would refuse it too.
    """
    if sum(part is not None for part in (given.constant, given.path, given.transformer)) > 1:
        raise TwoInputs(target=target)
    if given.constant is not None:
        return _constant(given.constant, target)
    if given.path is not None:
        return _part(given.path, target)
    if given.transformer is not None:
        return _Template(given.transformer, target).render
    return lambda _event, encoded, _context: encoded


def _constant(text: str, target: str) -> Render:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(target=target) from error
    constant = text.encode()
    return lambda _event, _encoded, _context: constant


def _part(text: str, target: str) -> Render:
    try:
        path = parse_path(text)
    except Invalid as error:
        raise InvalidInputPath(target=target, member="InputPath", reason=str(error)) from error

    def render(event: dict[str, Any], _encoded: bytes, _context: RuleContext) -> bytes:
        try:
            return msgspec.json.encode(path.find(event))
        except NotThere:
            return b"null"  # AWS: undocumented; we chose JSON's word for nothing

    return render


@dataclass(frozen=True, slots=True)
class _Placeholder:
    name: str
    in_string: bool


class _Template:
    """A template taken apart: text, and placeholders between."""

    def __init__(self, given: InputTransformer, target: str) -> None:
        for variable in given.paths:
            if variable.lower().startswith("aws.") or not _VARIABLE.fullmatch(variable):
                reason = f"{variable!r} is no variable: letters, digits, - and _; aws. is reserved"
                raise InvalidInputPath(target=target, member="InputPathsMap", reason=reason)
        try:
            self._paths = {variable: parse_path(path) for variable, path in given.paths.items()}
        except Invalid as error:
            raise InvalidInputPath(target=target, member="InputPathsMap", reason=str(error)) from error
        self._pieces = _pieces(given.template, {*self._paths, *RESERVED}, target)
        self._check(target)

    def render(self, event: dict[str, Any], encoded: bytes, context: RuleContext) -> bytes:
        """Fill it in. What is not JSON then is handed on as it is: whoever gets it may refuse it."""
        values = self._values(event, context)
        text = "".join(piece if isinstance(piece, str) else _written(values, piece) for piece in self._pieces)
        return _minified(text)

    def _values(self, event: dict[str, Any], context: RuleContext) -> Mapping[str, Any]:
        values: dict[str, Any] = {
            "aws.events.rule-arn": context.rule_arn,
            "aws.events.rule-name": context.rule_name,
            "aws.events.event.ingestion-time": context.ingestion_time,
            "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
            "aws.events.event.json": event,
        }
        for variable, path in self._paths.items():
            try:
                values[variable] = path.find(event)
            except NotThere:
                continue
        return values

    def _check(self, target: str) -> None:
        """See that the template is JSON, or lines of it, once something stands for the variables."""
        text = "".join(
            piece if isinstance(piece, str) else ("0" if piece.in_string else "null") for piece in self._pieces
        )
        try:
            for line in _documents(text):
                msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            reason = f"{error}; a template is JSON, and text stands in quotes"
            raise InvalidTemplate(target=target, reason=reason) from error


def _pieces(template: str, known: set[str], target: str) -> list[str | _Placeholder]:
    pieces: list[str | _Placeholder] = []
    in_string, begin, place = False, 0, 0
    while place < len(template):
        character = template[place]
        if character == "\\" and in_string:
            place += 2
            continue
        if character == '"':
            in_string = not in_string
        elif character == "<" and (found := _NAME.match(template, place)) is not None:
            if found[1] not in known:
                raise InvalidPlaceholder(target=target, placeholder=found[1])
            pieces += [template[begin:place], _Placeholder(found[1], in_string)]
            begin = place = found.end()
            continue
        place += 1
    return [*pieces, template[begin:]]


def _written(values: Mapping[str, Any], placeholder: _Placeholder) -> str:
    """Write a variable. One whose path leads nowhere does not appear in the output."""
    if placeholder.name not in values:
        return "" if placeholder.in_string else '""'  # AWS: undocumented what stands for a value; we chose no text
    value = values[placeholder.name]
    if placeholder.in_string and isinstance(value, str):
        return value
    encoded = msgspec.json.encode(value).decode()
    return encoded.replace('"', "") if placeholder.in_string else encoded


def _minified(text: str) -> bytes:
    try:
        return b"\n".join(msgspec.json.encode(msgspec.json.decode(line)) for line in _documents(text))
    except (msgspec.DecodeError, RecursionError):
        return text.encode()


def _documents(text: str) -> list[str]:
    """One document; or where the template is several strings, each on a line of its own, those."""
    lines = [line for line in text.splitlines() if line.strip()]
    is_lines = len(lines) > 1 and all(line.strip().startswith('"') and line.strip().endswith('"') for line in lines)
    return lines if is_lines else [text]
