"""What the requests of all operations have in common: pages, filters, tags."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from workshape.aws.pages import page
from workshape.proxies.model import InvalidValue

T = TypeVar("T")

RECORDS_MAX = 100
"""Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBProxies.html"""


def described(
    parameters: dict[str, Any], member: str, items: Iterable[T], write: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """Write the page that a request asks for.

    Raises:
        InvalidNextToken: its Marker is none of an earlier answer.
        InvalidValue: it has Filters, which no operation on proxies supports.
    """
    if parameters.get("Filters"):
        raise InvalidValue(reason="Filters is not supported by this operation.")
    size = parameters.get("MaxRecords", RECORDS_MAX)
    return page(parameters, member, items, write, size=size, token="Marker")  # noqa: S106 - the name of a member
