"""The operations on functions' versions.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.lambda_.configuration import refuse_not_built, write_function
from workshape.aws.lambda_.names import unqualified
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.operation import Call, Operation
from workshape.functions.catalog import Catalog
from workshape.functions.function import PublishedVersion, Runnable


def version_operations(catalog: Catalog) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _VersionOperations(catalog)
    return {"PublishVersion": operations.publish, "ListVersionsByFunction": operations.list}


class _VersionOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def publish(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse_not_built(parameters)
        version = await self._catalog.publish(
            unqualified(self._catalog, parameters),
            description=parameters.get("Description"),
            expected_code_sha256=parameters.get("CodeSha256"),
            expected_revision=parameters.get("RevisionId"),
        )
        return write_function(self._catalog, version, version.version)

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        versions = self._catalog.versions(self._catalog.reference(parameters["FunctionName"]).name)
        page, more = cut_page(parameters, versions, version_key)
        return {"Versions": [write_function(self._catalog, each, each.version) for each in page], **more}


def version_key(version: Runnable) -> str:
    """Order a function's versions: $LATEST, then by number."""
    return f"{version.number if isinstance(version, PublishedVersion) else 0:020}"
