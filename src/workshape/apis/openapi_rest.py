"""REST APIs read from a Swagger or OpenAPI definition with API Gateway's extensions. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from workshape.apis.definition_text import InvalidDefinition, read_document
from workshape.apis.openapi import (
    AUTHORIZER,
    AUTHTYPE,
    INTEGRATION,
    SIGNED,
    NewId,
    PathOperation,
    operations_of,
    security_of,
)
from workshape.apis.rest_api import (
    AWS_IAM,
    CUSTOM,
    NONE,
    ROOT,
    Authorizer,
    Definition,
    GatewayResponse,
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    Resource,
    with_authorizer,
    with_child,
    with_method,
)

GATEWAY_RESPONSES = "x-amazon-apigateway-gateway-responses"
BINARY_MEDIA_TYPES = "x-amazon-apigateway-binary-media-types"
API_KEY_SOURCE = "x-amazon-apigateway-api-key-source"
API_KEY_HEADER = "x-api-key"
_PLACEHOLDER = "root"
_REFUSED = ("x-amazon-apigateway-policy", "x-amazon-apigateway-request-validator")


@dataclass(frozen=True, slots=True)
class RestImport:
    """What a definition says of an API."""

    properties: Mapping[str, str]
    """Fields of the API's properties."""
    definition: Definition
    """Its root has no id of an API's yet."""

    def with_root(self, root_id: str) -> Definition:
        """The definition, its root by the API's own id."""
        resources = {
            root_id if id_ == _PLACEHOLDER else id_: msgspec.structs.replace(
                resource,
                id=root_id if id_ == _PLACEHOLDER else id_,
                parent_id=root_id if resource.parent_id == _PLACEHOLDER else resource.parent_id,
            )
            for id_, resource in self.definition.resources.items()
        }
        return msgspec.structs.replace(self.definition, resources=resources)


def read_rest_api(text: bytes, new_id: NewId) -> RestImport:
    """Read a REST API.

    Raises:
        InvalidDefinition: it is none.
        Invalid, Conflict: its resources, methods or authorizers are none.
    """
    document = read_document(text)
    for member in _REFUSED:
        if member in document:
            raise InvalidDefinition(reason=f"workshape does not do {member} yet")
    definition = Definition(
        resources={_PLACEHOLDER: Resource(_PLACEHOLDER, ROOT)},
        gateway_responses=_gateway_responses(document.get(GATEWAY_RESPONSES) or {}),
        binary_media_types=tuple(document.get(BINARY_MEDIA_TYPES) or ()),
        api_key_source=str(document.get(API_KEY_SOURCE, "HEADER")),
    )
    authorizers: dict[str, str] = {}
    schemes = _schemes(document)
    for name, scheme in schemes.items():
        if AUTHORIZER in scheme:
            authorizers[name] = new_id()
            definition = with_authorizer(definition, _authorizer(authorizers[name], name, scheme))
    for path in document["paths"]:
        definition = _with_path(definition, path, new_id)
    for operation in operations_of(document):
        method = _method(operation, document, schemes, authorizers)
        definition = with_method(definition, _resource_at(definition, operation.path), method)
    info = document["info"]
    given = {name: str(info[member]) for member, name in _INFO.items() if info.get(member)}
    return RestImport(given, definition)


_INFO = {"title": "name", "description": "description", "version": "version"}


