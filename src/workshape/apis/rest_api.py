"""What a REST API is made of, member by member as API Gateway names them, and which combinations are none. A core.

The structs carry AWS's member names, so that they are kept, read, patched and shown in one shape.

Source: https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
"""

import re
from urllib.parse import unquote

import msgspec

from workshape.apis.routes import ANY, check_route_key
from workshape.errors import Conflict, Invalid, NotFound

RESOURCES_MAX = 300
"""Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""
NONE, AWS_IAM, CUSTOM = "NONE", "AWS_IAM", "CUSTOM"
LAMBDA_PROXY, HTTP_PROXY, MOCK = "AWS_PROXY", "HTTP_PROXY", "MOCK"
TIMEOUT_MS_MAX = 29_000
ROOT = "/"

_TOKEN_PLACE = re.compile(r"method\.request\.header\.\S+")
_IDENTITY_PLACE = re.compile(r"(?:method\.request\.(?:header|querystring)|context|stageVariables)\.\S+")
"""Source: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html (identitySource)"""
_PATH_PART = re.compile(r"[a-zA-Z0-9._\-:$@,~!*'+%=]+|\{[a-zA-Z0-9._\-:]+\+?\}")


class NoSuchResource(NotFound):
    """Invalid Resource identifier specified"""


class NoSuchMethod(NotFound):
    """Invalid Method identifier specified"""


class NoSuchIntegration(NotFound):
    """Invalid Integration identifier specified"""


class NoSuchResponse(NotFound):
    """Invalid Response status code specified"""


class NoSuchAuthorizer(NotFound):
    """Invalid Authorizer identifier specified"""


class SiblingExists(Conflict):
    """Another resource with the same parent already has this name: {name}"""

    name: str


class VariableSibling(Invalid):
    """A sibling ({name}) of this resource already has a variable path part -- only one is allowed"""

    name: str


class MethodExists(Conflict):
    """Method already exists for this resource"""


class InvalidPathPart(Invalid):
    """Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning
    and the end.
    """


class NothingToDeploy(Invalid):
    """The REST API doesn't contain any methods"""


class NoIntegration(Invalid):
    """No integration defined for method"""


class IntegrationResponse(msgspec.Struct, frozen=True, rename="camel"):
    """How a MOCK's answer is written."""

    status_code: str
    selection_pattern: str | None = None
    response_parameters: dict[str, str] = {}
    response_templates: dict[str, str] = {}
    content_handling: str | None = None


class Integration(msgspec.Struct, frozen=True, rename="camel"):
    """What is behind a method."""

    type: str
    http_method: str | None = None
    uri: str | None = None
    connection_type: str | None = None
    credentials: str | None = None
    request_parameters: dict[str, str] = {}
    request_templates: dict[str, str] = {}
    passthrough_behavior: str = msgspec.field(default="WHEN_NO_MATCH")
    content_handling: str | None = None
    timeout_in_millis: int = TIMEOUT_MS_MAX
    cache_namespace: str | None = None
    cache_key_parameters: tuple[str, ...] = ()
    integration_responses: dict[str, IntegrationResponse] = {}


class MethodResponse(msgspec.Struct, frozen=True, rename="camel"):
    """A response that a method declares. With proxy integrations it only documents."""

    status_code: str
    response_parameters: dict[str, bool] = {}
    response_models: dict[str, str] = {}


class Method(msgspec.Struct, frozen=True, rename="camel"):
    """A method of a resource, or ANY."""

    http_method: str
    authorization_type: str = msgspec.field(default=NONE)
    authorizer_id: str | None = None
    api_key_required: bool = False
    operation_name: str | None = None
    request_parameters: dict[str, bool] = {}
    request_models: dict[str, str] = {}
    authorization_scopes: tuple[str, ...] = ()
    method_responses: dict[str, MethodResponse] = {}
    method_integration: Integration | None = None


class Resource(msgspec.Struct, frozen=True, rename="camel"):
    """A node in the tree of paths."""

    id: str
    path: str
    parent_id: str | None = None
    path_part: str | None = None
    resource_methods: dict[str, Method] = {}


class Authorizer(msgspec.Struct, frozen=True, rename="camel"):
    """A function that decides about requests: by a token of theirs (TOKEN), or by all of it (REQUEST)."""

    id: str
    name: str
    type: str
    auth_type: str | None = None
    authorizer_uri: str | None = None
    authorizer_credentials: str | None = None
    identity_source: str | None = None
    identity_validation_expression: str | None = None
    authorizer_result_ttl_in_seconds: int = 300
    """Source: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html"""


class GatewayResponse(msgspec.Struct, frozen=True, rename="camel"):
    """What the API itself answers to a kind of failure, in the place of its default."""

    response_type: str
    status_code: str | None = None
    response_parameters: dict[str, str] = {}
    response_templates: dict[str, str] = {}


