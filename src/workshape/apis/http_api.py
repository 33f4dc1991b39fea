"""What an HTTP API is made of, member by member as API Gateway names them, and which combinations are none. A core.

The structs carry AWS's member names, so that they are kept, read and shown in one shape.

Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/operations.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""

import re
from typing import TypeVar

import msgspec

from workshape.apis.routes import RouteTable, SameRequests
from workshape.errors import Conflict, Invalid, NotFound

DEFAULT_STAGE = "$default"
ROUTES_MAX = 300
INTEGRATIONS_MAX = 300
STAGES_MAX = 10
AUTHORIZERS_MAX = 10
AUDIENCES_MAX = 50
SCOPES_MAX = 10
STAGE_VARIABLES_MAX = 100
ACCESS_LOG_FORMAT_BYTES_MAX = 3 * 1024

NONE, JWT, CUSTOM, AWS_IAM = "NONE", "JWT", "CUSTOM", "AWS_IAM"
LAMBDA_PROXY, HTTP_PROXY = "AWS_PROXY", "HTTP_PROXY"
TARGET_PREFIX = "integrations/"

_JWT_PLACE = re.compile(r"\$request\.(?:header|querystring)\.\S+")
_IDENTITY_PLACE = re.compile(r"\$(?:request\.(?:header|querystring)|context|stageVariables)\.\S+")
"""Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html (identitySource)"""

T = TypeVar("T", bound=msgspec.Struct)


class NoSuchMember(NotFound):
    """Invalid {kind} identifier specified"""


class RouteExists(Conflict):
    """Route with key {key} already exists for this API"""

    key: str


class StageExists(Conflict):
    """Stage already exists"""


class StillInUse(Conflict):
    """Cannot delete {kind} {id!r}. It is referenced by {by}."""

    # AWS: undocumented; we chose the words.
    kind: str
    id: str
    by: str


class TooMany(Invalid):
    """An API has at most {count_max} {kind}."""

    count_max: int
    kind: str


class Cors(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """What browsers are told of other origins.

    Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-cors.html
    """

    allow_credentials: bool = False
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_s: int = msgspec.field(default=0, name="MaxAge")


class Integration(msgspec.Struct, frozen=True, rename="pascal"):
    """What is behind routes: a function, or an HTTP server."""

    integration_id: str
    integration_type: str
    integration_uri: str
    payload_format_version: str = msgspec.field(default="1.0")
    timeout_in_millis: int = 30_000
    integration_method: str | None = None
    credentials_arn: str | None = None
    description: str | None = None
    connection_type: str = "INTERNET"
    api_gateway_managed: bool = False


class Route(msgspec.Struct, frozen=True, rename="pascal"):
    """A route key, who may use it, and the integration it leads to."""

    route_id: str
    route_key: str
    target: str | None = None
    """`integrations/ID`."""
    authorization_type: str = NONE
    authorizer_id: str | None = None
    authorization_scopes: tuple[str, ...] = ()
    operation_name: str | None = None
    api_key_required: bool = False
    api_gateway_managed: bool = False


class JwtConfiguration(msgspec.Struct, frozen=True, rename="pascal"):
    """Whose tokens are taken, and for whom they must be."""

    issuer: str
    audience: tuple[str, ...] = ()


class Authorizer(msgspec.Struct, frozen=True, rename="pascal"):
    """Who decides about a request: a JWT's issuer, or a function."""

    authorizer_id: str
    name: str
    authorizer_type: str
    """`JWT` or `REQUEST`."""
    identity_source: tuple[str, ...] = ()
    jwt_configuration: JwtConfiguration | None = None
    authorizer_uri: str | None = None
    authorizer_payload_format_version: str | None = None
    authorizer_result_ttl_in_seconds: int | None = None
    enable_simple_responses: bool = False
    authorizer_credentials_arn: str | None = None