def _schemes(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Swagger 2.0 and OpenAPI 3.0 keep them in different places."""
    found: Mapping[str, Any] = (
        document.get("securityDefinitions") or (document.get("components") or {}).get("securitySchemes") or {}
    )
    return found


def _with_path(definition: Definition, path: str, new_id: NewId) -> Definition:
    """Add the resources that a path goes through, where they are not there yet."""
    parent = _PLACEHOLDER
    so_far = ""
    for part in filter(None, path.split("/")):
        so_far = f"{so_far}/{part}"
        known = next((one.id for one in definition.resources.values() if one.path == so_far), None)
        if known is None:
            known = new_id()
            definition = with_child(definition, known, parent, part)
        parent = known
    return definition


def _resource_at(definition: Definition, path: str) -> str:
    wanted = "/" + path.strip("/")
    return next(one.id for one in definition.resources.values() if one.path == wanted)


def _method(
    operation: PathOperation, document: Mapping[str, Any], schemes: Mapping[str, Any], authorizers: Mapping[str, str]
) -> Method:
    kind, authorizer_id, needs_key = NONE, None, False
    for name in _demanded(operation, document):
        scheme = schemes.get(name) or {}
        if name in authorizers:
            kind, authorizer_id = CUSTOM, authorizers[name]
        elif scheme.get(AUTHTYPE) == SIGNED:
            kind = AWS_IAM
        elif scheme.get("type") == "apiKey" and str(scheme.get("name", "")).lower() == API_KEY_HEADER:
            needs_key = True
        else:
            raise InvalidDefinition(
                reason=f"{operation.place} names the security scheme {name}, which is no authorizer"
            )
    if (operation.members.get("x-amazon-apigateway-auth") or {}).get("type") == AWS_IAM:
        kind = AWS_IAM
    given = operation.members.get(INTEGRATION)
    if not isinstance(given, dict):
        raise InvalidDefinition(reason=f"{operation.place} has no {INTEGRATION}")
    responses = {
        str(code): MethodResponse(str(code))
        for code in (operation.members.get("responses") or {})
        if str(code).isdecimal()
    }
    return Method(
        operation.method,
        kind,
        authorizer_id,
        needs_key,
        operation.members.get("operationId"),
        method_responses=responses,
        method_integration=_integration(operation, given),
    )


def _demanded(operation: PathOperation, document: Mapping[str, Any]) -> list[str]:
    """An API key may be demanded beside an authorizer, in one requirement."""
    demanded = operation.members.get("security", document.get("security")) or []
    if len(demanded) > 1:
        security_of(operation, document)
    return [name for requirement in demanded for name in requirement]


def _integration(operation: PathOperation, given: Mapping[str, Any]) -> Integration:
    kind = str(given.get("type", "")).upper()
    if kind not in ("AWS_PROXY", "HTTP_PROXY", "MOCK"):
        raise InvalidDefinition(reason=f"workshape does not do integrations of the type {kind} yet ({operation.place})")
    if kind != "MOCK" and not given.get("uri"):
        raise InvalidDefinition(reason=f"the integration of {operation.place} has no uri")
    responses = {}
    for pattern, response in (given.get("responses") or {}).items():
        made = IntegrationResponse(
            str(response.get("statusCode", "200")),
            None if pattern == "default" else str(pattern),
            dict(response.get("responseParameters") or {}),
            dict(response.get("responseTemplates") or {}),
        )
        responses[made.status_code] = made
    return Integration(
        kind,
        given.get("httpMethod"),
        given.get("uri"),
        given.get("connectionType"),
        given.get("credentials"),
        dict(given.get("requestParameters") or {}),
        dict(given.get("requestTemplates") or {}),
        str(given.get("passthroughBehavior", "WHEN_NO_MATCH")).upper(),
        given.get("contentHandling"),
        int(given.get("timeoutInMillis", 29_000)),
        integration_responses=responses,
    )


def _authorizer(authorizer_id: str, name: str, scheme: Mapping[str, Any]) -> Authorizer:
    given = scheme[AUTHORIZER]
    kind = str(given.get("type", "")).upper()
    if kind not in ("TOKEN", "REQUEST"):
        raise InvalidDefinition(reason=f"workshape does not do authorizers of the type {kind} yet ({name})")
    # Of a TOKEN authorizer the scheme itself says which header it is.
    source = given.get("identitySource") or (f"method.request.header.{scheme['name']}" if kind == "TOKEN" else None)
    return Authorizer(
        authorizer_id,
        name,
        kind,
        scheme.get(AUTHTYPE),
        given.get("authorizerUri"),
        given.get("authorizerCredentials"),
        source,
        given.get("identityValidationExpression"),
        int(given.get("authorizerResultTtlInSeconds", 300)),
    )


def _gateway_responses(given: Mapping[str, Any]) -> dict[str, GatewayResponse]:
    return {
        kind: GatewayResponse(
            kind,
            str(one["statusCode"]) if one.get("statusCode") else None,
            dict(one.get("responseParameters") or {}),
            dict(one.get("responseTemplates") or {}),
        )
        for kind, one in given.items()
    }
