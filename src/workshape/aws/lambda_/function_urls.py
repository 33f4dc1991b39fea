"""The operations on function URLs.

Each method's page is https://docs.aws.amazon.com/lambda/latest/api/API_NAME.html
"""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from workshape.aws.lambda_.configuration import write_time
from workshape.aws.lambda_.names import find_qualified
from workshape.aws.lambda_.paging import cut_page
from workshape.aws.operation import Call, Operation
from workshape.errors import Conflict, NotFound
from workshape.functions.catalog import Catalog
from workshape.functions.function_url import AuthType, Cors, FunctionUrl, InvokeMode, url_host
from workshape.functions.model import LATEST, FunctionName

_CORS_LISTS = {
    "AllowHeaders": "allow_headers",
    "AllowMethods": "allow_methods",
    "AllowOrigins": "allow_origins",
    "ExposeHeaders": "expose_headers",
}


class UrlExists(Conflict):
    """A function URL config already exists for {arn}"""

    arn: str


class UrlNotFound(NotFound):
    """The resource you requested does not exist."""


def function_url_operations(catalog: Catalog) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _FunctionUrlOperations(catalog)
    return {
        "CreateFunctionUrlConfig": operations.create,
        "UpdateFunctionUrlConfig": operations.update,
        "GetFunctionUrlConfig": operations.get,
        "ListFunctionUrlConfigs": operations.list,
        "DeleteFunctionUrlConfig": operations.delete,
    }


class _FunctionUrlOperations:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._urls = catalog.urls

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        if self._urls.get(name, qualifier) is not None:
            # AWS: the message is undocumented; its exception is ResourceConflictException.
            raise UrlExists(arn=self._arn(name, qualifier))
        now = self._catalog.now()
        made = _changed(FunctionUrl(uuid.uuid4().hex, AuthType(parameters["AuthType"]), now, now), parameters)
        return self._write(call, name, qualifier, self._urls.put(name, qualifier, made))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        present = msgspec.structs.replace(self._find(name, qualifier), modified_at=self._catalog.now())
        kept = self._urls.put(name, qualifier, _changed(present, parameters))
        return self._write_whole(call, name, qualifier, kept)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        return self._write_whole(call, name, qualifier, self._find(name, qualifier))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = find_qualified(self._catalog, parameters).name
        page, more = cut_page(parameters, sorted(self._urls.of(name).items()), lambda item: item[0])
        return {"FunctionUrlConfigs": [self._write_whole(call, name, *item) for item in page], **more}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name, qualifier = self._owner(parameters)
        self._find(name, qualifier)
        self._urls.delete(name, qualifier)
        return {}

    def _owner(self, parameters: dict[str, Any]) -> tuple[FunctionName, str]:
        reference = find_qualified(self._catalog, parameters)
        return reference.name, reference.qualifier or LATEST

    def _find(self, name: FunctionName, qualifier: str) -> FunctionUrl:
        url = self._urls.get(name, qualifier)
        if url is None:
            raise UrlNotFound(kind="function URL", name=self._arn(name, qualifier))
        return url

    def _arn(self, name: FunctionName, qualifier: str) -> str:
        return self._catalog.arn(name, None if qualifier == LATEST else qualifier)

    def _write_whole(self, call: Call, name: FunctionName, qualifier: str, url: FunctionUrl) -> dict[str, Any]:
        return {**self._write(call, name, qualifier, url), "LastModifiedTime": write_time(url.modified_at)}

    def _write(self, call: Call, name: FunctionName, qualifier: str, url: FunctionUrl) -> dict[str, Any]:
        port = urlsplit(call.endpoint).port
        host = url_host(url.id, self._catalog.region)
        return {
            "FunctionUrl": f"http://{host}{f':{port}' if port else ''}/",
            "FunctionArn": self._arn(name, qualifier),
            "AuthType": url.auth_type.value,
            "Cors": None if url.cors is None else _write_cors(url.cors),
            "CreationTime": write_time(url.created_at),
            "InvokeMode": url.invoke_mode.value,
        }


def _changed(url: FunctionUrl, parameters: dict[str, Any]) -> FunctionUrl:
    changes: dict[str, Any] = {}
    if "InvokeMode" in parameters:
        changes["invoke_mode"] = InvokeMode(parameters["InvokeMode"])
    if "AuthType" in parameters:
        changes["auth_type"] = AuthType(parameters["AuthType"])
    if "Cors" in parameters:
        changes["cors"] = _read_cors(parameters["Cors"])
    return msgspec.structs.replace(url, **changes)


def _read_cors(members: dict[str, Any]) -> Cors | None:
    if not members:
        return None
    lists = {field: tuple(members.get(member) or ()) for member, field in _CORS_LISTS.items()}
    return Cors(members.get("AllowCredentials", False), max_age_s=members.get("MaxAge", 0), **lists)


def _write_cors(cors: Cors) -> dict[str, Any]:
    lists = {member: list(getattr(cors, field)) for member, field in _CORS_LISTS.items() if getattr(cors, field)}
    return {"AllowCredentials": cors.allow_credentials, "MaxAge": cors.max_age_s, **lists}
