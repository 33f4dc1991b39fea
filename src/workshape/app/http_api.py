"""An app's HTTP API, in the parts that API Gateway would keep it in. A core."""

from workshape.apis.http_api import (
    AWS_IAM,
    CUSTOM,
    DEFAULT_STAGE,
    JWT,
    LAMBDA_PROXY,
    NONE,
    TARGET_PREFIX,
    Authorizer,
    Cors,
    Definition,
    Integration,
    JwtConfiguration,
    Route,
    RouteSettings,
    Stage,
)
from workshape.app import model
from workshape.app.http_check import IAM
from workshape.arn import function_arn

API_ID = "workshape"


def http_definition(app: model.App, region: str, account: str, role: str) -> Definition:
    """Write what the app's routes and authorizers are; `role` is what their functions are invoked with."""
    routes, integrations = {}, {}
    kinds = {authorizer.name: JWT if authorizer.issuer is not None else CUSTOM for authorizer in app.authorizers}
    for index, route in enumerate(app.routes):
        id_ = str(index)
        authorization = AWS_IAM if route.authorizer == IAM else kinds.get(route.authorizer or "", NONE)
        routes[id_] = Route(
            id_,
            route.route,
            TARGET_PREFIX + id_,
            authorization,
            route.authorizer if authorization in (JWT, CUSTOM) else None,
            route.scopes,
        )
        integrations[id_] = Integration(
            id_,
            LAMBDA_PROXY,
            function_arn(region, account, route.function),
            payload_format_version=route.payload or app.http.payload,
            timeout_in_millis=route.timeout_s * 1_000,
            credentials_arn=role,
        )
    authorizers = {one.name: _authorizer(one, region, account, role) for one in app.authorizers}
    return Definition(routes, integrations, authorizers, _cors(app.http.cors))


def http_stage(app: model.App, now: float) -> Stage:
    """Write how the app's API is served."""
    own = {
        route.route: RouteSettings(route.throttle_burst, route.throttle_rate)
        for route in app.routes
        if route.throttle_burst is not None or route.throttle_rate is not None
    }
    default = RouteSettings(app.http.throttle_burst, app.http.throttle_rate)
    return Stage(
        DEFAULT_STAGE,
        now,
        now,
        stage_variables=app.http.variables,
        default_route_settings=default,
        route_settings=own,
    )


def _authorizer(authorizer: model.Authorizer, region: str, account: str, role: str) -> Authorizer:
    if authorizer.issuer is not None:
        configuration = JwtConfiguration(authorizer.issuer, authorizer.audience)
        return Authorizer(authorizer.name, authorizer.name, "JWT", authorizer.identity, configuration)
    return Authorizer(
        authorizer.name,
        authorizer.name,
        "REQUEST",
        authorizer.identity,
        authorizer_uri=function_arn(region, account, authorizer.function or ""),
        authorizer_payload_format_version=authorizer.payload,
        authorizer_result_ttl_in_seconds=authorizer.ttl_s,
        enable_simple_responses=authorizer.simple,
        authorizer_credentials_arn=role,
    )


def _cors(cors: model.Cors | None) -> Cors | None:
    if cors is None:
        return None
    return Cors(
        cors.allow_credentials,
        cors.allow_headers,
        cors.allow_methods,
        cors.allow_origins,
        cors.expose_headers,
        cors.max_age_s,
    )
