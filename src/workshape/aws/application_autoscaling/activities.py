"""The operation that tells what was scaled.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DescribeScalingActivities.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.application_autoscaling.request import check_scope, page, scope, when
from workshape.aws.operation import Call, Operation
from workshape.functions.autoscaling.autoscaler import Autoscaler
from workshape.functions.autoscaling.model import ScalingActivity


def activity_operations(autoscaler: Autoscaler) -> Mapping[str, Operation]:
    """Offer the operation by its name in the service model."""

    async def describe(_call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        activities = autoscaler.activities(parameters.get("ResourceId"))
        if not parameters.get("IncludeNotScaledActivities"):
            activities = [activity for activity in activities if activity.not_scaled is None]
        return page(parameters, "ScalingActivities", activities, _write)

    return {"DescribeScalingActivities": describe}


def _write(activity: ScalingActivity) -> dict[str, Any]:
    written = {
        **scope(activity.resource_id),
        "ActivityId": activity.id,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": when(activity.at),
        "StatusCode": "Failed",
    }
    if activity.not_scaled is not None:
        bound = {"MinCapacity": activity.min_capacity, "MaxCapacity": activity.max_capacity}
        member = activity.not_scaled.removeprefix("AlreadyAt")
        return {**written, "NotScaledReasons": [{"Code": activity.not_scaled, member: bound[member]}]}
    written["EndTime"] = when(activity.at)
    if activity.failure:
        return {**written, "StatusMessage": f"Failed to do so. Reason: {activity.failure}"}
    message = (
        f"Successfully set provisioned concurrency to {activity.capacity}. Change successfully fulfilled by lambda."
    )
    return {**written, "StatusCode": "Successful", "StatusMessage": message}
