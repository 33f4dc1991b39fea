"""What operations' requests have in common: buses by name or ARN, pages, tags, times."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from workshape.aws.events.errors import InvalidNextToken, InvalidParameter
from workshape.aws.operation import Call
from workshape.events.bus import BUS_PREFIX, bus_name

T = TypeVar("T")
RESULTS_MAX = 100
"""Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


def named_bus(call: Call, parameters: dict[str, Any], member: str = "EventBusName") -> str:
    """Read which bus is meant.

    Raises:
        InvalidParameter: one of another account or region.
    """
    given = parameters.get(member, "")
    if given.startswith("arn:") and f":{call.region}:{call.account}{BUS_PREFIX}" not in given:
        raise InvalidParameter(parameter=member, reason=f"{given} is not of this account and region.")
    return bus_name(given)


def page(parameters: dict[str, Any], member: str, items: Iterable[T], write: Callable[[T], Any]) -> dict[str, Any]:
    """Write the page that a request asks for, and its `NextToken` if there is more.

    Raises:
        InvalidNextToken: it is none.
    """
    everything = list(items)
    first = _read_token(parameters["NextToken"]) if parameters.get("NextToken") else 0
    end = first + parameters.get("Limit", RESULTS_MAX)
    written: dict[str, Any] = {member: [write(item) for item in everything[first:end]]}
    if end < len(everything):
        written["NextToken"] = urlsafe_b64encode(str(end).encode()).decode()
    return written


def read_tags(tags: Iterable[dict[str, str]]) -> dict[str, str]:
    """Read a list of tags."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def when(at: float) -> datetime:
    """Write a time."""
    return datetime.fromtimestamp(at, UTC)


def given(**members: Any) -> dict[str, Any]:
    """Keep the members that have something in them."""
    return {name: value for name, value in members.items() if value}


def _read_token(token: str) -> int:
    try:
        return int(urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError) as error:
        raise InvalidNextToken from error
