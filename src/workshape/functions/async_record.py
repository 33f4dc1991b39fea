"""What a destination and a dead-letter queue are told of an asynchronous invocation. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from workshape.delivery import BusEnvelope, Delivery, DeliveryAttribute, text_attribute
from workshape.functions.async_event import Condition, Ended, Event, Refusal
from workshape.functions.event_invoke import EventPolicy
from workshape.functions.model import InvocationResult
from workshape.iso_time import iso_milliseconds

VERSION = "1.0"
SOURCE = "lambda"
ERROR_MESSAGE_CHARACTERS_MAX = 1_024
"""Of a dead-letter queue's ErrorMessage. Source: the page above (dead-letter queue message attributes)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One delivery that the end of an event asks for."""

    arn: str
    delivery: Delivery
    is_dead_letter: bool = False


def outgoing(
    event: Event, ended: Ended, policy: EventPolicy, *, function_arn: str, now: float, unique_id: str
) -> list[Outgoing]:
    """Say what is delivered, and where. `function_arn` has the qualifier; `unique_id` names an object in a bucket."""
    if ended.condition is Condition.SUCCESS:
        return _recorded(event, ended, policy.on_success, function_arn, now, unique_id)
    found = _recorded(event, ended, policy.on_failure, function_arn, now, unique_id)
    if policy.dead_letter:
        found.append(Outgoing(policy.dead_letter, _dead_letter(event, ended), is_dead_letter=True))
    return found


def invocation_record(event: Event, ended: Ended, function_arn: str, now: float) -> str:
    """Write the invocation record: what was asked, what came of it, and why it is told."""
    record: dict[str, Any] = {
        "version": VERSION,
        "timestamp": iso_milliseconds(now),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": function_arn,
            "condition": ended.condition.value,
            "approximateInvokeCount": ended.runs,
        },
        "requestPayload": _json(event.payload),
    }
    if isinstance(ended.outcome, InvocationResult):
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": ended.outcome.executed_version}
        if ended.outcome.function_error is not None:
            context["functionError"] = ended.outcome.function_error
        record["responseContext"] = context
        record["responsePayload"] = _json(ended.outcome.payload)
    # AWS: undocumented what is said of an event that never ran; we leave both members out.
    return msgspec.json.encode(record).decode()


def _recorded(event: Event, ended: Ended, arn: str, function_arn: str, now: float, unique_id: str) -> list[Outgoing]:
    if not arn:
        return []
    result = "Success" if ended.condition is Condition.SUCCESS else "Failure"
    moment = datetime.fromtimestamp(now, UTC)
    delivery = Delivery(
        invocation_record(event, ended, function_arn, now),
        # AWS: the page writes the detail type with a dash; public events and patterns have a hyphen.
        envelope=BusEnvelope(SOURCE, f"Lambda Function Invocation Result - {result}", (function_arn, arn)),
        object_key=f"aws/lambda/async/{event.function}/{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{unique_id}",
        trace_header=event.trace_id,
    )
    return [Outgoing(arn, delivery)]


def _dead_letter(event: Event, ended: Ended) -> Delivery:
    """The event as it is, and why it is there."""
    status, message = _problem(ended)
    attributes = {
        "RequestID": text_attribute(event.request_id),
        "ErrorCode": DeliveryAttribute("Number", str(status)),
        "ErrorMessage": text_attribute(message[:ERROR_MESSAGE_CHARACTERS_MAX] or ended.condition.value),
    }
    return Delivery(event.payload.decode(errors="replace"), attributes, trace_header=event.trace_id)


def _problem(ended: Ended) -> tuple[int, str]:
    """The HTTP status, and the message."""
    if isinstance(ended.outcome, Refusal):
        return ended.outcome.status, ended.outcome.reason
    if ended.outcome is None:
        # AWS: undocumented; nothing was asked of the function, which is what being throttled means.
        return 429, ended.condition.value
    try:
        message = msgspec.json.decode(ended.outcome.payload, type=dict[str, Any]).get("errorMessage")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = None
    return 200, message if isinstance(message, str) else ended.outcome.payload.decode(errors="replace")


def _json(payload: bytes) -> Any:
    """A payload as it is, where it is JSON; else as a string of it."""
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
        payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: nested thousands deep
        return payload.decode(errors="replace")
    return msgspec.Raw(payload)
