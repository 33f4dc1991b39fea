"""The operations on scalable targets and their tags.

Each method's page is https://docs.aws.amazon.com/autoscaling/application/APIReference/API_NAME.html
"""

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.aws.application_autoscaling.errors import MissingParameter, NoSuchResource
from workshape.aws.application_autoscaling.request import check_scope, page, scope, when
from workshape.aws.operation import Call, Operation
from workshape.clock import Clock
from workshape.functions.autoscaling.autoscaler import Autoscaler
from workshape.functions.autoscaling.model import ScalableTarget, Suspended

_SUSPENDED = {
    "DynamicScalingInSuspended": "scale_in",
    "DynamicScalingOutSuspended": "scale_out",
    "ScheduledScalingSuspended": "scheduled",
}


def target_operations(autoscaler: Autoscaler, clock: Clock) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _TargetOperations(autoscaler, clock)
    return {
        "RegisterScalableTarget": operations.register,
        "DescribeScalableTargets": operations.describe,
        "DeregisterScalableTarget": operations.deregister,
        "TagResource": operations.tag,
        "UntagResource": operations.untag,
        "ListTagsForResource": operations.list_tags,
    }


class _TargetOperations:
    def __init__(self, autoscaler: Autoscaler, clock: Clock) -> None:
        self._autoscaler = autoscaler
        self._clock = clock

    async def register(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        resource_id = parameters["ResourceId"]
        (present,) = self._autoscaler.targets([resource_id]) or (None,)
        if present is None:
            present = self._new(parameters)
        suspended = msgspec.structs.asdict(present.suspended)
        given = parameters.get("SuspendedState", {})
        suspended.update({field: given[member] for member, field in _SUSPENDED.items() if member in given})
        target = msgspec.structs.replace(
            present,
            min_capacity=parameters.get("MinCapacity", present.min_capacity),
            max_capacity=parameters.get("MaxCapacity", present.max_capacity),
            suspended=Suspended(**suspended),
        )
        self._autoscaler.register(target)
        return {"ScalableTargetARN": _arn(call, target)}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        targets = self._autoscaler.targets(parameters.get("ResourceIds", ()))
        return page(parameters, "ScalableTargets", targets, lambda target: _write(call, target))

    async def deregister(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        self._autoscaler.deregister(parameters["ResourceId"])
        return {}

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        target = self._by_arn(call, parameters["ResourceARN"])
        self._autoscaler.set_tags(target.resource_id, {**target.tags, **parameters["Tags"]})
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        target = self._by_arn(call, parameters["ResourceARN"])
        left = {key: value for key, value in target.tags.items() if key not in parameters["TagKeys"]}
        self._autoscaler.set_tags(target.resource_id, left)
        return {}

    async def list_tags(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._by_arn(call, parameters["ResourceARN"]).tags}

    def _new(self, parameters: dict[str, Any]) -> ScalableTarget:
        for member in ("MinCapacity", "MaxCapacity"):
            if member not in parameters:
                raise MissingParameter(parameter=member, reason="the scalable target is a new one")
        return ScalableTarget(
            resource_id=parameters["ResourceId"],
            id=uuid.uuid4().hex,
            min_capacity=parameters["MinCapacity"],
            max_capacity=parameters["MaxCapacity"],
            created_at=self._clock.wall_s(),
            tags=parameters.get("Tags", {}),
        )

    def _by_arn(self, call: Call, arn: str) -> ScalableTarget:
        for target in self._autoscaler.targets():
            if _arn(call, target) == arn:
                return target
        raise NoSuchResource(kind="scalable target", name=arn)


def _write(call: Call, target: ScalableTarget) -> dict[str, Any]:
    suspended = msgspec.structs.asdict(target.suspended)
    return {
        **scope(target.resource_id),
        "MinCapacity": target.min_capacity,
        "MaxCapacity": target.max_capacity,
        # The role AWS would make for itself, whatever RoleARN a request gives.
        # https://docs.aws.amazon.com/autoscaling/application/userguide/services-that-can-integrate-lambda.html
        "RoleARN": f"arn:aws:iam::{call.account}:role/aws-service-role/lambda.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
        "CreationTime": when(target.created_at),
        "SuspendedState": {member: suspended[field] for member, field in _SUSPENDED.items()},
        "ScalableTargetARN": _arn(call, target),
    }


def _arn(call: Call, target: ScalableTarget) -> str:
    return f"arn:aws:application-autoscaling:{call.region}:{call.account}:scalable-target/{target.id}"
