"""The operations on scaling policies.

Each method's page is https://docs.aws.amazon.com/autoscaling/application/APIReference/API_NAME.html
"""

import uuid
from collections.abc import Mapping
from typing import Any

from workshape.aws.application_autoscaling.errors import MissingParameter, NotBuilt
from workshape.aws.application_autoscaling.request import arn, check_scope, page, scope, when
from workshape.aws.operation import Call, Operation
from workshape.clock import Clock
from workshape.errors import Invalid
from workshape.functions.autoscaling.autoscaler import Autoscaler, alarm_name
from workshape.functions.autoscaling.model import METRIC, TrackingPolicy

TARGET_TRACKING = "TargetTrackingScaling"
CONFIGURATION = "TargetTrackingScalingPolicyConfiguration"


def policy_operations(autoscaler: Autoscaler, clock: Clock) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _PolicyOperations(autoscaler, clock)
    return {
        "PutScalingPolicy": operations.put,
        "DescribeScalingPolicies": operations.describe,
        "DeleteScalingPolicy": operations.delete,
    }


class _PolicyOperations:
    def __init__(self, autoscaler: Autoscaler, clock: Clock) -> None:
        self._autoscaler = autoscaler
        self._clock = clock

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        resource_id, name = parameters["ResourceId"], parameters["PolicyName"]
        present = self._autoscaler.target(resource_id).policies.get(name)
        if present is None and "PolicyType" not in parameters:
            raise MissingParameter(parameter="PolicyType", reason="the policy is a new one")
        policy_type = parameters.get("PolicyType", TARGET_TRACKING)
        if policy_type != TARGET_TRACKING:
            # https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html (PolicyType)
            raise Invalid(reason=f"Lambda supports no scaling policy of the type {policy_type}.")
        configuration = _configuration(parameters)
        policy = TrackingPolicy(
            name=name,
            id=present.id if present is not None else str(uuid.uuid4()),
            target_value=configuration["TargetValue"],
            created_at=present.created_at if present is not None else self._clock.wall_s(),
            scale_out_cooldown_s=configuration.get("ScaleOutCooldown", 0),
            scale_in_cooldown_s=configuration.get("ScaleInCooldown", 0),
            disable_scale_in=configuration.get("DisableScaleIn", False),
            alarm_high_id=present.alarm_high_id if present is not None else str(uuid.uuid4()),
            alarm_low_id=present.alarm_low_id if present is not None else str(uuid.uuid4()),
        )
        self._autoscaler.put_policy(resource_id, policy)
        written = _write(call, resource_id, policy)
        return {"PolicyARN": written["PolicyARN"], "Alarms": written["Alarms"]}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        names = parameters.get("PolicyNames")
        targets = self._autoscaler.targets([parameters["ResourceId"]] if parameters.get("ResourceId") else ())
        policies = [
            (target.resource_id, policy)
            for target in targets
            for policy in target.policies.values()
            if not names or policy.name in names
        ]
        return page(parameters, "ScalingPolicies", policies, lambda item: _write(call, *item))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_scope(parameters)
        self._autoscaler.delete_policy(parameters["ResourceId"], parameters["PolicyName"])
        return {}


def _configuration(parameters: dict[str, Any]) -> dict[str, Any]:
    configuration: dict[str, Any] | None = parameters.get(CONFIGURATION)
    if configuration is None:
        raise MissingParameter(parameter=CONFIGURATION, reason="it says what the policy tracks")
    if configuration.get("CustomizedMetricSpecification"):
        raise NotBuilt(feature="customized metrics")
    metric = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric != METRIC:
        raise Invalid(reason=f"PredefinedMetricType of Lambda must be {METRIC}, not {metric}.")
    if configuration["TargetValue"] <= 0:
        raise Invalid(reason=f"TargetValue must be more than 0, not {configuration['TargetValue']}.")
    for cooldown in ("ScaleOutCooldown", "ScaleInCooldown"):
        if configuration.get(cooldown, 0) < 0:
            raise Invalid(reason=f"{cooldown} cannot be negative: {configuration[cooldown]}.")
    return configuration


def _write(call: Call, resource_id: str, policy: TrackingPolicy) -> dict[str, Any]:
    names = [alarm_name(resource_id, policy, is_high=is_high) for is_high in (True, False)]
    alarm_arn = f"arn:aws:cloudwatch:{call.region}:{call.account}:alarm:"
    return {
        **scope(resource_id),
        "PolicyARN": arn(call, "scalingPolicy", policy.id, resource_id, policy.name),
        "PolicyName": policy.name,
        "PolicyType": TARGET_TRACKING,
        CONFIGURATION: {
            "TargetValue": policy.target_value,
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
            "ScaleOutCooldown": policy.scale_out_cooldown_s,
            "ScaleInCooldown": policy.scale_in_cooldown_s,
            "DisableScaleIn": policy.disable_scale_in,
        },
        "Alarms": [{"AlarmName": name, "AlarmARN": f"{alarm_arn}{name}"} for name in names],
        "CreationTime": when(policy.created_at),
    }
