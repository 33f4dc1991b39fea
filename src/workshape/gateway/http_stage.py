"""A stage of an HTTP API, ready to be served: its routes as a table, its limits as buckets. A core."""

from dataclasses import dataclass
from typing import Any

from workshape.apis.http_api import LAMBDA_PROXY, TARGET_PREFIX, Definition, Integration, Route, RouteSettings, Stage
from workshape.apis.http_api import Authorizer as AuthorizerDefinition
from workshape.apis.routes import DEFAULT, Match, RouteTable
from workshape.gateway.arrival import Arrival, Caller
from workshape.gateway.authorization import V1, V2, FunctionAuthorizer
from workshape.gateway.execution_arn import execution_arn
from workshape.gateway.payload import describe, event_of
from workshape.gateway.payload_v1 import http_description, http_event
from workshape.gateway.throttle import ACCOUNT_BURST, ACCOUNT_RATE, TokenBucket


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """How a stage treats a route."""

    bucket: TokenBucket | None
    """None: only the account's limit is there."""
    is_measured: bool


class HttpStage:
    """What was deployed, and how it is to be served."""

    def __init__(self, api_id: str, stage: Stage, definition: Definition) -> None:
        self.api_id = api_id
        self.stage = stage
        self.definition = definition
        self._table = RouteTable((route.route_key, route) for route in definition.routes.values())
        self._limits: dict[str, RouteLimits] = {}

    def __repr__(self) -> str:
        return f"<HttpStage {self.api_id}/{self.stage.stage_name} {self._table}>"

    def find(self, arrival: Arrival) -> Match[Route] | None:
        """Choose the route for a request."""
        return self._table.find(arrival.request.method, arrival.routed_path)

    def integration(self, route: Route) -> Integration | None:
        """What is behind a route, if anything is."""
        return self.definition.integrations.get((route.target or "").removeprefix(TARGET_PREFIX))

    def limits(self, route_key: str, now: float) -> RouteLimits:
        """How much a route takes: what the stage says of it, else of all routes; `now` is monotonic time."""
        limits = self._limits.get(route_key)
        if limits is None:
            limits = self._limits[route_key] = self._new_limits(route_key, now)
        return limits

    def _new_limits(self, route_key: str, now: float) -> RouteLimits:
        default = self.stage.default_route_settings
        own = self.stage.route_settings.get(route_key, RouteSettings())
        rate = default.throttling_rate_limit if own.throttling_rate_limit is None else own.throttling_rate_limit
        burst = default.throttling_burst_limit if own.throttling_burst_limit is None else own.throttling_burst_limit
        measured = own.detailed_metrics_enabled
        is_measured = bool(default.detailed_metrics_enabled if measured is None else measured)
        if rate is None and burst is None:
            return RouteLimits(None, is_measured)
        bucket = TokenBucket(
            ACCOUNT_RATE if rate is None else rate, ACCOUNT_BURST if burst is None else int(burst), now
        )
        return RouteLimits(bucket, is_measured)


def route_arn(arrival: Arrival, match: Match[Route], region: str, path: str) -> str:
    """Name a request as policies do; `path` is the request's, or its route's."""
    if match.key == DEFAULT and path == DEFAULT:
        return f"arn:aws:execute-api:{region}:{arrival.account}:{arrival.api_id}/{arrival.stage}/{DEFAULT}"
    return execution_arn(region, arrival.account, arrival.api_id, arrival.stage, arrival.request.method, path)


def integration_event(
    integration: Integration, arrival: Arrival, match: Match[Route], caller: Caller | None
) -> dict[str, Any]:
    """Describe a request in the format that an integration has chosen."""
    make = event_of if integration.payload_format_version == V2 else http_event
    return make(arrival, match.key, match.parameters, caller)


def authorizer_description(form: str, arrival: Arrival, match: Match[Route]) -> dict[str, Any]:
    """Describe a request in the format that an authorizer has chosen."""
    make = describe if form == V2 else http_description
    return make(arrival, match.key, match.parameters)


def function_authorizer(authorizer: AuthorizerDefinition) -> FunctionAuthorizer:
    """Read a REQUEST authorizer."""
    return FunctionAuthorizer(
        id=authorizer.authorizer_id,
        uri=authorizer.authorizer_uri or "",
        form=authorizer.authorizer_payload_format_version or V1,
        identity_sources=authorizer.identity_source,
        ttl_s=authorizer.authorizer_result_ttl_in_seconds or 0,
        is_simple=authorizer.enable_simple_responses,
        has_role=authorizer.authorizer_credentials_arn is not None,
    )


def is_lambda(integration: Integration) -> bool:
    """Tell a function from an HTTP server."""
    return integration.integration_type == LAMBDA_PROXY
