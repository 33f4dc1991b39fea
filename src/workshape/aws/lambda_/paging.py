"""Lists cut into pages: `MaxItems` at a time, each page's marker being the key of its last item."""

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

from workshape.errors import Invalid

T = TypeVar("T")

URL_SAFE = b"-_"
"""What base64 has in a URL for `+` and `/`."""

LIST_RESULTS_MAX = 50
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html (MaxItems)"""


class InvalidMarker(Invalid):
    """Invalid Marker: it is not one of an earlier answer"""


def cut_page(
    parameters: dict[str, Any], items: Iterable[T], key: Callable[[T], str], results_max: int = LIST_RESULTS_MAX
) -> tuple[list[T], dict[str, str]]:
    """Return the page a request asks for, and its `NextMarker` if there is more. The items come in their keys' order.

    What comes after the page is not looked at, but for the first of it.

    Raises:
        InvalidMarker: it is none.
    """
    after, count = page_begin(parameters), min(parameters.get("MaxItems", results_max), results_max)
    left = (item for item in items if key(item) > after)
    page = list(islice(left, count))
    if next(left, None) is None:
        return page, {}
    return page, {"NextMarker": urlsafe_b64encode(key(page[-1]).encode()).decode()}


def page_begin(parameters: dict[str, Any]) -> str:
    """Return the key after which the page begins that a request asks for; empty: at the beginning.

    Raises:
        InvalidMarker: it is none.
    """
    marker = parameters.get("Marker")
    if not marker:
        return ""
    try:
        return b64decode(marker, altchars=URL_SAFE, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidMarker() from error
