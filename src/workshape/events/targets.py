"""Invokes targets: each invocation becomes what its target takes, and goes where its ARN says.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from workshape.delivery import BusEnvelope, Deliver, Delivery, DeliveryOutcome, Undelivered
from workshape.events.api_destinations.destination import is_destination
from workshape.events.invocation import INVALID_JSON, TargetInvocation, body_of
from workshape.events.scheduler.model import UNIVERSAL_PREFIX

BUS = ":event-bus/"
FUNCTION = "arn:aws:lambda:"


@dataclass(frozen=True, slots=True)
class Targets:
    """Who takes invocations. `send` answers, and does not raise."""

    deliver: Deliver
    """To whatever an ARN names."""
    call_api: Callable[[str, str], Awaitable[DeliveryOutcome]]
    """Calls the operation of AWS that a universal target names, with an input."""
    forward: Callable[[TargetInvocation], Awaitable[DeliveryOutcome]]
    """Takes a rule's event to another bus."""
    call_destination: Callable[[TargetInvocation], Awaitable[DeliveryOutcome]]
    """Calls the endpoint of an API destination."""

    async def send(self, invocation: TargetInvocation) -> DeliveryOutcome:
        """Invoke a target once."""
        is_bus = BUS in invocation.target_arn
        if is_bus and invocation.occurrence is None:
            return await self.forward(invocation)
        if is_destination(invocation.target_arn):
            return await self.call_destination(invocation)
        text = body_of(invocation)
        if invocation.target_arn.startswith(UNIVERSAL_PREFIX):
            return await self.call_api(invocation.target_arn, text)
        if invocation.target_arn.startswith(FUNCTION) and not _is_json(text):
            message = f"What {invocation.origin} makes for this function is not JSON."
            return Undelivered(INVALID_JSON, message, retryable=False)
        delivery = Delivery(
            text,
            group_id=invocation.group_id,
            envelope=BusEnvelope(invocation.source, invocation.detail_type) if is_bus else None,
            trace_header=invocation.trace_header,
        )
        return await self.deliver(invocation.target_arn, delivery)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
