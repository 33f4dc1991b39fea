"""The operations on REST APIs as wholes: their making, importing, tags, and the account's settings.

Each method's page is https://docs.aws.amazon.com/apigateway/latest/api/API_NAME.html
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from workshape.apis.ids import new_member_id
from workshape.apis.openapi_rest import RestImport, read_rest_api
from workshape.apis.patch import patched
from workshape.apis.rest_api import Definition, EndpointConfiguration, GatewayResponse, RestApi
from workshape.apis.rest_apis import ROOT_ID_LENGTH, RestApis
from workshape.apis.usage_plans import UsagePlans
from workshape.aws.apigateway.members import page, show
from workshape.aws.apigateway.resources import check_integration
from workshape.aws.operation import Call, Operation
from workshape.aws.struct_members import NotBuilt, make
from workshape.errors import Invalid, NotFound

ACCOUNT_RATE, ACCOUNT_BURST = 10_000.0, 5_000
TAGS_MAX = 50
_PROPERTIES = ("name", "description", "version", "disableExecuteApiEndpoint", "endpointConfiguration")
_DEFINITION = ("binaryMediaTypes", "apiKeySource")
_OTHER_LANGUAGE = re.compile(r"#(?=[a-zA-Z{])|\$(?!\{?context\.)(?=[a-zA-Z{!])")
_HEADER_VALUE = re.compile(r"'[^'\r\n]*'|method\.request\.header\.[\w-]+|context\.[\w.]+")
_STATUS = re.compile(r"[2-5]\d\d")
_TAGGED = re.compile(r"arn:aws:apigateway:[\w-]+::/(restapis|apikeys|usageplans)/(\w+)(?:/stages/([^/]+))?")


def api_operations(apis: RestApis, plans: UsagePlans) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations, tags = _ApiOperations(apis), _TagOperations(apis, plans)
    return {
        "CreateRestApi": operations.create,
        "GetRestApi": operations.get,
        "GetRestApis": operations.list,
        "UpdateRestApi": operations.update,
        "DeleteRestApi": operations.delete,
        "ImportRestApi": operations.import_,
        "PutRestApi": operations.put,
        "GetAccount": operations.get_account,
        "UpdateAccount": operations.update_account,
        "TagResource": tags.tag,
        "UntagResource": tags.untag,
        "GetTags": tags.list,
    }


class _ApiOperations:
    def __init__(self, apis: RestApis) -> None:
        self._apis = apis

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        for member in ("cloneFrom", "policy", "minimumCompressionSize", "securityPolicy"):
            if parameters.get(member) not in (None, "", -1):
                raise NotBuilt(feature=member)
        endpoint = make(EndpointConfiguration, parameters.get("endpointConfiguration", {}))
        definition = Definition(
            binary_media_types=tuple(parameters.get("binaryMediaTypes", ())),
            api_key_source=parameters.get("apiKeySource", "HEADER"),
        )
        tags = parameters.get("tags", {})
        _check_tags(tags)
        api = self._apis.create(
            parameters["name"],
            definition,
            description=parameters.get("description"),
            version=parameters.get("version"),
            endpoint_configuration=endpoint,
            disable_execute_api_endpoint=parameters.get("disableExecuteApiEndpoint", False),
            tags=tags,
        )
        return _write(api)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write(self._apis.get(parameters["restApiId"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return page(parameters, self._apis.all(), _write)

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        api_id, operations = parameters["restApiId"], parameters.get("patchOperations", [])
        api = self._apis.get(api_id)
        of_definition = [one for one in operations if _head(one) in _DEFINITION]
        of_properties = [one for one in operations if _head(one) not in _DEFINITION]
        properties = patched(api.properties, of_properties, _PROPERTIES)
        definition = _patch_definition(api.definition, of_definition)
        self._apis.define(api_id, lambda _: definition)
        return _write(self._apis.set_properties(api_id, properties))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.delete(parameters["restApiId"])
        return {}

    async def import_(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        imported = self._read(parameters)
        return _write(self._take(self._apis.create(imported.properties["name"], Definition()), imported))

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters.get("mode", "merge") != "overwrite":
            # AWS: merging is the default; tools that define a whole API overwrite.
            raise NotBuilt(feature="PutRestApi with the mode merge (give the mode overwrite)")
        return _write(self._take(self._apis.get(parameters["restApiId"]), self._read(parameters)))

    async def get_account(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        limits = {"rateLimit": ACCOUNT_RATE, "burstLimit": ACCOUNT_BURST}
        own = show(self._apis.account)
        return {**own, "throttleSettings": limits, "features": ["UsagePlans"], "apiKeyVersion": "4"}

    async def update_account(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        operations = parameters.get("patchOperations", [])
        self._apis.put_account(patched(self._apis.account, operations, ("cloudwatchRoleArn",)))
        return await self.get_account(call, parameters)

    def _read(self, parameters: dict[str, Any]) -> RestImport:
        for name, value in parameters.get("parameters", {}).items():
            if (name, value) != ("basepath", "ignore") and name not in ("endpointConfigurationTypes", "ignore"):
                raise NotBuilt(feature=f"the import parameter {name}={value}")
        imported = read_rest_api(parameters["body"], lambda: new_member_id(ROOT_ID_LENGTH))
        for resource in imported.definition.resources.values():
            for method in resource.resource_methods.values():
                if method.method_integration is not None:
                    check_integration(method.method_integration)
        for response in imported.definition.gateway_responses.values():
            _check_response(response)
        return imported

    def _take(self, api: RestApi, imported: RestImport) -> RestApi:
        """Define an API as a definition says it; its root stays the one it has."""
        properties = api.properties
        definition = imported.with_root(properties.root_resource_id)
        self._apis.define(properties.id, lambda _: definition)
        return self._apis.set_properties(properties.id, replace(properties, **imported.properties))


class _TagOperations:
    def __init__(self, apis: RestApis, plans: UsagePlans) -> None:
        self._apis = apis
        self._plans = plans

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn = parameters["resourceArn"]
        self._set(arn, {**self._get(arn), **parameters["tags"]})
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn, gone = parameters["resourceArn"], parameters["tagKeys"]
        self._set(arn, {key: value for key, value in self._get(arn).items() if key not in gone})
        return {}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"tags": self._get(parameters["resourceArn"])}

    def _get(self, arn: str) -> dict[str, str]:
        kind, id_, stage = _tagged(arn)
        if stage is not None:
            return self._apis.stage(id_, stage).tags
        if kind == "restapis":
            return self._apis.get(id_).properties.tags
        return self._plans.key(id_).tags if kind == "apikeys" else self._plans.plan(id_).tags

    def _set(self, arn: str, tags: dict[str, str]) -> None:
        _check_tags(tags)
        kind, id_, stage = _tagged(arn)
        if stage is not None:
            self._apis.put_stage(id_, replace(self._apis.stage(id_, stage), tags=tags))
        elif kind == "restapis":
            self._apis.set_properties(id_, replace(self._apis.get(id_).properties, tags=tags))
        elif kind == "apikeys":
            self._plans.put_key(replace(self._plans.key(id_), tags=tags))
        else:
            self._plans.put_plan(replace(self._plans.plan(id_), tags=tags))


def gateway_response_operations(apis: RestApis) -> Mapping[str, Operation]:
    """Offer the operations on gateway responses."""
    operations = _GatewayResponseOperations(apis)
    return {
        "PutGatewayResponse": operations.put,
        "GetGatewayResponse": operations.get,
        "GetGatewayResponses": operations.list,
        "DeleteGatewayResponse": operations.delete,
    }


class _GatewayResponseOperations:
    def __init__(self, apis: RestApis) -> None:
        self._apis = apis

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        made = make(GatewayResponse, parameters, "restApiId")
        _check_response(made)

        def change(definition: Definition) -> Definition:
            return replace(definition, gateway_responses={**definition.gateway_responses, made.response_type: made})

        self._apis.define(parameters["restApiId"], change)
        return {**show(made), "defaultResponse": False}

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {**show(self._find(parameters)), "defaultResponse": False}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        defined = self._apis.get(parameters["restApiId"]).definition.gateway_responses
        return page(parameters, defined.values(), lambda one: {**show(one), "defaultResponse": False})

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        gone = self._find(parameters).response_type

        def change(definition: Definition) -> Definition:
            left = {kind: one for kind, one in definition.gateway_responses.items() if kind != gone}
            return replace(definition, gateway_responses=left)

        self._apis.define(parameters["restApiId"], change)
        return {}

    def _find(self, parameters: dict[str, Any]) -> GatewayResponse:
        defined = self._apis.get(parameters["restApiId"]).definition.gateway_responses
        found = defined.get(parameters["responseType"])
        if found is None:
            raise NotFound(kind="gateway response", name=parameters["responseType"])
        return found


def _check_response(response: GatewayResponse) -> None:
    """Its templates may name `$context`, its headers that or a header of the request; there is nothing else here."""
    for template in response.response_templates.values():
        if _OTHER_LANGUAGE.search(template):
            raise NotBuilt(feature="templates of gateway responses that name other than $context")
    for value in response.response_parameters.values():
        if not _HEADER_VALUE.fullmatch(value):
            raise NotBuilt(feature=f"the response parameter {value} of gateway responses")
    if response.status_code is not None and not _STATUS.fullmatch(response.status_code):
        raise Invalid(reason=f"Invalid status code {response.status_code}")


class _Settable(msgspec.Struct, frozen=True, rename="camel"):
    """What of a definition is changed as if it were the API's own."""

    binary_media_types: tuple[str, ...]
    api_key_source: str


def _patch_definition(definition: Definition, operations: list[dict[str, Any]]) -> Definition:
    settable = _Settable(definition.binary_media_types, definition.api_key_source)
    changed = patched(settable, operations, _DEFINITION)
    return replace(definition, binary_media_types=changed.binary_media_types, api_key_source=changed.api_key_source)


def _head(operation: Mapping[str, Any]) -> str:
    return str(operation.get("path", "")).removeprefix("/").partition("/")[0]


def _write(api: RestApi) -> dict[str, Any]:
    definition, properties = api.definition, api.properties
    return {
        **show(properties),
        "binaryMediaTypes": list(definition.binary_media_types) or None,
        "apiKeySource": definition.api_key_source,
        "apiStatus": "AVAILABLE",
    }


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise Invalid(reason=f"A resource has at most {TAGS_MAX} tags")


def _tagged(arn: str) -> tuple[str, str, str | None]:
    found = _TAGGED.fullmatch(arn)
    if found is None:
        raise NotFound(kind="resource", name=arn)
    return found[1], found[2], found[3]
