"""The operations on HTTP APIs as wholes, and on their tags.

Each method's page is https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/NAME.html: apis, apis-apiid, tags.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from workshape.apis.addresses import api_host
from workshape.apis.http_api import DEFAULT_STAGE, Cors, Definition, HttpApi, Integration, Route, Stage
from workshape.apis.http_apis import HttpApis
from workshape.apis.ids import new_member_id
from workshape.apis.openapi import HttpImport, read_http_api
from workshape.apis.routes import DEFAULT
from workshape.aws.apigatewayv2.members import change, page, show
from workshape.aws.operation import Call, Operation
from workshape.aws.struct_members import NotBuilt, make
from workshape.errors import Invalid, NotFound

TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""
QUICK_CREATE = ("Target", "RouteKey", "CredentialsArn")
_OWN = {"ApiId", "CorsConfiguration", *QUICK_CREATE}
_TAGGED = re.compile(r"arn:aws:apigateway:[\w-]+::/apis/(\w+)(?:/stages/([^/]+))?")


def api_operations(apis: HttpApis) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ApiOperations(apis)
    return {
        "CreateApi": operations.create,
        "GetApi": operations.get,
        "GetApis": operations.list,
        "UpdateApi": operations.update,
        "DeleteApi": operations.delete,
        "DeleteCorsConfiguration": operations.delete_cors,
        "ImportApi": operations.import_,
        "ReimportApi": operations.reimport,
        "TagResource": operations.tag,
        "UntagResource": operations.untag,
        "GetTags": operations.tags,
    }


class _ApiOperations:
    def __init__(self, apis: HttpApis) -> None:
        self._apis = apis

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters["ProtocolType"] != "HTTP":
            raise NotBuilt(feature=f"APIs of the protocol {parameters['ProtocolType']}")
        check_tags(parameters.get("Tags", {}))
        cors = make(Cors, parameters["CorsConfiguration"]) if parameters.get("CorsConfiguration") else None
        api = self._apis.create(parameters["Name"], Definition(cors=cors))
        api_id = api.properties.api_id
        try:
            self._apis.set_properties(api_id, change(api.properties, parameters, "ProtocolType", *_OWN))
            if parameters.get("Target"):
                self._quick_create(api_id, parameters)
        except BaseException:
            self._apis.delete(api_id)
            raise
        return self._write(call, self._apis.get(api_id))

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._write(call, self._apis.get(parameters["ApiId"]))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return page(parameters, self._apis.all(), lambda api: self._write(call, api))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        api = self._apis.get(parameters["ApiId"])
        for member in QUICK_CREATE:
            if member in parameters:
                raise NotBuilt(feature=f"{member} in UpdateApi")
        changed = change(api.properties, parameters, *_OWN)
        if "CorsConfiguration" in parameters:
            cors = make(Cors, parameters["CorsConfiguration"])
            self._apis.define(parameters["ApiId"], lambda definition: replace(definition, cors=cors))
        return self._write(call, self._apis.set_properties(parameters["ApiId"], changed))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.delete(parameters["ApiId"])
        return {}

    async def delete_cors(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._apis.define(parameters["ApiId"], lambda definition: replace(definition, cors=None))
        return {}

    async def import_(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        imported = self._read(parameters)
        properties = {"description": imported.description, "version": imported.version}
        api = self._apis.create(imported.name, imported.definition, **properties)
        return self._write(call, api)

    async def reimport(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        imported = self._read(parameters)
        properties = replace(
            self._apis.get(parameters["ApiId"]).properties,
            name=imported.name,
            description=imported.description,
            version=imported.version,
        )
        self._apis.set_properties(parameters["ApiId"], properties)
        return self._write(call, self._apis.define(parameters["ApiId"], lambda _: imported.definition))

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._set_tags(parameters["ResourceArn"], {**self._tags(parameters["ResourceArn"]), **parameters["Tags"]})
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        tags = self._tags(parameters["ResourceArn"])
        left = {key: value for key, value in tags.items() if key not in parameters["TagKeys"]}
        self._set_tags(parameters["ResourceArn"], left)
        return {}

    async def tags(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._tags(parameters["ResourceArn"])}

    def _quick_create(self, api_id: str, parameters: dict[str, Any]) -> None:
        """Make an integration, a route and a stage of a target.

        Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop.html (quick create)
        """
        target, now = parameters["Target"], self._apis.now()
        is_function = target.startswith("arn:")
        integration = Integration(
            new_member_id(),
            "AWS_PROXY" if is_function else "HTTP_PROXY",
            target,
            "2.0" if is_function else "1.0",
            integration_method=None if is_function else "ANY",
            credentials_arn=parameters.get("CredentialsArn"),
            api_gateway_managed=True,
        )
        key = parameters.get("RouteKey") or DEFAULT
        path = f"integrations/{integration.integration_id}"
        route = Route(new_member_id(), key, path, api_gateway_managed=True)
        made = Definition({route.route_id: route}, {integration.integration_id: integration})
        self._apis.define(api_id, lambda given: replace(made, cors=given.cors))
        self._apis.create_stage(api_id, Stage(DEFAULT_STAGE, now, now, auto_deploy=True, api_gateway_managed=True))

    def _read(self, parameters: dict[str, Any]) -> HttpImport:
        if parameters.get("Basepath") not in (None, "", "ignore"):
            raise NotBuilt(feature=f"Basepath {parameters['Basepath']}")
        return read_http_api(parameters["Body"], new_member_id)

    def _tags(self, arn: str) -> dict[str, str]:
        api_id, stage = _tagged(arn)
        if stage is not None:
            return self._apis.stage(api_id, stage).tags
        return self._apis.get(api_id).properties.tags

    def _set_tags(self, arn: str, tags: dict[str, str]) -> None:
        check_tags(tags)
        api_id, stage = _tagged(arn)
        if stage is not None:
            self._apis.put_stage(api_id, replace(self._apis.stage(api_id, stage), tags=tags))
        else:
            self._apis.set_properties(api_id, replace(self._apis.get(api_id).properties, tags=tags))

    def _write(self, call: Call, api: HttpApi) -> dict[str, Any]:
        properties, cors = api.properties, api.definition.cors
        port = urlsplit(call.endpoint).port
        host = api_host(properties.api_id, call.region)
        return {
            **show(properties),
            "ApiEndpoint": f"http://{host}{f':{port}' if port else ''}",
            "ProtocolType": "HTTP",
            "CorsConfiguration": show(cors) if cors is not None else None,
        }


def check_tags(tags: Mapping[str, str]) -> None:
    """Check what something is to be tagged with.

    Raises:
        Invalid: it is too much.
    """
    if len(tags) > TAGS_MAX:
        raise Invalid(reason=f"A resource has at most {TAGS_MAX} tags")


def _tagged(arn: str) -> tuple[str, str | None]:
    found = _TAGGED.fullmatch(arn)
    if found is None:
        raise NotFound(kind="resource", name=arn)
    return found[1], found[2]