class MethodSetting(msgspec.Struct, frozen=True, rename="camel"):
    """How much a stage takes on a method, and how closely it is measured."""

    metrics_enabled: bool = False
    throttling_burst_limit: int | None = None
    throttling_rate_limit: float | None = None
    logging_level: str | None = None
    data_trace_enabled: bool = False
    caching_enabled: bool = False


class AccessLogSettings(msgspec.Struct, frozen=True, rename="camel"):
    """The line that is written of each request."""

    format: str = ""
    destination_arn: str = ""
    """Where AWS would write it: shown, without effect."""


class Stage(msgspec.Struct, frozen=True, rename="camel"):
    """A name under which a deployment is served."""

    stage_name: str
    deployment_id: str
    created_date: float
    last_updated_date: float
    description: str | None = None
    variables: dict[str, str] = {}
    method_settings: dict[str, MethodSetting] = {}
    """By `RESOURCE/METHOD`; `*/*` is for all others."""
    tracing_enabled: bool = False
    tags: dict[str, str] = {}
    access_log_settings: AccessLogSettings | None = None


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a deployment is a snapshot of; each by its id, gateway responses by their type."""

    resources: dict[str, Resource] = {}
    authorizers: dict[str, Authorizer] = {}
    gateway_responses: dict[str, GatewayResponse] = {}
    binary_media_types: tuple[str, ...] = ()
    api_key_source: str = "HEADER"


class Deployment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A definition as it was when it was deployed."""

    id: str
    created_at: float
    definition: Definition
    description: str | None = None


class EndpointConfiguration(msgspec.Struct, frozen=True, rename="camel"):
    """Where AWS would serve it: shown, without effect."""

    types: tuple[str, ...] = ("EDGE",)
    ip_address_type: str = "ipv4"


class Properties(msgspec.Struct, frozen=True, rename="camel"):
    """What is shown of an API as a whole, beside what its definition holds."""

    id: str
    name: str
    created_date: float
    root_resource_id: str
    description: str | None = None
    version: str | None = None
    endpoint_configuration: EndpointConfiguration = EndpointConfiguration()
    disable_execute_api_endpoint: bool = False
    tags: dict[str, str] = {}


