"""Pages of lists, as requests with a `NextToken`, or what a service calls it, ask for them."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from workshape.errors import Invalid

T = TypeVar("T")


class InvalidNextToken(Invalid):
    """Parameter {token} is not valid."""

    token: str


def page(
    parameters: Mapping[str, Any],
    member: str,
    items: Iterable[T],
    write: Callable[[T], Any],
    *,
    size: int,
    token: str = "NextToken",  # noqa: S107 - the name of a member
) -> dict[str, Any]:
    """Write the page that a request asks for, `size` items long, and the member `token` if there is more.

    Raises:
        InvalidNextToken: it is none of an earlier answer.
    """
    everything = list(items)
    first = _read_token(token, parameters[token]) if parameters.get(token) else 0
    end = first + size
    written: dict[str, Any] = {member: [write(item) for item in everything[first:end]]}
    if end < len(everything):
        written[token] = urlsafe_b64encode(str(end).encode()).decode()
    return written


def _read_token(name: str, given: str) -> int:
    try:
        first = int(urlsafe_b64decode(given.encode()))
    except (binascii.Error, ValueError) as error:
        raise InvalidNextToken(token=name) from error
    if first < 0:
        raise InvalidNextToken(token=name)
    return first
