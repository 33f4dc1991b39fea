"""A stage of a REST API, ready to be served: its resources as a table, its limits as buckets. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
"""

from collections.abc import Mapping
from dataclasses import dataclass

from workshape.apis.rest_api import Authorizer, Definition, Method, MethodSetting, Resource, Stage
from workshape.apis.routes import ANY, RouteTable
from workshape.gateway.arrival import Arrival
from workshape.gateway.authorization import TOKEN, V1, FunctionAuthorizer
from workshape.gateway.throttle import ACCOUNT_BURST, ACCOUNT_RATE, TokenBucket

ALL_METHODS = "*/*"


@dataclass(frozen=True, slots=True)
class Found:
    """The method that answers a request."""

    resource: Resource
    method: Method
    parameters: Mapping[str, str]

    @property
    def key(self) -> str:
        """`METHOD /path`."""
        return f"{self.method.http_method} {self.resource.path}"


@dataclass(frozen=True, slots=True)
class MethodLimits:
    """How a stage treats a method."""

    bucket: TokenBucket | None
    """None: only the account's limit is there."""
    is_measured: bool


class RestStage:
    """What was deployed, and how it is to be served."""

    def __init__(self, api_id: str, api_name: str, stage: Stage, definition: Definition) -> None:
        self.api_id = api_id
        self.api_name = api_name
        self.stage = stage
        self.definition = definition
        # The path decides on the resource, before the method: a resource that lacks the method is not passed over.
        self._table = RouteTable(
            (f"{ANY} {resource.path}", resource)
            for resource in definition.resources.values()
            if resource.resource_methods
        )
        self._limits: dict[str, MethodLimits] = {}

    def __repr__(self) -> str:
        return f"<RestStage {self.api_id}/{self.stage.stage_name} {self._table}>"

    def find(self, arrival: Arrival) -> Found | None:
        """Choose the method for a request."""
        path = arrival.routed_path
        # AWS: undocumented; observed: a trailing slash makes no difference in REST APIs.
        match = self._table.find(ANY, path) or (
            self._table.find(ANY, path.rstrip("/")) if path.endswith("/") and path != "/" else None
        )
        if match is None:
            return None
        methods = match.target.resource_methods
        method = methods.get(arrival.request.method) or methods.get(ANY)
        return None if method is None else Found(match.target, method, match.parameters)

    def limits(self, found: Found, now: float) -> MethodLimits:
        """How much a method takes: what the stage says of it, else of all methods; `now` is monotonic time."""
        limits = self._limits.get(found.key)
        if limits is None:
            limits = self._limits[found.key] = self._new_limits(found, now)
        return limits

    def _new_limits(self, found: Found, now: float) -> MethodLimits:
        settings = self.stage.method_settings
        key = f"{found.resource.path.replace('/', '~1')}/{found.method.http_method}"
        setting = settings.get(key) or settings.get(ALL_METHODS) or MethodSetting()
        # Terraform writes -1 for a limit that is not set.
        rate, burst = _limit(setting.throttling_rate_limit), _limit(setting.throttling_burst_limit)
        if rate is None and burst is None:
            return MethodLimits(None, setting.metrics_enabled)
        bucket = TokenBucket(
            ACCOUNT_RATE if rate is None else rate, ACCOUNT_BURST if burst is None else int(burst), now
        )
        return MethodLimits(bucket, setting.metrics_enabled)


def _limit(value: float | None) -> float | None:
    return None if value is None or value < 0 else value


def function_authorizer(authorizer: Authorizer) -> FunctionAuthorizer:
    """Read a TOKEN or REQUEST authorizer."""
    sources = tuple(source.strip() for source in (authorizer.identity_source or "").split(",") if source.strip())
    return FunctionAuthorizer(
        id=authorizer.id,
        uri=authorizer.authorizer_uri or "",
        form=TOKEN if authorizer.type == TOKEN else V1,
        identity_sources=sources,
        ttl_s=authorizer.authorizer_result_ttl_in_seconds,
        has_role=authorizer.authorizer_credentials is not None,
        token_pattern=authorizer.identity_validation_expression,
        is_rest=True,
    )
