"""What operations' requests have in common: buses by name or ARN, and how long a page is."""

from typing import Any

from workshape.aws.events.errors import InvalidParameter
from workshape.aws.operation import Call
from workshape.events.bus import BUS_PREFIX, bus_name

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


def page_size(parameters: dict[str, Any]) -> int:
    """How many a page has."""
    size: int = parameters.get("Limit", RESULTS_MAX)
    return size
