"""The operations on functions themselves.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.lambda_.code_source import FetchObject, read_code
from workshape.aws.lambda_.configuration import (
    changed_configuration,
    new_configuration,
    refuse_not_built,
    write_function,
)
from workshape.aws.lambda_.destinations import DEAD_LETTER, AcceptDestination
from workshape.aws.lambda_.images import (
    check_package_type,
    code_location,
    image_uri,
    is_image,
    refuse_image,
)
from workshape.aws.lambda_.names import unqualified
from workshape.aws.lambda_.paging import cut_page, page_begin
from workshape.aws.lambda_.tags import check_tags
from workshape.aws.lambda_.versions import version_key
from workshape.aws.operation import Call, Operation
from workshape.errors import Invalid
from workshape.functions.catalog import Catalog
from workshape.functions.configuration import LayersInUse
from workshape.functions.function import Function, PublishedVersion, Runnable
from workshape.functions.images.deployments import Deployments
from workshape.functions.model import LATEST


def function_operations(
    catalog: Catalog, fetch: FetchObject, images: Deployments, accept: AcceptDestination
) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _FunctionOperations(catalog, fetch, images, accept)
    return {
        "CreateFunction": operations.create,
        "GetFunction": operations.get,
        "GetFunctionConfiguration": operations.get_configuration,
        "ListFunctions": operations.list,
        "UpdateFunctionCode": operations.update_code,
        "UpdateFunctionConfiguration": operations.update_configuration,
        "DeleteFunction": operations.delete,
        "GetFunctionCodeSigningConfig": operations.get_code_signing,
    }


class _FunctionOperations:
    def __init__(self, catalog: Catalog, fetch: FetchObject, images: Deployments, accept: AcceptDestination) -> None:
        self._catalog = catalog
        self._fetch = fetch
        self._images = images
        self._accept = accept

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        check_tags(parameters.get("Tags", {}))
        check_package_type(parameters, image=is_image(parameters))  # before layers are looked for
        self._check_dead_letter(parameters)
        configuration = new_configuration(parameters, await self._layers(parameters))
        if is_image(parameters):
            uri = image_uri(parameters["Code"], "creating")
            function = await self._images.create(name, configuration, uri, parameters.get("Tags"))
            return await self._written(function, parameters)
        refuse_image(parameters["Code"], "creating")
        code = await read_code(parameters["Code"], self._catalog.code, self._fetch)
        function = self._catalog.create(name, configuration, code, parameters.get("Tags"))
        return await self._written(function, parameters)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        runnable, qualifier = self._find(parameters)
        function = self._catalog.get(runnable.name)
        members: dict[str, Any] = {"Configuration": write_function(self._catalog, runnable, qualifier)}
        members["Code"] = code_location(runnable)
        if function.tags:
            members["Tags"] = function.tags
        if function.reserved_concurrency is not None:
            members["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved_concurrency}
        return members

    async def get_configuration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return write_function(self._catalog, *self._find(parameters))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        functions = self._catalog.list()
        if parameters.get("FunctionVersion") != "ALL":
            some, more = cut_page(parameters, functions, lambda function: function.name)
            return {"Functions": [write_function(self._catalog, each) for each in some], **more}
        first, _, _ = page_begin(parameters).partition("\0")
        names = (function.name for function in functions if function.name >= first)
        versions = (version for name in names for version in self._catalog.versions(name))
        page, more = cut_page(parameters, versions, lambda version: f"{version.name}\0{version_key(version)}")
        return {"Functions": [write_function(self._catalog, each, each.version) for each in page], **more}

    async def update_code(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        refuse_not_built(parameters)
        present = self._catalog.settled(name)
        architectures = tuple(parameters["Architectures"]) if parameters.get("Architectures") else None
        revision = parameters.get("RevisionId")
        if present.code.image is None:
            refuse_image(parameters, "updating")
            code = await read_code(parameters, self._catalog.code, self._fetch)
        else:
            code = await self._images.resolve(present, image_uri(parameters, "updating"), architectures)
        if parameters.get("DryRun"):
            return {**write_function(self._catalog, present), "CodeSha256": code.sha256, "CodeSize": code.size_bytes}
        change = self._catalog.update_code if code.image is None else self._images.update
        changed = change(name, code, architectures=architectures, expected_revision=revision)
        return await self._written(changed, parameters)

    async def update_configuration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = unqualified(self._catalog, parameters)
        check_package_type(parameters, image=self._catalog.settled(name).code.image is not None)
        self._check_dead_letter(parameters)
        layers = await self._layers(parameters)
        present = self._catalog.settled(name)
        changed = self._catalog.update_configuration(
            name,
            changed_configuration(parameters, present.configuration, layers),
            expected_revision=parameters.get("RevisionId"),
        )
        return write_function(self._catalog, changed)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        reference = self._catalog.reference(parameters["FunctionName"], parameters.get("Qualifier"))
        if reference.qualifier is None:
            self._catalog.delete(reference.name)
            return {"StatusCode": 204}
        if reference.qualifier == LATEST:
            raise Invalid(reason="$LATEST version cannot be deleted without deleting the function.")
        found = self._catalog.find(reference)
        if not isinstance(found, PublishedVersion) or found.version != reference.qualifier:
            # AWS: undocumented what it says to an alias here.
            raise Invalid(reason=f"{reference.qualifier} is an alias: DeleteAlias deletes it.")
        self._catalog.delete_version(found)
        return {"StatusCode": 204}

    async def get_code_signing(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"CodeSigningConfigArn": "", "FunctionName": self._find(parameters)[0].name}

    async def _layers(self, parameters: dict[str, Any]) -> LayersInUse | None:
        return await self._catalog.layers.in_use(parameters["Layers"]) if "Layers" in parameters else None

    def _check_dead_letter(self, parameters: dict[str, Any]) -> None:
        if target := parameters.get("DeadLetterConfig", {}).get("TargetArn"):
            self._accept(target, DEAD_LETTER)

    def _find(self, parameters: dict[str, Any]) -> tuple[Runnable, str | None]:
        reference = self._catalog.reference(parameters["FunctionName"], parameters.get("Qualifier"))
        return self._catalog.find(reference), reference.qualifier

    async def _written(self, function: Function, parameters: dict[str, Any]) -> dict[str, Any]:
        """Write a changed function, or the version the request wants published of it."""
        if not parameters.get("Publish"):
            return write_function(self._catalog, function)
        if function.code.image is not None:
            function = await self._images.deployed(function.name)
        version = await self._catalog.publish(function.name, expected_revision=function.revision)
        return write_function(self._catalog, version, version.version)
