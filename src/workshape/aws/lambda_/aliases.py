"""The operations on functions' aliases.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.aws.lambda_.names import unqualified
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.operation import Call, Operation
from workshape.functions.alias import Alias
from workshape.functions.catalog import Catalog
from workshape.functions.model import FunctionName


def alias_operations(catalog: Catalog) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _AliasOperations(catalog)
    return {
        "CreateAlias": operations.create,
        "GetAlias": operations.get,
        "ListAliases": operations.list,
        "UpdateAlias": operations.update,
        "DeleteAlias": operations.delete,
    }


class _AliasOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        described = Alias(parameters["Name"], parameters["FunctionVersion"], "")
        alias = self._catalog.aliases.create(name, msgspec.structs.replace(described, **_changes(parameters)))
        return self._write(name, alias)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        return self._write(name, self._catalog.aliases.get(name, parameters["Name"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        self._catalog.get(name)
        aliases = self._catalog.aliases.of(name)
        if "FunctionVersion" in parameters:
            aliases = [alias for alias in aliases if parameters["FunctionVersion"] in alias.versions]
        page, more = cut_page(parameters, aliases, lambda alias: alias.name)
        return {"Aliases": [self._write(name, alias) for alias in page], **more}

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        present = self._catalog.aliases.get(name, parameters["Name"])
        alias = self._catalog.aliases.update(
            name,
            msgspec.structs.replace(present, **_changes(parameters)),
            expected_revision=parameters.get("RevisionId"),
        )
        return self._write(name, alias)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._catalog.aliases.delete(unqualified(self._catalog, parameters), parameters["Name"])
        return {}

    def _write(self, name: FunctionName, alias: Alias) -> dict[str, Any]:
        return {
            "AliasArn": self._catalog.arn(name, alias.name),
            "Name": alias.name,
            "FunctionVersion": alias.version,
            "Description": alias.description,
            "RoutingConfig": {"AdditionalVersionWeights": alias.additional_weights}
            if alias.additional_weights
            else None,
            "RevisionId": alias.revision,
        }


def _changes(parameters: dict[str, Any]) -> dict[str, Any]:
    """Read what a request sets; what it leaves out stays. An empty RoutingConfig takes the second version away."""
    fields = {"FunctionVersion": "version", "Description": "description"}
    changes = {field: parameters[member] for member, field in fields.items() if member in parameters}
    if "RoutingConfig" in parameters:
        changes["additional_weights"] = parameters["RoutingConfig"].get("AdditionalVersionWeights") or {}
    return changes
