"""The operations on routes, integrations and authorizers of HTTP APIs.

Each method's page is https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.apis.http_api import (
    HTTP_PROXY,
    LAMBDA_PROXY,
    Authorizer,
    Integration,
    NoSuchMember,
    Route,
    with_authorizer,
    with_integration,
    with_route,
    without,
)
from workshape.apis.http_apis import HttpApis
from workshape.apis.ids import new_member_id
from workshape.aws.apigatewayv2.members import change, page, show
from workshape.aws.operation import Call, Operation
from workshape.aws.struct_members import NotBuilt, make
from workshape.errors import Invalid

TIMEOUT_MS_MIN, TIMEOUT_MS_MAX = 50, 30_000
RESULT_TTL_S_MAX = 3_600
_ROUTE = ("ApiId", "RouteId")
_INTEGRATION = ("ApiId", "IntegrationId")
_AUTHORIZER = ("ApiId", "AuthorizerId")


def route_operations(apis: HttpApis) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _RouteOperations(apis)
    return {
        f"{verb}{kind}": getattr(operations, f"{verb.lower()}_{kind.lower()}")
        for verb, kinds in {
            "Create": ("Route", "Integration", "Authorizer"),
            "Get": ("Route", "Routes", "Integration", "Integrations", "Authorizer", "Authorizers"),
            "Update": ("Route", "Integration", "Authorizer"),
            "Delete": ("Route", "Integration", "Authorizer"),
        }.items()
        for kind in kinds
    }


class _RouteOperations:
    def __init__(self, apis: HttpApis) -> None:
        self._apis = apis

    async def create_route(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._put_route(parameters["ApiId"], make(Route, parameters, *_ROUTE, RouteId=new_member_id()))

    async def get_route(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return show(self._route(parameters))

    async def get_routes(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return page(parameters, self._apis.get(parameters["ApiId"]).definition.routes.values(), show)

    async def update_route(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._put_route(parameters["ApiId"], change(self._route(parameters), parameters, *_ROUTE[:1]))

    async def delete_route(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._delete(parameters["ApiId"], "routes", parameters["RouteId"])
        return {}

    async def create_integration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        given = {"IntegrationUri": "", **parameters}
        made = make(Integration, given, *_INTEGRATION, IntegrationId=new_member_id())
        return self._put_integration(parameters["ApiId"], made)

    async def get_integration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _write_integration(self._integration(parameters))

    async def get_integrations(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        definition = self._apis.get(parameters["ApiId"]).definition
        return page(parameters, definition.integrations.values(), _write_integration)

    async def update_integration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        changed = change(self._integration(parameters), parameters, *_INTEGRATION[:1])
        return self._put_integration(parameters["ApiId"], changed)

    async def delete_integration(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._delete(parameters["ApiId"], "integrations", parameters["IntegrationId"])
        return {}

    async def create_authorizer(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        made = make(Authorizer, parameters, *_AUTHORIZER, AuthorizerId=new_member_id(6))
        return self._put_authorizer(parameters["ApiId"], made)

    async def get_authorizer(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return show(self._authorizer(parameters))

    async def get_authorizers(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return page(parameters, self._apis.get(parameters["ApiId"]).definition.authorizers.values(), show)

    async def update_authorizer(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        changed = change(self._authorizer(parameters), parameters, *_AUTHORIZER[:1])
        return self._put_authorizer(parameters["ApiId"], changed)

    async def delete_authorizer(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._delete(parameters["ApiId"], "authorizers", parameters["AuthorizerId"])
        return {}

    def _put_route(self, api_id: str, route: Route) -> dict[str, Any]:
        if route.api_key_required:
            raise NotBuilt(feature="ApiKeyRequired: it is WebSocket APIs', which are not built")
        self._apis.define(api_id, lambda definition: with_route(definition, route))
        return show(route)

    def _put_integration(self, api_id: str, integration: Integration) -> dict[str, Any]:
        _check_integration(integration)
        self._apis.define(api_id, lambda definition: with_integration(definition, integration))
        return _write_integration(integration)

    def _put_authorizer(self, api_id: str, authorizer: Authorizer) -> dict[str, Any]:
        if not 0 <= (authorizer.authorizer_result_ttl_in_seconds or 0) <= RESULT_TTL_S_MAX:
            raise Invalid(reason=f"AuthorizerResultTtlInSeconds is 0 to {RESULT_TTL_S_MAX}")
        self._apis.define(api_id, lambda definition: with_authorizer(definition, authorizer))
        return show(authorizer)

    def _delete(self, api_id: str, kind: str, id_: str) -> None:
        self._apis.define(api_id, lambda definition: without(definition, kind, id_))

    def _route(self, parameters: dict[str, Any]) -> Route:
        found = self._apis.get(parameters["ApiId"]).definition.routes.get(parameters["RouteId"])
        if found is None:
            raise NoSuchMember(kind="Route", name=parameters["RouteId"])
        return found

    def _integration(self, parameters: dict[str, Any]) -> Integration:
        found = self._apis.get(parameters["ApiId"]).definition.integrations.get(parameters["IntegrationId"])
        if found is None:
            raise NoSuchMember(kind="Integration", name=parameters["IntegrationId"])
        return found

    def _authorizer(self, parameters: dict[str, Any]) -> Authorizer:
        found = self._apis.get(parameters["ApiId"]).definition.authorizers.get(parameters["AuthorizerId"])
        if found is None:
            raise NoSuchMember(kind="Authorizer", name=parameters["AuthorizerId"])
        return found


def _check_integration(integration: Integration) -> None:
    kind = integration.integration_type
    if kind not in (LAMBDA_PROXY, HTTP_PROXY):
        raise NotBuilt(feature=f"integrations of the type {kind}")
    if integration.connection_type != "INTERNET":
        raise NotBuilt(feature=f"integrations by {integration.connection_type}")
    if not integration.integration_uri:
        raise NotBuilt(feature="integrations without an IntegrationUri (those of IntegrationSubtype)")
    if kind == HTTP_PROXY and not integration.integration_method:
        raise Invalid(reason="An integration of the type HTTP_PROXY needs IntegrationMethod")
    if integration.payload_format_version not in ("1.0", "2.0"):
        raise Invalid(reason="PayloadFormatVersion is 1.0 or 2.0")
    if kind == HTTP_PROXY and integration.payload_format_version != "1.0":
        raise Invalid(reason="PayloadFormatVersion of an integration of the type HTTP_PROXY is 1.0")
    if not TIMEOUT_MS_MIN <= integration.timeout_in_millis <= TIMEOUT_MS_MAX:
        raise Invalid(reason=f"TimeoutInMillis is {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}")


def _write_integration(integration: Integration) -> dict[str, Any]:
    method = integration.integration_method or ("POST" if integration.integration_type == LAMBDA_PROXY else None)
    return {**show(integration), "IntegrationMethod": method}
