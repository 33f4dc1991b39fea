"""Members of requests as what is kept, and what is kept as members of answers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from workshape.aws import pages
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
    size = max(1, min(parameters.get("limit") or RESULTS_DEFAULT, RESULTS_MAX))
    try:
        return pages.page(parameters, "items", items, write, size=size, token="position")  # noqa: S106 - the name of a member
    except pages.InvalidNextToken as error:
        raise InvalidPosition(reason="") from error


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items() if inner is not None}
    return value
