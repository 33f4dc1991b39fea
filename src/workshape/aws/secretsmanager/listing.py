"""The operations on many secrets: what there is, and their values.

Each method's page is https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.members import given
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.aws.secretsmanager.errors import error_code
from workshape.aws.secretsmanager.members import details, labeled_versions, shown_value
from workshape.errors import CallerError
from workshape.secrets.model import InvalidParameter, Secret
from workshape.secrets.registry import Secrets
from workshape.secrets.selection import Filter, order_by, select

SECRETS_PER_PAGE = 100
VALUES_PER_PAGE = 20
"""Both the largest, and ours where none is asked for: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html"""


def list_operations(secrets: Secrets) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ListOperations(secrets)
    return {"ListSecrets": operations.list_secrets, "BatchGetSecretValue": operations.batch_get}


class _ListOperations:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def list_secrets(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found = self._select(call, parameters, with_deleted=parameters.get("IncludePlannedDeletion", False))
        # AWS: the order without SortOrder is undocumented; we chose ascending.
        is_reversed = parameters.get("SortOrder") == "desc"
        ordered = sorted(found, key=order_by(parameters.get("SortBy", "")), reverse=is_reversed)
        return page(parameters, "SecretList", ordered, _listed, size=parameters.get("MaxResults", SECRETS_PER_PAGE))

    async def batch_get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        ids, filters = parameters.get("SecretIdList"), parameters.get("Filters")
        if bool(ids) == bool(filters):
            raise InvalidParameter(reason="Specify SecretIdList or Filters, and not both.")
        if ids and "MaxResults" in parameters:
            raise InvalidParameter(reason="MaxResults is for Filters only.")
        answer: dict[str, Any] = {"Chosen": ids}
        if not ids:
            found = sorted(self._select(call, parameters, with_deleted=False), key=order_by(""))
            size = parameters.get("MaxResults", VALUES_PER_PAGE)
            answer = page(parameters, "Chosen", found, lambda secret: secret.arn, size=size)
        values, errors = self._read_all(answer.pop("Chosen"))
        return {**answer, "SecretValues": values, **given(Errors=errors)}

    def _read_all(self, ids: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        values, errors = [], []
        for secret_id in ids:
            try:
                values.append(shown_value(*self._secrets.value(secret_id)))
            except CallerError as error:
                errors.append({"SecretId": secret_id, "ErrorCode": error_code(error), "Message": str(error)})
        return values, errors

    def _select(self, call: Call, parameters: dict[str, Any], *, with_deleted: bool) -> list[Secret]:
        filters = [Filter(one.get("Key", "all"), one.get("Values", ())) for one in parameters.get("Filters", ())]
        there = [secret for secret in self._secrets.all() if with_deleted or secret.deletion_at is None]
        return select(there, filters, call.region)


def _listed(secret: Secret) -> dict[str, Any]:
    return {**details(secret), **given(SecretVersionsToStages=labeled_versions(secret))}
