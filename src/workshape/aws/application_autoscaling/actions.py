"""The operations on scheduled actions.

Each method's page is https://docs.aws.amazon.com/autoscaling/application/APIReference/API_NAME.html
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from workshape.aws.application_autoscaling.errors import MissingParameter
from workshape.aws.application_autoscaling.request import arn, check_scope, page, scope, when
from workshape.aws.operation import Call, Operation
from workshape.clock import Clock
from workshape.errors import Invalid
from workshape.functions.autoscaling.autoscaler import Autoscaler
from workshape.functions.autoscaling.model import ScheduledAction


def action_operations(autoscaler: Autoscaler, clock: Clock) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ActionOperations(autoscaler, clock)
    return {
        "PutScheduledAction": operations.put,
        "DescribeScheduledActions": operations.describe,
        "DeleteScheduledAction": operations.delete,
    }


class _ActionOperations:
    def __init__(self, autoscaler: Autoscaler, clock: Clock) -> None:
        self._autoscaler = autoscaler
        self._clock = clock

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        resource_id, name = parameters["ResourceId"], parameters["ScheduledActionName"]
        present = self._autoscaler.target(resource_id).actions.get(name)
        if present is None:
            if not parameters.get("Schedule"):
                raise MissingParameter(parameter="Schedule", reason="the scheduled action is a new one")
            present = ScheduledAction(name, str(uuid.uuid4()), parameters["Schedule"], self._clock.wall_s())
        action = msgspec.structs.replace(present, **_changes(parameters))
        _check(action)
        self._autoscaler.put_action(resource_id, action)
        return {}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        names = parameters.get("ScheduledActionNames")
        targets = self._autoscaler.targets([parameters["ResourceId"]] if parameters.get("ResourceId") else ())
        actions = [
            (target.resource_id, action)
            for target in targets
            for action in target.actions.values()
            if not names or action.name in names
        ]
        return page(parameters, "ScheduledActions", actions, lambda item: _write(call, *item))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        self._autoscaler.delete_action(parameters["ResourceId"], parameters["ScheduledActionName"])
        return {}


def _changes(parameters: dict[str, Any]) -> dict[str, Any]:
    fields = {"Schedule": "schedule", "Timezone": "time_zone", "StartTime": "start_at", "EndTime": "end_at"}
    bounds = {"MinCapacity": "min_capacity", "MaxCapacity": "max_capacity"}
    changes = {field: parameters[member] for member, field in fields.items() if member in parameters}
    if "ScalableTargetAction" in parameters:
        changes.update({field: parameters["ScalableTargetAction"].get(member) for member, field in bounds.items()})
    return {field: value.timestamp() if isinstance(value, datetime) else value for field, value in changes.items()}


def _check(action: ScheduledAction) -> None:
    low, high = action.min_capacity, action.max_capacity
    if low is None and high is None:
        reason = "MinCapacity or MaxCapacity, or both, are what it changes"
        raise MissingParameter(parameter="ScalableTargetAction", reason=reason)
    if min(low or 0, high or 0) < 0:
        raise Invalid(reason="MinCapacity and MaxCapacity cannot be negative.")
    if low is not None and high is not None and high < low:
        raise Invalid(reason="MaxCapacity cannot be less than MinCapacity.")
    if action.start_at is not None and action.end_at is not None and action.end_at <= action.start_at:
        raise Invalid(reason="EndTime must be after StartTime.")


def _write(call: Call, resource_id: str, action: ScheduledAction) -> dict[str, Any]:
    return {
        **scope(resource_id),
        "ScheduledActionName": action.name,
        "ScheduledActionARN": arn(call, "scheduledAction", action.id, resource_id, action.name),
        "Schedule": action.schedule,
        "Timezone": action.time_zone,
        "StartTime": when(action.start_at),
        "EndTime": when(action.end_at),
        "ScalableTargetAction": {
            member: value
            for member, value in (("MinCapacity", action.min_capacity), ("MaxCapacity", action.max_capacity))
            if value is not None
        },
        "CreationTime": when(action.created_at),
    }
