"""The operations on schedule groups and their tags.

Each method's page is https://docs.aws.amazon.com/scheduler/latest/APIReference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.members import read_tags, when, write_tags
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.aws.scheduler.errors import NoSuchResource
from workshape.events.scheduler.model import ScheduleGroup
from workshape.events.scheduler.schedules import Schedules

_PREFIX = ":schedule-group/"
RESULTS_MAX = 100
"""Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_ListScheduleGroups.html"""


def group_operations(schedules: Schedules) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _GroupOperations(schedules)
    return {
        "CreateScheduleGroup": operations.create,
        "GetScheduleGroup": operations.get,
        "ListScheduleGroups": operations.list,
        "DeleteScheduleGroup": operations.delete,
        "TagResource": operations.tag,
        "UntagResource": operations.untag,
        "ListTagsForResource": operations.list_tags,
    }


class _GroupOperations:
    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        tags, token = read_tags(parameters.get("Tags", ())), parameters.get("ClientToken", "")
        return {"ScheduleGroupArn": self._schedules.create_group(parameters["Name"], tags, token).arn}

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _shown(self._schedules.group(parameters["Name"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix = parameters.get("NamePrefix", "")
        groups = [group for group in self._schedules.groups() if group.name.startswith(prefix)]
        return page(parameters, "ScheduleGroups", groups, _shown, size=parameters.get("MaxResults", RESULTS_MAX))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._schedules.delete_group(parameters["Name"], parameters.get("ClientToken", ""))
        return {}

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        group = self._by_arn(parameters["ResourceArn"])
        self._schedules.set_tags(group.name, {**group.tags, **read_tags(parameters["Tags"])})
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        group = self._by_arn(parameters["ResourceArn"])
        left = {key: value for key, value in group.tags.items() if key not in parameters["TagKeys"]}
        self._schedules.set_tags(group.name, left)
        return {}

    async def list_tags(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": write_tags(self._by_arn(parameters["ResourceArn"]).tags)}

    def _by_arn(self, arn: str) -> ScheduleGroup:
        group = self._schedules.group(arn.partition(_PREFIX)[2])
        if group.arn != arn:
            raise NoSuchResource(kind="schedule group", name=arn)
        return group


def _shown(group: ScheduleGroup) -> dict[str, Any]:
    return {
        "Arn": group.arn,
        "Name": group.name,
        "State": "ACTIVE",
        "CreationDate": when(group.created_at),
        "LastModificationDate": when(group.modified_at),
    }
