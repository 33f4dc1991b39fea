"""The operations on functions themselves.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from workshape.aws.lambda_.code_source import FetchObject, read_code
from workshape.aws.lambda_.configuration import (
    changed_configuration,
    new_configuration,
    refuse_not_built,
    write_function,
)
from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid
from workshape.functions.catalog import Catalog, Function
from workshape.functions.function_name import FunctionReference
from workshape.functions.model import LATEST

LIST_RESULTS_MAX = 50
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html (MaxItems)"""


class InvalidMarker(Invalid):
    """Invalid Marker: it is not one of an earlier answer"""


class QualifiedName(Invalid):
    """This operation takes a function's unqualified name: {name}"""

    name: str


def function_operations(catalog: Catalog, fetch: FetchObject) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _FunctionOperations(catalog, fetch)
    return {
        "CreateFunction": operations.create,
        "GetFunction": operations.get,
        "GetFunctionConfiguration": operations.get_configuration,
        "ListFunctions": operations.list,
        "ListVersionsByFunction": operations.list_versions,
        "UpdateFunctionCode": operations.update_code,
        "UpdateFunctionConfiguration": operations.update_configuration,
        "DeleteFunction": operations.delete,
        "GetFunctionCodeSigningConfig": operations.get_code_signing,
    }


class _FunctionOperations:
    def __init__(self, catalog: Catalog, fetch: FetchObject) -> None:
        self._catalog = catalog
        self._fetch = fetch

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = self._unqualified(parameters)
        configuration = new_configuration(parameters)
        code = await read_code(parameters["Code"], self._catalog.code, self._fetch)
        function = self._catalog.create(reference.name, configuration, code, parameters.get("Tags"))
        return write_function(self._catalog, function)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        function, qualifier = self._find(parameters)
        members: dict[str, Any] = {"Configuration": write_function(self._catalog, function, qualifier)}
        members["Code"] = {
            "RepositoryType": "S3",
            "Location": f"file://{function.code.archive or function.code.folder}",
        }
        if function.tags:
            members["Tags"] = function.tags
        if function.reserved_concurrency is not None:
            members["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved_concurrency}
        return members

    async def get_configuration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        function, qualifier = self._find(parameters)
        return write_function(self._catalog, function, qualifier)

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        functions = self._catalog.list()
        if parameters.get("Marker"):
            after = _read_marker(parameters["Marker"])
            functions = [function for function in functions if function.name > after]
        page = functions[: min(parameters.get("MaxItems", LIST_RESULTS_MAX), LIST_RESULTS_MAX)]
        qualifier = LATEST if parameters.get("FunctionVersion") == "ALL" else None
        members: dict[str, Any] = {"Functions": [write_function(self._catalog, each, qualifier) for each in page]}
        if len(page) < len(functions):
            members["NextMarker"] = urlsafe_b64encode(page[-1].name.encode()).decode()
        return members

    async def list_versions(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        function, _ = self._find(parameters)
        return {"Versions": [write_function(self._catalog, function, LATEST)]}

    async def update_code(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = self._unqualified(parameters)
        refuse_not_built(parameters)
        present = self._catalog.find(reference)
        code = await read_code(parameters, self._catalog.code, self._fetch)
        if parameters.get("DryRun"):
            return {**write_function(self._catalog, present), "CodeSha256": code.sha256, "CodeSize": code.size_bytes}
        architectures = parameters.get("Architectures")
        changed = self._catalog.update_code(
            reference.name,
            code,
            architectures=tuple(architectures) if architectures else None,
            expected_revision=parameters.get("RevisionId"),
        )
        return write_function(self._catalog, changed)

    async def update_configuration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = self._unqualified(parameters)
        present = self._catalog.find(reference)
        changed = self._catalog.update_configuration(
            reference.name,
            changed_configuration(parameters, present.configuration),
            expected_revision=parameters.get("RevisionId"),
        )
        return write_function(self._catalog, changed)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = self._catalog.reference(parameters["FunctionName"], parameters.get("Qualifier"))
        if reference.qualifier == LATEST:
            raise Invalid(reason="$LATEST version cannot be deleted without deleting the function.")
        self._catalog.find(reference)
        self._catalog.delete(reference.name)
        return {"StatusCode": 204}

    async def get_code_signing(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"CodeSigningConfigArn": "", "FunctionName": self._find(parameters)[0].name}

    def _find(self, parameters: dict[str, Any]) -> tuple[Function, str | None]:
        reference = self._catalog.reference(parameters["FunctionName"], parameters.get("Qualifier"))
        return self._catalog.find(reference), reference.qualifier

    def _unqualified(self, parameters: dict[str, Any]) -> FunctionReference:
        reference = self._catalog.reference(parameters["FunctionName"])
        if reference.qualifier not in (None, LATEST):
            raise QualifiedName(name=parameters["FunctionName"])
        return reference


def _read_marker(marker: str) -> str:
    try:
        return urlsafe_b64decode(marker.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidMarker() from error
