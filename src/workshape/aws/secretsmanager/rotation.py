"""The operations on the rotation of secrets.

Each method's page is https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.members import given
from workshape.aws.operation import Call, Operation
from workshape.aws.secretsmanager.members import NO_PARTNERS, named, refuse
from workshape.secrets.model import RotationRules
from workshape.secrets.rotator import Rotator


def rotation_operations(rotator: Rotator) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _RotationOperations(rotator)
    return {"RotateSecret": operations.rotate, "CancelRotateSecret": operations.cancel}


class _RotationOperations:
    def __init__(self, rotator: Rotator) -> None:
        self._rotator = rotator

    async def rotate(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse(parameters, NO_PARTNERS, "ExternalSecretRotationMetadata", "ExternalSecretRotationRoleArn")
        rules = parameters.get("RotationRules")
        secret, version_id = self._rotator.rotate(
            parameters["SecretId"],
            parameters.get("RotationLambdaARN", ""),
            None if rules is None else _read_rules(rules),
            parameters.get("ClientRequestToken", ""),
            is_immediate=parameters.get("RotateImmediately", True),
        )
        return named(secret, **given(VersionId=version_id))

    async def cancel(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret, version_id = self._rotator.cancel(parameters["SecretId"])
        return named(secret, **given(VersionId=version_id))


def _read_rules(rules: dict[str, Any]) -> RotationRules:
    return RotationRules(
        after_days=rules.get("AutomaticallyAfterDays"),
        expression=rules.get("ScheduleExpression", ""),
        duration=rules.get("Duration", ""),
    )
