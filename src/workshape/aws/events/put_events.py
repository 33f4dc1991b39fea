"""PutEvents.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.events.errors import entry_failure
from workshape.aws.events.request import named_bus
from workshape.aws.operation import Call, Operation
from workshape.errors import CallerError
from workshape.events.bus import EventBridge
from workshape.events.event import Entry
from workshape.events.model import NotBuilt


def event_operations(bridge: EventBridge) -> Mapping[str, Operation]:
    """Offer the operation by its name in the service model."""

    async def put_events(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if "EndpointId" in parameters:
            raise NotBuilt(feature="global endpoints (EndpointId)", remedy="name the event bus itself")
        outcomes = await bridge.put([_entry(call, members) for members in parameters["Entries"]])
        entries = [entry_failure(one) if isinstance(one, CallerError) else {"EventId": one} for one in outcomes]
        return {"FailedEntryCount": sum("ErrorCode" in entry for entry in entries), "Entries": entries}

    return {"PutEvents": put_events}


def _entry(call: Call, members: dict[str, Any]) -> Entry:
    return Entry(
        source=members.get("Source", ""),
        detail_type=members.get("DetailType", ""),
        detail=members.get("Detail", ""),
        bus=named_bus(call, members),
        time=members["Time"].timestamp() if "Time" in members else None,
        resources=tuple(members.get("Resources", ())),
        trace_header=members.get("TraceHeader", call.trace_id),
    )
