"""The operations on what is secret: values, their versions and staging labels, and random passwords.

Each method's page is https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_NAME.html
"""

import string
from collections.abc import Mapping
from random import SystemRandom
from typing import Any

from workshape.aws.members import given, when
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.aws.secretsmanager.members import named, read_value, shown_value
from workshape.secrets.model import CURRENT, InvalidParameter, Secret, VersionId
from workshape.secrets.password import LENGTH_DEFAULT, PUNCTUATION, PasswordRules, make_password
from workshape.secrets.registry import Secrets

VERSIONS_PER_PAGE = 100
DEFAULT_KEY = "DefaultEncryptionKey"
"""What ListSecretVersionIds calls AWS's own key.

Source: https://docs.aws.amazon.com/cli/latest/reference/secretsmanager/list-secret-version-ids.html (the example)
"""


def value_operations(secrets: Secrets) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ValueOperations(secrets)
    return {
        "GetSecretValue": operations.get,
        "PutSecretValue": operations.put,
        "ListSecretVersionIds": operations.list_versions,
        "UpdateSecretVersionStage": operations.update_stage,
        "GetRandomPassword": _random_password,
    }


class _ValueOperations:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found = self._secrets.value(
            parameters["SecretId"], parameters.get("VersionId", ""), parameters.get("VersionStage", "")
        )
        return shown_value(*found)

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        value = read_value(parameters)
        if value is None:
            raise InvalidParameter(reason="Specify SecretString or SecretBinary.")
        labels = parameters.get("VersionStages", (CURRENT,))
        token = parameters.get("ClientRequestToken", "")
        secret, version_id = self._secrets.put_value(parameters["SecretId"], value, token, labels)
        return named(secret, VersionId=version_id, VersionStages=secret.labels_of(version_id))

    async def list_versions(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret = self._secrets.find(parameters["SecretId"])
        with_deprecated = parameters.get("IncludeDeprecated", False)
        shown = [
            version_id
            for version_id, version in secret.versions.items()
            if version.has_value and (with_deprecated or secret.labels_of(version_id))
        ]
        size = parameters.get("MaxResults", VERSIONS_PER_PAGE)
        return named(secret, **page(parameters, "Versions", shown, lambda one: _listed(secret, one), size=size))

    async def update_stage(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret = self._secrets.move_label(
            parameters["SecretId"],
            parameters["VersionStage"],
            source=parameters.get("RemoveFromVersionId"),
            target=parameters.get("MoveToVersionId"),
        )
        return named(secret)


async def _random_password(_call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    types = {
        "ExcludeUppercase": string.ascii_uppercase,
        "ExcludeLowercase": string.ascii_lowercase,
        "ExcludeNumbers": string.digits,
        "ExcludePunctuation": PUNCTUATION,
    }
    rules = PasswordRules(
        length=parameters.get("PasswordLength", LENGTH_DEFAULT),
        excluded=parameters.get("ExcludeCharacters", ""),
        types=tuple(type_ for member, type_ in types.items() if not parameters.get(member)),
        has_space=parameters.get("IncludeSpace", False),
        needs_each_type=parameters.get("RequireEachIncludedType", True),
    )
    return {"RandomPassword": make_password(rules, SystemRandom())}


def _listed(secret: Secret, version_id: VersionId) -> dict[str, Any]:
    version = secret.versions[version_id]
    return {
        "VersionId": version_id,
        "CreatedDate": when(version.created_at),
        "KmsKeyIds": [version.kms_key or DEFAULT_KEY],
        **given(
            VersionStages=secret.labels_of(version_id),
            LastAccessedDate=version.accessed_on and when(version.accessed_on),
        ),
    }
