"""The operations on resources and methods of REST APIs, and on what stands behind methods.

Each method's page is https://docs.aws.amazon.com/apigateway/latest/api/API_NAME.html
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from workshape.apis.ids import new_member_id
from workshape.apis.patch import patched
from workshape.apis.rest_api import (
    AWS_IAM,
    CUSTOM,
    HTTP_PROXY,
    LAMBDA_PROXY,
    MOCK,
    NONE,
    TIMEOUT_MS_MAX,
    Definition,
    Integration,
    IntegrationResponse,
    Method,
    MethodExists,
    MethodResponse,
    NoSuchResponse,
    Resource,
    check_expression,
    check_path_part,
    find_integration,
    find_method,
    find_resource,
    with_child,
    with_integration,
    with_method,
    with_resource,
    without_method,
    without_resource,
)
from workshape.apis.rest_apis import RestApis
from workshape.apis.routes import ANY, check_route_key
from workshape.aws.apigateway.members import page, show
from workshape.aws.operation import Call, Operation
from workshape.aws.struct_members import NotBuilt, make
from workshape.errors import Invalid

RESOURCE_ID_LENGTH = 6
TIMEOUT_MS_MIN = 50
_METHOD_ADDRESS = ("restApiId", "resourceId")
_RESPONSE_ADDRESS = (*_METHOD_ADDRESS, "httpMethod")
_METHOD = ("authorizationType", "authorizerId", "apiKeyRequired", "operationName", "requestParameters")
_INTEGRATION = (
    *("uri", "httpMethod", "credentials", "timeoutInMillis", "requestParameters", "requestTemplates"),
    *("passthroughBehavior", "contentHandling", "connectionType", "cacheNamespace", "cacheKeyParameters"),
)
_TEMPLATE_LANGUAGE = re.compile(r"[$#](?=[a-zA-Z{!])")
_STATIC_HEADER = re.compile(r"'[^'\r\n]*'")
_AUTHORIZATIONS = (NONE, AWS_IAM, CUSTOM)


def resource_operations(apis: RestApis) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    resources, methods, integrations = _Resources(apis), _Methods(apis), _Integrations(apis)
    return {
        "CreateResource": resources.create,
        "GetResource": resources.get,
        "GetResources": resources.list,
        "UpdateResource": resources.update,
        "DeleteResource": resources.delete,
        "PutMethod": methods.put,
        "GetMethod": methods.get,
        "UpdateMethod": methods.update,
        "DeleteMethod": methods.delete,
        "PutMethodResponse": methods.put_response,
        "GetMethodResponse": methods.get_response,
        "UpdateMethodResponse": methods.update_response,
        "DeleteMethodResponse": methods.delete_response,
        "PutIntegration": integrations.put,
        "GetIntegration": integrations.get,
        "UpdateIntegration": integrations.update,
        "DeleteIntegration": integrations.delete,
        "PutIntegrationResponse": integrations.put_response,
        "GetIntegrationResponse": integrations.get_response,
        "UpdateIntegrationResponse": integrations.update_response,
        "DeleteIntegrationResponse": integrations.delete_response,
    }


class _Resources:
    def __init__(self, apis: RestApis) -> None:
        self._apis = apis

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        new_id = new_member_id(RESOURCE_ID_LENGTH)
        api = self._apis.define(
            parameters["restApiId"],
            lambda definition: with_child(definition, new_id, parameters["parentId"], parameters["pathPart"]),
        )
        return _write_resource(api.definition.resources[new_id], embed=False)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found = find_resource(self._apis.get(parameters["restApiId"]).definition, parameters["resourceId"])
        return _write_resource(found, embed="methods" in parameters.get("embed", ()))

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        resources = self._apis.get(parameters["restApiId"]).definition.resources.values()
        embed = "methods" in parameters.get("embed", ())
        in_order = sorted(resources, key=lambda resource: resource.path)
        return page(parameters, in_order, lambda resource: _write_resource(resource, embed=embed))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """A new name, or a new parent: what is below it goes along."""
        api = self._apis.get(parameters["restApiId"])
        present = find_resource(api.definition, parameters["resourceId"])
        changed = patched(present, parameters.get("patchOperations", []), ("pathPart", "parentId"))
        parent = find_resource(api.definition, changed.parent_id or "")
        check_path_part(api.definition, parent, changed.path_part or "", present.id)
        if parent.path == present.path or parent.path.startswith(present.path + "/"):
            raise Invalid(reason="Cannot move a resource below itself")
        path = f"{parent.path.rstrip('/')}/{changed.path_part}"
        check_route_key(f"{ANY} {path}")

        def change(definition: Definition) -> Definition:
            for resource in definition.resources.values():
                if resource.path.startswith(present.path + "/"):
                    moved = replace(resource, path=path + resource.path.removeprefix(present.path))
                    definition = with_resource(definition, moved)
            return with_resource(definition, replace(changed, path=path))

        api = self._apis.define(parameters["restApiId"], change)
        return _write_resource(api.definition.resources[present.id], embed=False)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        gone = parameters["resourceId"]
        self._apis.define(parameters["restApiId"], lambda definition: without_resource(definition, gone))
        return {}


class _Methods:
    def __init__(self, apis: RestApis) -> None:
        self._apis = apis

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        made = make(Method, parameters, *_METHOD_ADDRESS)
        resource = find_resource(self._apis.get(parameters["restApiId"]).definition, parameters["resourceId"])
        if made.http_method in resource.resource_methods:
            raise MethodExists(reason="")
        return self._keep(parameters, made)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write_method(self._find(parameters))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._keep(parameters, patched(self._find(parameters), parameters.get("patchOperations", []), _METHOD))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        resource, method = parameters["resourceId"], parameters["httpMethod"]
        self._apis.define(parameters["restApiId"], lambda definition: without_method(definition, resource, method))
        return {}

    async def put_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._keep_response(parameters, make(MethodResponse, parameters, *_RESPONSE_ADDRESS))

    async def get_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return show(self._find_response(parameters))

    async def update_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        operations = parameters.get("patchOperations", [])
        changed = patched(self._find_response(parameters), operations, ("responseParameters", "responseModels"))
        return self._keep_response(parameters, changed)

    async def delete_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        gone, method = self._find_response(parameters), self._find(parameters)
        left = {code: one for code, one in method.method_responses.items() if code != gone.status_code}
        self._keep(parameters, replace(method, method_responses=left))
        return {}

    def _keep(self, parameters: dict[str, Any], method: Method) -> dict[str, Any]:
        if method.authorization_type not in _AUTHORIZATIONS:
            raise NotBuilt(feature=f"the authorization type {method.authorization_type}")
        resource = parameters["resourceId"]
        self._apis.define(parameters["restApiId"], lambda definition: with_method(definition, resource, method))
        return _write_method(method)

    def _find(self, parameters: dict[str, Any]) -> Method:
        definition = self._apis.get(parameters["restApiId"]).definition
        return find_method(definition, parameters["resourceId"], parameters["httpMethod"])

    def _find_response(self, parameters: dict[str, Any]) -> MethodResponse:
        found = self._find(parameters).method_responses.get(parameters["statusCode"])
        if found is None:
            raise NoSuchResponse(kind="method response", name=parameters["statusCode"])
        return found

    def _keep_response(self, parameters: dict[str, Any], response: MethodResponse) -> dict[str, Any]:
        method = self._find(parameters)
        responses = {**method.method_responses, response.status_code: response}
        self._keep(parameters, replace(method, method_responses=responses))
        return show(response)


class _Integrations:
    def __init__(self, apis: RestApis) -> None:
        self._apis = apis

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        find_method(
            self._apis.get(parameters["restApiId"]).definition, parameters["resourceId"], parameters["httpMethod"]
        )
        given = {name: value for name, value in parameters.items() if name != "httpMethod"}
        own = {"httpMethod": given.pop("integrationHttpMethod", None), "cacheNamespace": parameters["resourceId"]}
        made = make(Integration, given, *_METHOD_ADDRESS, **{**own, **{k: v for k, v in given.items() if k in own}})
        return self._keep(parameters, made)

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return show(self._find(parameters))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        changed = patched(self._find(parameters), parameters.get("patchOperations", []), _INTEGRATION)
        return self._keep(parameters, changed)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._find(parameters)
        self._put(parameters, None)
        return {}

    async def put_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._keep_response(parameters, make(IntegrationResponse, parameters, *_RESPONSE_ADDRESS))

    async def get_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return show(self._find_response(parameters))

    async def update_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        members = ("selectionPattern", "responseParameters", "responseTemplates", "contentHandling")
        changed = patched(self._find_response(parameters), parameters.get("patchOperations", []), members)
        return self._keep_response(parameters, changed)

    async def delete_response(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        gone, integration = self._find_response(parameters), self._find(parameters)
        left = {code: one for code, one in integration.integration_responses.items() if code != gone.status_code}
        self._put(parameters, replace(integration, integration_responses=left))
        return {}

    def _keep(self, parameters: dict[str, Any], integration: Integration) -> dict[str, Any]:
        check_integration(integration)
        self._put(parameters, integration)
        return show(integration)

    def _put(self, parameters: dict[str, Any], integration: Integration | None) -> None:
        resource, method = parameters["resourceId"], parameters["httpMethod"]
        self._apis.define(
            parameters["restApiId"], lambda definition: with_integration(definition, resource, method, integration)
        )

    def _find(self, parameters: dict[str, Any]) -> Integration:
        definition = self._apis.get(parameters["restApiId"]).definition
        return find_integration(definition, parameters["resourceId"], parameters["httpMethod"])

    def _find_response(self, parameters: dict[str, Any]) -> IntegrationResponse:
        found = self._find(parameters).integration_responses.get(parameters["statusCode"])
        if found is None:
            raise NoSuchResponse(kind="integration response", name=parameters["statusCode"])
        return found

    def _keep_response(self, parameters: dict[str, Any], response: IntegrationResponse) -> dict[str, Any]:
        integration = self._find(parameters)
        responses = {**integration.integration_responses, response.status_code: response}
        self._keep(parameters, replace(integration, integration_responses=responses))
        return show(response)


def check_integration(integration: Integration) -> None:
    """Check whether an integration is one that can be served here.

    Raises:
        NotBuilt: it is of another type, or what is not done here is part of it.
        Invalid: it is none on AWS either.
    """
    kind = integration.type
    if kind not in (LAMBDA_PROXY, HTTP_PROXY, MOCK):
        raise NotBuilt(feature=f"integrations of the type {kind}")
    if integration.connection_type not in (None, "INTERNET"):
        raise NotBuilt(feature=f"integrations by {integration.connection_type}")
    if kind != MOCK and not (integration.uri and integration.http_method):
        raise Invalid(reason="Enumeration value for HttpMethod must be non-empty, and the integration needs a uri")
    if not TIMEOUT_MS_MIN <= integration.timeout_in_millis <= TIMEOUT_MS_MAX:
        raise Invalid(reason=f"Timeout should be between {TIMEOUT_MS_MIN} ms and {TIMEOUT_MS_MAX} ms")
    if kind == MOCK:
        _check_mock(integration)


def _check_mock(integration: Integration) -> None:
    """Its templates and headers are taken as they are written."""
    responses = integration.integration_responses.values()
    templates = [*integration.request_templates.values()]
    templates += [text for response in responses for text in response.response_templates.values()]
    if any(_TEMPLATE_LANGUAGE.search(template) for template in templates):
        raise NotBuilt(feature="templates with directives or references (VTL)")
    for response in responses:
        check_expression(response.selection_pattern)
        for value in response.response_parameters.values():
            if not _STATIC_HEADER.fullmatch(value):
                raise NotBuilt(feature=f"response parameters that are no static text in apostrophes ({value})")


def _write_resource(resource: Resource, *, embed: bool) -> dict[str, Any]:
    written = show(replace(resource, resource_methods={}))
    if resource.resource_methods:
        methods = resource.resource_methods
        written["resourceMethods"] = {name: _write_method(one) if embed else {} for name, one in methods.items()}
    return written


def _write_method(method: Method) -> dict[str, Any]:
    written = show(replace(method, method_integration=None))
    if method.method_integration is not None:
        written["methodIntegration"] = show(method.method_integration)
    return written
