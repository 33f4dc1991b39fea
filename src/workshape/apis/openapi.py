"""HTTP APIs read from an OpenAPI definition with API Gateway's extensions. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workshape.apis.definition_text import InvalidDefinition, read_document
from workshape.apis.http_api import (
    AWS_IAM,
    CUSTOM,
    JWT,
    NONE,
    TARGET_PREFIX,
    Authorizer,
    Cors,
    Definition,
    Integration,
    JwtConfiguration,
    Route,
    with_authorizer,
    with_integration,
    with_route,
)
from workshape.apis.routes import DEFAULT, METHODS

ANY_METHOD = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"
AUTHORIZER = "x-amazon-apigateway-authorizer"
AUTHTYPE = "x-amazon-apigateway-authtype"
CORS = "x-amazon-apigateway-cors"
SIGNED = "awsSigv4"
_VERBS = {**{method.lower(): method for method in METHODS}, ANY_METHOD: "ANY"}

NewId = Callable[[], str]


@dataclass(frozen=True, slots=True)
class HttpImport:
    """What a definition says of an API."""

    name: str
    description: str | None
    version: str | None
    definition: Definition


@dataclass(frozen=True, slots=True)
class PathOperation:
    """One method of a path."""

    method: str
    path: str
    members: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where it is, for an error."""
        return f"{self.method} {self.path}"


def read_http_api(text: str, new_id: NewId) -> HttpImport:
    """Read an HTTP API.

    Raises:
        InvalidDefinition: it is none.
        Invalid, Conflict: its routes, integrations or authorizers are none.
    """
    document = read_document(text)
    if not str(document.get("openapi", "")).startswith("3."):
        raise InvalidDefinition(reason="HTTP APIs are imported from OpenAPI 3.0")
    components = document.get("components") or {}
    definition = Definition(cors=_cors(document.get(CORS)))
    authorizers: dict[str, str] = {}
    for name, scheme in (components.get("securitySchemes") or {}).items():
        if AUTHORIZER in scheme:
            authorizers[name] = new_id()
            definition = with_authorizer(definition, _authorizer(name, authorizers[name], scheme))
    for operation in operations_of(document):
        definition = _with_operation(definition, operation, document, authorizers, new_id)
    info = document["info"]
    description, version = (None if info.get(name) is None else str(info[name]) for name in ("description", "version"))
    return HttpImport(str(info["title"]), description, version, definition)


def operations_of(document: Mapping[str, Any]) -> Iterator[PathOperation]:
    """Each method of each path, in their order."""
    for path, item in document["paths"].items():
        if not isinstance(item, dict):
            raise InvalidDefinition(reason=f"the path {path} is no object")
        for verb, members in item.items():
            if verb in _VERBS and isinstance(members, dict):
                yield PathOperation(_VERBS[verb], path, members)


def security_of(operation: PathOperation, document: Mapping[str, Any]) -> tuple[str, tuple[str, ...]] | None:
    """The scheme that a method demands, its own or all methods', with its scopes; None: it demands none.

    Raises:
        InvalidDefinition: it demands several.
    """
    demanded = operation.members.get("security", document.get("security")) or []
    named = [(name, tuple(scopes)) for requirement in demanded for name, scopes in requirement.items()]
    if len(named) > 1:
        raise InvalidDefinition(reason=f"{operation.place} has more than one security scheme")
    return named[0] if named else None


def _with_operation(
    definition: Definition,
    operation: PathOperation,
    document: Mapping[str, Any],
    authorizers: Mapping[str, str],
    new_id: NewId,
) -> Definition:
    given = operation.members.get(INTEGRATION)
    integration_id = new_id()
    if not isinstance(given, dict):
        raise InvalidDefinition(reason=f"{operation.place} has no {INTEGRATION}")
    if "$ref" in given:
        name = str(given["$ref"]).rpartition("/")[2]
        given = (document.get("components") or {}).get("x-amazon-apigateway-integrations", {}).get(name, {})
    definition = with_integration(definition, _integration(integration_id, operation, given))
    kind, authorizer_id, scopes = NONE, None, tuple[str, ...]()
    demanded = security_of(operation, document)
    if demanded is not None:
        name, scopes = demanded
        scheme = (document.get("components") or {}).get("securitySchemes", {}).get(name)
        if name in authorizers:
            authorizer_id = authorizers[name]
            kind = JWT if definition.authorizers[authorizer_id].authorizer_type == "JWT" else CUSTOM
        elif scheme is not None and scheme.get(AUTHTYPE) == SIGNED:
            kind = AWS_IAM
        else:
            raise InvalidDefinition(
                reason=f"{operation.place} names the security scheme {name}, which is no authorizer"
            )
    key = DEFAULT if operation.path in (DEFAULT, f"/{DEFAULT}") else operation.place
    route = Route(
        new_id(),
        key,
        TARGET_PREFIX + integration_id,
        kind,
        authorizer_id,
        scopes if kind == JWT else (),
        operation.members.get("operationId"),
    )
    return with_route(definition, route)


def _integration(integration_id: str, operation: PathOperation, given: Mapping[str, Any]) -> Integration:
    kind = str(given.get("type", "")).upper()
    if kind not in ("AWS_PROXY", "HTTP_PROXY") or not given.get("uri"):
        reason = f"the integration of {operation.place} is of the type aws_proxy or http_proxy, and has a uri"
        raise InvalidDefinition(reason=reason)
    for member in ("requestParameters", "responseParameters", "connectionId", "tlsConfig", "integrationSubtype"):
        if given.get(member):
            raise InvalidDefinition(reason=f"workshape does not do {member} of integrations yet ({operation.place})")
    return Integration(
        integration_id,
        kind,
        str(given["uri"]),
        str(given.get("payloadFormatVersion", "1.0")),
        int(given.get("timeoutInMillis", 30_000)),
        str(given.get("httpMethod", "POST" if kind == "AWS_PROXY" else "ANY")),
        given.get("credentials"),
    )


def _authorizer(name: str, authorizer_id: str, scheme: Mapping[str, Any]) -> Authorizer:
    given = scheme[AUTHORIZER]
    source = given.get("identitySource") or ()
    sources = tuple(part.strip() for part in source.split(",")) if isinstance(source, str) else tuple(source)
    if given.get("type") == "jwt":
        configuration = given.get("jwtConfiguration") or {}
        audience = tuple(configuration.get("audience") or ())
        jwt = JwtConfiguration(str(configuration.get("issuer", "")), audience)
        return Authorizer(authorizer_id, name, "JWT", sources, jwt)
    return Authorizer(
        authorizer_id,
        name,
        "REQUEST",
        sources,
        authorizer_uri=given.get("authorizerUri"),
        authorizer_payload_format_version=str(given.get("authorizerPayloadFormatVersion", "")),
        authorizer_result_ttl_in_seconds=given.get("authorizerResultTtlInSeconds"),
        enable_simple_responses=bool(given.get("enableSimpleResponses", False)),
        authorizer_credentials_arn=given.get("authorizerCredentials"),
    )


def _cors(given: Any) -> Cors | None:
    """Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-cors-configuration.html"""
    if not isinstance(given, dict):
        return None
    lists = {
        field: tuple(given.get(member) or ())
        for member, field in (
            ("allowOrigins", "allow_origins"),
            ("allowMethods", "allow_methods"),
            ("allowHeaders", "allow_headers"),
            ("exposeHeaders", "expose_headers"),
        )
    }
    return Cors(bool(given.get("allowCredentials", False)), max_age_s=int(given.get("maxAge", 0)), **lists)
