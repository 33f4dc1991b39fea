"""Patch operations, by which REST APIs are updated: small changes at paths of a document. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from workshape.errors import Invalid

T = TypeVar("T", bound=msgspec.Struct)

DEPTH_MAX = 6
SLASH, TILDE = "~1", "~0"


class InvalidPatch(Invalid):
    """Invalid patch path '{path}' specified for op '{op}'. {reason}"""

    path: str
    op: str


def patched(item: T, operations: Sequence[Mapping[str, Any]], writable: Collection[str]) -> T:
    """Apply operations to a value whose top-level members `writable` may be changed.

    Raises:
        InvalidPatch: one is for a member that may not, or cannot be read, or makes something that is none.
    """
    document: dict[str, Any] = msgspec.to_builtins(item)
    for operation in operations:
        op, path = operation.get("op", ""), operation.get("path", "")
        segments = path.split("/")[1:]
        if op not in ("add", "replace", "remove"):
            raise InvalidPatch(path=path, op=op, reason="Only add, replace and remove are done here")
        if not segments or segments[0] not in writable or len(segments) > DEPTH_MAX:
            raise InvalidPatch(path=path, op=op, reason=f"Must be one of: [{', '.join(sorted(writable))}]")
        try:
            _apply(document, segments, op, operation.get("value"))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidPatch(path=path, op=op, reason="There is nothing to change there") from error
    try:
        # Not strict: every value of a patch is text.
        made = msgspec.convert(document, type(item), strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(reason=f"Invalid patch value: {error}") from error
    kept = msgspec.to_builtins(made)
    for operation in operations:
        if operation["op"] != "remove" and not _has(kept, operation["path"].split("/")[1:]):
            raise InvalidPatch(path=operation["path"], op=operation["op"], reason="There is no such member")
    return made


def unescaped(segment: str) -> str:
    """Read a segment of a path: `~1` is a slash, `~0` a tilde."""
    return segment.replace(SLASH, "/").replace(TILDE, "~")


def _has(document: Any, segments: list[str]) -> bool:
    """Tell whether a path leads somewhere; elements of lists are not looked for."""
    for segment in segments:
        if not isinstance(document, dict):
            return isinstance(document, list | tuple)
        if unescaped(segment) not in document:
            return False
        document = document[unescaped(segment)]
    return True


def _apply(document: dict[str, Any], segments: list[str], op: str, value: Any) -> None:
    head, rest = unescaped(segments[0]), segments[1:]
    member = document.get(head)
    if not rest:
        if isinstance(member, list | tuple) and value is not None:
            _apply_to_list(document, head, op, value)
        elif op == "remove":
            del document[head]
        else:
            document[head] = value
    elif isinstance(member, list | tuple):
        # An element is named by its value, or by its number.
        named = unescaped(rest[0])
        if op == "replace":
            listed = list(member)
            listed[int(named) if named.isdecimal() else listed.index(named)] = value
            document[head] = listed
        else:
            _apply_to_list(document, head, op, named)
    else:
        inner = dict(member or {})
        _apply(inner, rest, op, value)
        document[head] = inner


def _apply_to_list(document: dict[str, Any], head: str, op: str, value: str) -> None:
    listed = list(document[head])
    if op == "remove":
        listed.remove(value)
    elif op == "replace":
        listed = [value]
    elif value not in listed:
        listed.append(value)
    document[head] = listed
