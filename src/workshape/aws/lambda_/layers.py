"""The operations on layers.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.lambda_.code_source import FetchObject, read_code
from workshape.aws.lambda_.configuration import write_time
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.lambda_.statements import write_statement
from workshape.aws.operation import Call, Operation
from workshape.functions.catalog import Catalog
from workshape.functions.layers import InvalidLayerName, LayerVersion
from workshape.functions.policy import PolicyNotFound, with_statement, without_statement

_NUMBERS = 10**20  # more than there are: what is left of it orders the newest first


def layer_operations(catalog: Catalog, fetch: FetchObject) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _LayerOperations(catalog, fetch)
    return {
        "PublishLayerVersion": operations.publish,
        "GetLayerVersion": operations.get,
        "GetLayerVersionByArn": operations.get_by_arn,
        "ListLayerVersions": operations.list_versions,
        "ListLayers": operations.list,
        "DeleteLayerVersion": operations.delete,
        "AddLayerVersionPermission": operations.add_permission,
        "RemoveLayerVersionPermission": operations.remove_permission,
        "GetLayerVersionPolicy": operations.get_policy,
    }


class _LayerOperations:
    def __init__(self, catalog: Catalog, fetch: FetchObject) -> None:
        self._catalog = catalog
        self._layers = catalog.layers
        self._fetch = fetch

    async def publish(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, number = self._layers.parse(parameters["LayerName"])
        if number is not None:
            raise InvalidLayerName(name=parameters["LayerName"])
        version = self._layers.publish(
            name,
            await read_code(parameters["Content"], self._catalog.code, self._fetch),
            description=parameters.get("Description", ""),
            runtimes=tuple(parameters.get("CompatibleRuntimes") or ()),
            architectures=tuple(parameters.get("CompatibleArchitectures") or ()),
            license=parameters.get("LicenseInfo", ""),
        )
        return self._write_whole(version)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._write_whole(self._version(parameters))

    async def get_by_arn(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, number = self._layers.parse(parameters["Arn"])
        if number is None:
            raise InvalidLayerName(name=parameters["Arn"])
        return self._write_whole(self._layers.get(name, number))

    async def list_versions(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, _ = self._layers.parse(parameters["LayerName"])
        versions = [version for version in self._layers.versions(name) if _matches(version, parameters)]
        page, more = cut_page(parameters, versions, lambda version: f"{_NUMBERS - version.number:021}")
        return {"LayerVersions": [self._write(version) for version in page], **more}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        newest: list[LayerVersion] = []
        for name in self._layers.names():
            newest += [version for version in self._layers.versions(name) if _matches(version, parameters)][:1]
        page, more = cut_page(parameters, newest, lambda version: version.layer)
        layers = [
            {
                "LayerName": version.layer,
                "LayerArn": self._layers.arn(version.layer),
                "LatestMatchingVersion": self._write(version),
            }
            for version in page
        ]
        return {"Layers": layers, **more}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        version = self._version(parameters)
        self._layers.delete(version.layer, version.number)
        return {}

    async def add_permission(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        version, sid = self._version(parameters), parameters["StatementId"]
        organization = parameters.get("OrganizationId")
        statement = write_statement(
            sid,
            parameters["Principal"],
            parameters["Action"],
            self._layers.arn(version.layer, version.number),
            {"StringEquals": {"aws:PrincipalOrgID": organization} if organization else {}},
        )
        policy = with_statement(version.policy, sid, statement, parameters.get("RevisionId"))
        self._layers.set_policy(version, policy)
        return {"Statement": statement.decode(), "RevisionId": policy.revision}

    async def remove_permission(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        version = self._version(parameters)
        left = without_statement(version.policy, parameters["StatementId"], parameters.get("RevisionId"))
        self._layers.set_policy(version, left)
        return {}

    async def get_policy(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        version = self._version(parameters)
        if version.policy is None:
            raise PolicyNotFound(kind="policy", name=version.layer)
        return {"Policy": version.policy.document(), "RevisionId": version.policy.revision}

    def _version(self, parameters: dict[str, Any]) -> LayerVersion:
        name, _ = self._layers.parse(parameters["LayerName"])
        return self._layers.get(name, parameters["VersionNumber"])

    def _write_whole(self, version: LayerVersion) -> dict[str, Any]:
        return {
            **self._write(version),
            "LayerArn": self._layers.arn(version.layer),
            "Content": {
                "Location": f"file://{version.code.archive or version.code.folder}",
                "CodeSha256": version.code.sha256,
                "CodeSize": version.code.size_bytes,
            },
        }

    def _write(self, version: LayerVersion) -> dict[str, Any]:
        return {
            "LayerVersionArn": self._layers.arn(version.layer, version.number),
            "Version": version.number,
            "Description": version.description,
            "CreatedDate": write_time(version.created_at),
            "CompatibleRuntimes": list(version.runtimes) or None,
            "CompatibleArchitectures": list(version.architectures) or None,
            "LicenseInfo": version.license or None,
        }


def _matches(version: LayerVersion, parameters: dict[str, Any]) -> bool:
    """Tell whether a version is for the runtime and the architecture that are asked for, if any are."""
    asked = (
        (parameters.get("CompatibleRuntime"), version.runtimes),
        (parameters.get("CompatibleArchitecture"), version.architectures),
    )
    return all(wanted is None or wanted in compatible for wanted, compatible in asked)
