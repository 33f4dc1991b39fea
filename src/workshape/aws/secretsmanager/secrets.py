"""The operations on secrets as a whole, and their tags.

Each method's page is https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from workshape.aws.members import given, read_tags, when
from workshape.aws.operation import Call, Operation
from workshape.aws.secretsmanager.members import NO_PARTNERS, details, labeled_versions, named, read_value, refuse
from workshape.clock import Clock
from workshape.secrets.model import CURRENT, RECOVERY_DAYS_MAX, InvalidParameter, Secret, check_tags
from workshape.secrets.registry import Secrets
from workshape.secrets.versions import with_key

OTHER_PLACES = "there is one region and one account here"


def secret_operations(secrets: Secrets, clock: Clock) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _SecretOperations(secrets, clock)
    return {
        "CreateSecret": operations.create,
        "DescribeSecret": operations.describe,
        "UpdateSecret": operations.update,
        "DeleteSecret": operations.delete,
        "RestoreSecret": operations.restore,
        "TagResource": operations.tag,
        "UntagResource": operations.untag,
    }


class _SecretOperations:
    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse(parameters, OTHER_PLACES, "AddReplicaRegions", "CrossAccountPrimaryARN")
        refuse(parameters, NO_PARTNERS, "Type")
        wanted = Secret(
            name=parameters["Name"],
            arn="",
            created_at=0.0,
            changed_at=0.0,
            description=parameters.get("Description", ""),
            kms_key=parameters.get("KmsKeyId", ""),
            tags=read_tags(parameters.get("Tags", ())),
        )
        token = parameters.get("ClientRequestToken", "")
        secret = self._secrets.create(wanted, read_value(parameters), token)
        return named(secret, **given(VersionId=token if token in secret.versions else secret.labels.get(CURRENT)))

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret = self._secrets.find(parameters["SecretId"])
        return {**details(secret), **given(VersionIdsToStages=labeled_versions(secret))}

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse(parameters, NO_PARTNERS, "Type")
        secret = self._secrets.usable(parameters["SecretId"])
        value = read_value(parameters)
        changed = replace(secret, description=parameters.get("Description", secret.description))
        if "KmsKeyId" in parameters:
            changed = with_key(changed, parameters["KmsKeyId"])
        if value is None:
            return named(self._secrets.change(changed))
        updated, version_id = self._secrets.update(changed, value, parameters.get("ClientRequestToken", ""))
        return named(updated, VersionId=version_id)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret_id, is_forced = parameters["SecretId"], parameters.get("ForceDeleteWithoutRecovery", False)
        if not is_forced:
            secret = self._secrets.delete(secret_id, parameters.get("RecoveryWindowInDays", RECOVERY_DAYS_MAX))
            return named(secret, **given(DeletionDate=secret.deletion_at and when(secret.deletion_at)))
        if "RecoveryWindowInDays" in parameters:
            reason = "Specify RecoveryWindowInDays or ForceDeleteWithoutRecovery, not both."
            raise InvalidParameter(reason=reason)
        gone = self._secrets.delete_at_once(secret_id)
        deleted = {"DeletionDate": when(self._clock.wall_s())}
        if gone is not None:
            return named(gone, **deleted)
        # AWS: what is told of a secret that is not there is undocumented; we chose what it was called.
        return {"ARN" if secret_id.startswith("arn:") else "Name": secret_id, **deleted}

    async def restore(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return named(self._secrets.restore(parameters["SecretId"]))

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret = self._secrets.usable(parameters["SecretId"])
        tags = {**secret.tags, **read_tags(parameters["Tags"])}
        check_tags(tags)
        self._secrets.change(replace(secret, tags=tags))
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret = self._secrets.usable(parameters["SecretId"])
        left = {key: value for key, value in secret.tags.items() if key not in parameters["TagKeys"]}
        if left != secret.tags:
            self._secrets.change(replace(secret, tags=left))
        return {}