class RestApi(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API: what is worked on, and the stages that serve one or another state of it."""

    properties: Properties
    definition: Definition
    stages: dict[str, Stage] = {}


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """What is set for all APIs: shown, without effect."""

    cloudwatch_role_arn: str | None = None


def find_resource(definition: Definition, resource_id: str) -> Resource:
    """Find a resource.

    Raises:
        NoSuchResource: it is not there.
    """
    found = definition.resources.get(resource_id)
    if found is None:
        raise NoSuchResource(kind="resource", name=resource_id)
    return found


def find_method(definition: Definition, resource_id: str, http_method: str) -> Method:
    """Find a method of a resource.

    Raises:
        NoSuchResource, NoSuchMethod: it is not there.
    """
    found = find_resource(definition, resource_id).resource_methods.get(http_method)
    if found is None:
        raise NoSuchMethod(kind="method", name=http_method)
    return found


def find_integration(definition: Definition, resource_id: str, http_method: str) -> Integration:
    """Find the integration of a method.

    Raises:
        NoSuchResource, NoSuchMethod, NoSuchIntegration: it is not there.
    """
    found = find_method(definition, resource_id, http_method).method_integration
    if found is None:
        raise NoSuchIntegration(kind="integration", name=http_method)
    return found


def find_authorizer(definition: Definition, authorizer_id: str) -> Authorizer:
    """Find an authorizer.

    Raises:
        NoSuchAuthorizer: it is not there.
    """
    found = definition.authorizers.get(authorizer_id)
    if found is None:
        raise NoSuchAuthorizer(kind="authorizer", name=authorizer_id)
    return found


def with_child(definition: Definition, new_id: str, parent_id: str, path_part: str) -> Definition:
    """Add a resource below another.

    Raises:
        NoSuchResource, InvalidPathPart, SiblingExists, VariableSibling, Invalid: it cannot be there.
    """
    parent = find_resource(definition, parent_id)
    check_path_part(definition, parent, path_part)
    if len(definition.resources) >= RESOURCES_MAX:
        raise Invalid(reason=f"A REST API has at most {RESOURCES_MAX} resources")
    path = f"{parent.path.rstrip('/')}/{path_part}"
    check_route_key(f"{ANY} {path}")
    return with_resource(definition, Resource(new_id, path, parent_id, path_part))


def check_path_part(definition: Definition, parent: Resource, path_part: str, own_id: str = "") -> None:
    """Check whether a resource may have that name there; `own_id` is its id, if it is there already."""
    if not _PATH_PART.fullmatch(path_part):
        raise InvalidPathPart(reason=path_part)
    if (parent.path_part or "").endswith("+}"):
        # AWS: undocumented; we chose the words.
        raise Invalid(reason=f"Cannot create a child of a resource with a greedy path variable: {parent.path}")
    for sibling in definition.resources.values():
        if sibling.parent_id != parent.id or sibling.id == own_id or sibling.path_part is None:
            continue
        if unquote(sibling.path_part) == unquote(path_part):
            raise SiblingExists(name=path_part)
        both = (sibling.path_part, path_part)
        if all(part.startswith("{") for part in both) and both[0].endswith("+}") == both[1].endswith("+}"):
            raise VariableSibling(name=sibling.path_part)


def with_resource(definition: Definition, resource: Resource) -> Definition:
    """Put a resource in, or in the place of the one with its id."""
    return msgspec.structs.replace(definition, resources={**definition.resources, resource.id: resource})


def without_resource(definition: Definition, resource_id: str) -> Definition:
    """Take a resource out, and all below it.

    Raises:
        NoSuchResource: it is not there.
        Invalid: it is the root.
    """
    resource = find_resource(definition, resource_id)
    if resource.path == ROOT:
        raise Invalid(reason="Root resource cannot be deleted")
    below = resource.path + "/"
    left = {
        id_: other
        for id_, other in definition.resources.items()
        if id_ != resource_id and not other.path.startswith(below)
    }
    return msgspec.structs.replace(definition, resources=left)


def with_method(definition: Definition, resource_id: str, method: Method) -> Definition:
    """Put a method in, or in the place of the one by its name.

    Raises:
        NoSuchResource, Invalid: its resource, or the authorizer it names, is not there.
    """
    resource = find_resource(definition, resource_id)
    if method.authorization_type == CUSTOM and method.authorizer_id not in definition.authorizers:
        raise Invalid(reason="Invalid authorizer ID specified. Setting the authorization type to CUSTOM requires one")
    methods = {**resource.resource_methods, method.http_method: method}
    return with_resource(definition, msgspec.structs.replace(resource, resource_methods=methods))


def without_method(definition: Definition, resource_id: str, http_method: str) -> Definition:
    """Take a method out.

    Raises:
        NoSuchResource, NoSuchMethod: it is not there.
    """
    find_method(definition, resource_id, http_method)
    resource = find_resource(definition, resource_id)
    left = {name: method for name, method in resource.resource_methods.items() if name != http_method}
    return with_resource(definition, msgspec.structs.replace(resource, resource_methods=left))


def with_integration(
    definition: Definition, resource_id: str, http_method: str, integration: Integration | None
) -> Definition:
    """Put an integration behind a method, or take it away."""
    method = find_method(definition, resource_id, http_method)
    return with_method(definition, resource_id, msgspec.structs.replace(method, method_integration=integration))


def with_authorizer(definition: Definition, authorizer: Authorizer) -> Definition:
    """Put an authorizer in, or in the place of the one with its id.

    Raises:
        Invalid: what it needs to decide is missing.
    """
    if not authorizer.authorizer_uri:
        raise Invalid(reason="A Lambda authorizer needs authorizerUri")
    check_expression(authorizer.identity_validation_expression)
    caches = authorizer.authorizer_result_ttl_in_seconds > 0
    if not authorizer.identity_source and (authorizer.type == "TOKEN" or caches):
        raise Invalid(reason="Authorizer needs identitySource; only one of type REQUEST without caching may have none")
    places = _TOKEN_PLACE if authorizer.type == "TOKEN" else _IDENTITY_PLACE
    for source in authorizer.identity_source.split(",") if authorizer.identity_source else ():
        if not places.fullmatch(source.strip()):
            # AWS: undocumented; we chose the words.
            reason = f"Invalid identity source {source.strip()!r}: it is method.request.header.NAME; of a REQUEST"
            raise Invalid(
                reason=f"{reason} authorizer also method.request.querystring.NAME, context.NAME, stageVariables.NAME"
            )
    return msgspec.structs.replace(definition, authorizers={**definition.authorizers, authorizer.id: authorizer})


def check_expression(text: str | None) -> None:
    """Check that a regular expression is one.

    Raises:
        Invalid: it is none here; AWS reads Java's.
    """
    try:
        re.compile(text or "")
    except re.error as error:
        raise Invalid(reason=f"Invalid regular expression {text!r}: {error}") from error


def check_deployable(definition: Definition) -> None:
    """Check that there is something to deploy.

    Raises:
        NothingToDeploy, NoIntegration: there is not.
    """
    methods = [method for resource in definition.resources.values() for method in resource.resource_methods.values()]
    if not methods:
        raise NothingToDeploy(reason="")
    if any(method.method_integration is None for method in methods):
        raise NoIntegration(reason="")
