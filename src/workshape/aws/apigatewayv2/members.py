"""Members of requests as what is kept, and what is kept as members of answers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from workshape.aws import pages
from workshape.aws.apigatewayv2.errors import InvalidPage
from workshape.aws.struct_members import make

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

RESULTS_MAX = 500
"""AWS: undocumented; more than an API has of anything."""


def change(present: S, parameters: Mapping[str, Any], *addressed: str) -> S:
    """Make what it becomes of one, by what a request gives.

    Raises:
        NotBuilt, InvalidMember: as `make`.
    """
    given = {name: value for name, value in parameters.items() if name not in addressed}
    return make(type(present), {**show(present), **given})


def show(item: msgspec.Struct) -> dict[str, Any]:
    """Write one; what it has not is left out."""
    written: dict[str, Any] = msgspec.to_builtins(item)
    return {name: value for name, value in written.items() if value is not None}


def page(parameters: Mapping[str, Any], items: Iterable[T], write: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """Write the page that a request asks for, and its `NextToken` if there is more.

    Raises:
        InvalidPage: it asks for none.
    """
    given = str(parameters.get("MaxResults") or RESULTS_MAX)
    if not given.isdecimal() or int(given) < 1:
        raise InvalidPage(reason="")
    try:
        return pages.page(parameters, "Items", items, write, size=min(int(given), RESULTS_MAX))
    except pages.InvalidNextToken as error:
        raise InvalidPage(reason="") from error
