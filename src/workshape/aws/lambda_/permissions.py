"""The operations on functions' resource-based policies.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.lambda_.names import find_qualified
from workshape.aws.lambda_.statements import write_statement
from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid
from workshape.functions.catalog import Catalog
from workshape.functions.function_name import FunctionReference
from workshape.functions.model import LATEST
from workshape.functions.policy import Policy, PolicyNotFound, with_statement, without_statement

_CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
}
"""Members, and the operators and keys of the conditions they become.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
"""


class PolicyOfLatest(Invalid):
    """We currently do not support adding policies for $LATEST."""

    # AWS: undocumented; we chose the words.


def permission_operations(catalog: Catalog) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _PermissionOperations(catalog)
    return {"AddPermission": operations.add, "RemovePermission": operations.remove, "GetPolicy": operations.get}


class _PermissionOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def add(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference, sid = self._reference(parameters), parameters["StatementId"]
        conditions: dict[str, dict[str, Any]] = {}
        for member, (operator, key) in _CONDITIONS.items():
            if member in parameters:
                conditions.setdefault(operator, {})[key] = parameters[member]
        resource = reference.arn(self._catalog.region, self._catalog.account)
        statement = write_statement(sid, parameters["Principal"], parameters["Action"], resource, conditions)
        policy = with_statement(self._policy(reference), sid, statement, parameters.get("RevisionId"))
        self._catalog.policies.put(reference.name, reference.qualifier or LATEST, policy)
        return {"Statement": statement.decode()}

    async def remove(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = self._reference(parameters)
        left = without_statement(self._policy(reference), parameters["StatementId"], parameters.get("RevisionId"))
        if left is None:
            self._catalog.policies.delete(reference.name, reference.qualifier or LATEST)
        else:
            self._catalog.policies.put(reference.name, reference.qualifier or LATEST, left)
        return {}

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = self._reference(parameters)
        policy = self._policy(reference)
        if policy is None:
            raise PolicyNotFound(kind="policy", name=reference.name)
        return {"Policy": policy.document(), "RevisionId": policy.revision}

    def _reference(self, parameters: dict[str, Any]) -> FunctionReference:
        reference = find_qualified(self._catalog, parameters)
        if reference.qualifier == LATEST:
            raise PolicyOfLatest()
        return reference

    def _policy(self, reference: FunctionReference) -> Policy | None:
        return self._catalog.policies.get(reference.name, reference.qualifier or LATEST)
