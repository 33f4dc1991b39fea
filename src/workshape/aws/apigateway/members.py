"""Members of requests as what is kept, and what is kept as members of answers."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from workshape.aws.apigateway.errors import InvalidPosition

T = TypeVar("T")

RESULTS_DEFAULT, RESULTS_MAX = 25, 500
"""Source: https://docs.aws.amazon.com/apigateway/latest/api/API_GetResources.html (limit)"""


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