class RouteSettings(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """How much a stage takes on a route, and how closely it is measured."""

    throttling_burst_limit: int | None = None
    throttling_rate_limit: float | None = None
    detailed_metrics_enabled: bool | None = None


class AccessLogSettings(msgspec.Struct, frozen=True, rename="pascal"):
    """The line that is written of each request."""

    format: str = ""
    destination_arn: str = ""
    """Where AWS would write it: shown, without effect."""


class Stage(msgspec.Struct, frozen=True, rename="pascal"):
    """A name under which a deployment is served."""

    stage_name: str
    created_date: float
    last_updated_date: float
    deployment_id: str | None = None
    auto_deploy: bool = False
    stage_variables: dict[str, str] = {}
    default_route_settings: RouteSettings = RouteSettings()
    route_settings: dict[str, RouteSettings] = {}
    description: str | None = None
    tags: dict[str, str] = {}
    api_gateway_managed: bool = False
    access_log_settings: AccessLogSettings | None = None


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a deployment is a snapshot of; each by its id."""

    routes: dict[str, Route] = {}
    integrations: dict[str, Integration] = {}
    authorizers: dict[str, Authorizer] = {}
    cors: Cors | None = None


class Deployment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A definition as it was when it was deployed."""

    id: str
    created_at: float
    definition: Definition
    description: str | None = None
    is_automatic: bool = False


class Properties(msgspec.Struct, frozen=True, rename="pascal"):
    """What is shown of an API as a whole."""

    api_id: str
    name: str
    created_date: float
    description: str | None = None
    version: str | None = None
    tags: dict[str, str] = {}
    disable_execute_api_endpoint: bool = False
    route_selection_expression: str = "$request.method $request.path"
    api_key_selection_expression: str = "$request.header.x-api-key"
    ip_address_type: str = "ipv4"


class HttpApi(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API: what is worked on, and the stages that serve one or another state of it."""

    properties: Properties
    definition: Definition = Definition()
    stages: dict[str, Stage] = {}


def with_route(definition: Definition, route: Route) -> Definition:
    """Put a route in, or in the place of the one with its id.

    Raises:
        Invalid: no route key, a target or an authorizer that is not there, too many.
        Conflict: another route has that key, or is for the same requests.
    """
    others = {id_: other for id_, other in definition.routes.items() if id_ != route.route_id}
    if any(other.route_key == route.route_key for other in others.values()):
        raise RouteExists(key=route.route_key)
    _check_target(definition, route)
    _check_authorization(definition, route)
    try:
        RouteTable([(other.route_key, None) for other in (*others.values(), route)])
    except SameRequests as error:
        raise Conflict(reason=f"Unable to put the route: {error}") from error
    return _with(definition, "routes", route.route_id, route, ROUTES_MAX)


def with_integration(definition: Definition, integration: Integration) -> Definition:
    """Put an integration in, or in the place of the one with its id.

    Raises:
        Invalid: too many.
    """
    return _with(definition, "integrations", integration.integration_id, integration, INTEGRATIONS_MAX)


def with_authorizer(definition: Definition, authorizer: Authorizer) -> Definition:
    """Put an authorizer in, or in the place of the one with its id.

    Raises:
        Invalid: what it needs to decide is missing, or it is one too many.
    """
    _check_authorizer(authorizer)
    return _with(definition, "authorizers", authorizer.authorizer_id, authorizer, AUTHORIZERS_MAX)


def without(definition: Definition, kind: str, id_: str) -> Definition:
    """Take a route, an integration or an authorizer out; `kind` is the field it is in.

    Raises:
        NoSuchMember: it is not there.
        StillInUse: a route needs it.
    """
    members = getattr(definition, kind)
    singular = kind.removesuffix("s").capitalize()
    if id_ not in members:
        raise NoSuchMember(kind=singular, name=id_)
    for route in definition.routes.values():
        uses = route.authorizer_id if kind == "authorizers" else (route.target or "").removeprefix(TARGET_PREFIX)
        if kind != "routes" and uses == id_:
            raise StillInUse(kind=singular.lower(), id=id_, by=f"the route {route.route_key}")
    left = {other: member for other, member in members.items() if other != id_}
    return msgspec.structs.replace(definition, **{kind: left})


def _with(definition: Definition, kind: str, id_: str, member: T, count_max: int) -> Definition:
    members: dict[str, T] = {**getattr(definition, kind), id_: member}
    if len(members) > count_max:
        raise TooMany(count_max=count_max, kind=kind)
    return msgspec.structs.replace(definition, **{kind: members})


def _check_target(definition: Definition, route: Route) -> None:
    if route.target is None:
        return
    integration = route.target.removeprefix(TARGET_PREFIX)
    if not route.target.startswith(TARGET_PREFIX) or integration not in definition.integrations:
        # AWS: undocumented; we chose the words.
        raise Invalid(reason=f"Invalid target {route.target!r}: it is integrations/ID of an integration of this API")


def _check_authorization(definition: Definition, route: Route) -> None:
    if len(route.authorization_scopes) > SCOPES_MAX:
        raise Invalid(reason=f"A route has at most {SCOPES_MAX} authorization scopes")
    wanted = {JWT: "JWT", CUSTOM: "REQUEST"}.get(route.authorization_type)
    if wanted is None:
        return
    authorizer = definition.authorizers.get(route.authorizer_id or "")
    if authorizer is None:
        raise Invalid(reason=f"AuthorizationType {route.authorization_type} needs the AuthorizerId of one of this API")
    if authorizer.authorizer_type != wanted:
        raise Invalid(
            reason=f"AuthorizationType {route.authorization_type} needs an authorizer of the type {wanted}, and "
            f"{authorizer.authorizer_id} is of the type {authorizer.authorizer_type}"
        )


def _check_authorizer(authorizer: Authorizer) -> None:
    places = _JWT_PLACE if authorizer.authorizer_type == "JWT" else _IDENTITY_PLACE
    for source in authorizer.identity_source:
        if not places.fullmatch(source):
            # AWS: undocumented; we chose the words.
            reason = f"Invalid identity source {source!r}: it is $request.header.NAME or $request.querystring.NAME"
            raise Invalid(reason=f"{reason}; of a REQUEST authorizer also $context.NAME or $stageVariables.NAME")
    if authorizer.authorizer_type == "JWT":
        jwt = authorizer.jwt_configuration
        if jwt is None or not jwt.issuer or not authorizer.identity_source:
            raise Invalid(reason="A JWT authorizer needs IdentitySource and JwtConfiguration with an Issuer")
        if len(jwt.audience) > AUDIENCES_MAX:
            raise Invalid(reason=f"A JWT authorizer has at most {AUDIENCES_MAX} audiences")
        return
    if not authorizer.authorizer_uri:
        raise Invalid(reason="A REQUEST authorizer needs AuthorizerUri")
    if authorizer.authorizer_payload_format_version not in ("1.0", "2.0"):
        raise Invalid(reason="A REQUEST authorizer needs AuthorizerPayloadFormatVersion 1.0 or 2.0")
    if authorizer.enable_simple_responses and authorizer.authorizer_payload_format_version != "2.0":
        raise Invalid(reason="EnableSimpleResponses needs AuthorizerPayloadFormatVersion 2.0")
    if authorizer.authorizer_result_ttl_in_seconds and not authorizer.identity_source:
        raise Invalid(reason="Caching an authorizer's responses needs at least one IdentitySource")
