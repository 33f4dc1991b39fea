"""Members of requests as what is kept, and what is kept as members of answers."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from workshape.aws.apigateway.errors import InvalidMember, InvalidPosition, NotBuilt

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

RESULTS_DEFAULT, RESULTS_MAX = 25, 500
"""Source: https://docs.aws.amazon.com/apigateway/latest/api/API_GetResources.html (limit)"""


def make(kind: type[S], parameters: Mapping[str, Any], *addressed: str, **own: Any) -> S:
    """Make one of what a request gives, and of what is ours; `addressed` are the members that are not part of it.

    Raises:
        NotBuilt: a member is given that is not kept here, and says something.
        InvalidMember: one has not the shape that it must have.
    """
    fields = {field.encode_name for field in msgspec.structs.fields(kind)}
    given = {name: value for name, value in parameters.items() if name not in addressed}
    for name, value in given.items():
        if name not in fields and value not in ("", False, {}, []):
            raise NotBuilt(feature=name)
    try:
        return msgspec.convert({**{name: value for name, value in given.items() if name in fields}, **own}, kind)
    except msgspec.ValidationError as error:
        raise InvalidMember(reason=str(error)) from error


def show(item: msgspec.Struct) -> dict[str, Any]:
    """Write one; what it has not, and what is empty, is left out."""
    written: dict[str, Any] = msgspec.to_builtins(item)
    return {name: _shown(value) for name, value in written.items() if value not in (None, {}, [], ())}


def page(parameters: Mapping[str, Any], items: Iterable[T], write: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """Write the page that a request asks for, and its `position` if there is more.

    Raises:
        InvalidPosition: it asks for none.
    """
    everything = list(items)
    try:
        first = int(urlsafe_b64decode(parameters.get("position") or "MA=="))
    except (binascii.Error, ValueError) as error:
        raise InvalidPosition(reason="") from error
    end = first + max(1, min(parameters.get("limit") or RESULTS_DEFAULT, RESULTS_MAX))
    written: dict[str, Any] = {"items": [write(item) for item in everything[first:end]]}
    if end < len(everything):
        written["position"] = urlsafe_b64encode(str(end).encode()).decode()
    return written


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items() if inner is not None}
    return value
