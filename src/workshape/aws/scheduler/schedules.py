"""The operations on schedules.

Each method's page is https://docs.aws.amazon.com/scheduler/latest/APIReference/API_NAME.html
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from workshape.aws.members import given, when
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.aws.scheduler.groups import RESULTS_MAX
from workshape.aws.scheduler.targets import ReadDestination, read_target, write_target
from workshape.events.scheduler.model import DEFAULT_GROUP, ENABLED, UNIVERSAL_PREFIX, InvalidTarget, Schedule
from workshape.events.scheduler.schedules import Schedules

CheckUniversal = Callable[[str, str | None], Awaitable[None]]
"""Checks a universal target's ARN and input. Raises: InvalidTarget: it cannot be called."""
FLEXIBLE = "FLEXIBLE"
DELETE = "DELETE"


def schedule_operations(
    schedules: Schedules, read_destination: ReadDestination, check_universal: CheckUniversal
) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ScheduleOperations(schedules, read_destination, check_universal)
    return {
        "CreateSchedule": operations.create,
        "GetSchedule": operations.get,
        "ListSchedules": operations.list,
        "UpdateSchedule": operations.update,
        "DeleteSchedule": operations.delete,
    }


class _ScheduleOperations:
    def __init__(
        self, schedules: Schedules, read_destination: ReadDestination, check_universal: CheckUniversal
    ) -> None:
        self._schedules = schedules
        self._read_destination = read_destination
        self._check_universal = check_universal

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        schedule = await self._read(parameters)
        return {"ScheduleArn": self._schedules.create(schedule).arn}

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        schedule = await self._read(parameters)
        return {"ScheduleArn": self._schedules.update(schedule).arn}

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _written(self._schedules.schedule(parameters.get("GroupName", DEFAULT_GROUP), parameters["Name"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix, state = parameters.get("NamePrefix", ""), parameters.get("State")
        found = [
            one
            for one in self._schedules.schedules(parameters.get("GroupName"))
            if one.name.startswith(prefix) and state in (None, one.state)
        ]
        return page(parameters, "Schedules", found, _shown, size=parameters.get("MaxResults", RESULTS_MAX))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        group, token = parameters.get("GroupName", DEFAULT_GROUP), parameters.get("ClientToken", "")
        self._schedules.delete(group, parameters["Name"], token)
        return {}

    async def _read(self, parameters: dict[str, Any]) -> Schedule:
        target = read_target(parameters["Target"], self._read_destination)
        if target.arn.startswith(UNIVERSAL_PREFIX):
            await self._check_universal(target.arn, target.input)
        starts, ends = parameters.get("StartDate"), parameters.get("EndDate")
        return Schedule(
            group=parameters.get("GroupName", DEFAULT_GROUP),
            name=parameters["Name"],
            expression=parameters["ScheduleExpression"],
            time_zone=parameters.get("ScheduleExpressionTimezone", "UTC"),
            starts_at=None if starts is None else starts.timestamp(),
            ends_at=None if ends is None else ends.timestamp(),
            window_minutes=_window(parameters["FlexibleTimeWindow"]),
            description=parameters.get("Description", ""),
            state=parameters.get("State", ENABLED),
            kms_key=parameters.get("KmsKeyArn", ""),
            deleted_when_complete=parameters.get("ActionAfterCompletion") == DELETE,
            target=target,
            token=parameters.get("ClientToken", ""),
        )


def _window(members: dict[str, Any]) -> int | None:
    minutes: int | None = members.get("MaximumWindowInMinutes")
    if members["Mode"] != FLEXIBLE:
        return None
    if minutes is None:
        # AWS: undocumented; we chose the words.
        raise InvalidTarget(reason="MaximumWindowInMinutes must be provided when FlexibleTimeWindow Mode is FLEXIBLE.")
    return minutes


def _shown(schedule: Schedule) -> dict[str, Any]:
    return {
        "Arn": schedule.arn,
        "Name": schedule.name,
        "GroupName": schedule.group,
        "State": schedule.state,
        "CreationDate": when(schedule.created_at),
        "LastModificationDate": when(schedule.modified_at),
        "Target": {"Arn": schedule.target.arn},
    }


def _written(schedule: Schedule) -> dict[str, Any]:
    window: dict[str, Any] = {"Mode": "OFF"}
    if schedule.window_minutes is not None:
        window = {"Mode": FLEXIBLE, "MaximumWindowInMinutes": schedule.window_minutes}
    dates = given(StartDate=schedule.starts_at, EndDate=schedule.ends_at)
    return {
        **_shown(schedule),
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.time_zone,
        "FlexibleTimeWindow": window,
        "ActionAfterCompletion": DELETE if schedule.deleted_when_complete else "NONE",
        "Target": write_target(schedule.target),
        **{member: when(at) for member, at in dates.items()},
        **given(Description=schedule.description, KmsKeyArn=schedule.kms_key),
    }
