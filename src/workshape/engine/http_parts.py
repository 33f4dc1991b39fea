"""HTTP that reaches functions: the app's own HTTP API, the APIs made over API Gateway's API, and function URLs."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from workshape.apis.api_metrics import ApiMetrics
from workshape.apis.http_apis import HttpApis
from workshape.apis.rest_apis import RestApis
from workshape.apis.usage_counts import UsageCounts
from workshape.apis.usage_plans import UsagePlans
from workshape.app import model as app_model
from workshape.app.catalogue import ROLE_NAME
from workshape.app.http_api import API_ID, http_definition, http_stage
from workshape.aws.signer import signer_for
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionName
from workshape.gateway.api_door import ApiDoor
from workshape.gateway.api_means import ApiMeans, LogAccess
from workshape.gateway.function_calls import FunctionCalls
from workshape.gateway.function_urls import FunctionUrls
from workshape.gateway.http_front import HttpFront
from workshape.gateway.http_proxy import HttpProxy
from workshape.gateway.http_stage import HttpStage
from workshape.gateway.lambda_authorizers import LambdaAuthorizers
from workshape.gateway.metering import Metering
from workshape.gateway.rest_front import RestFront
from workshape.gateway.server import Gateway
from workshape.gateway.token_keys import TokenKeys
from workshape.parts.readiness import names_taken_port
from workshape.status import RouteStatus


@dataclass(frozen=True, slots=True)
class HttpParts:
    """What answers HTTP requests with functions."""

    routes: Sequence[app_model.Route]
    gateway: Gateway | None
    """None where the app has no routes."""
    urls: FunctionUrls
    http_apis: HttpApis
    rest_apis: RestApis
    plans: UsagePlans
    authorizers: LambdaAuthorizers
    apis: ApiDoor

    async def start(self, ground: Ground) -> None:
        """Listen for the app's own HTTP API. Raises PortInUse: somebody else listens there."""
        if self.gateway is not None:
            address = ground.settings.host, ground.settings.ports.http
            with names_taken_port(*address, "http"):
                server = await self.gateway.start(*address)
            ground.stack.push_async_callback(server.close)

    def route_statuses(self) -> list[RouteStatus]:
        """What each route answered so far."""
        counts = self.gateway.counts() if self.gateway is not None else []

        def answers(route: app_model.Route) -> dict[int, int]:
            return {count.status: count.count for count in counts if count.route == route.route}

        return [RouteStatus(route.route, route.function, answers(route)) for route in self.routes]


def open_http(ground: Ground, functions: FunctionParts, app: app_model.App | None) -> HttpParts:
    """Make what answers HTTP requests; nothing listens yet."""
    settings, clock, catalog = ground.settings, ground.clock, functions.catalog
    calls = FunctionCalls(catalog, functions.invoke.invoke)
    means = ApiMeans(
        calls=calls,
        authorizers=LambdaAuthorizers(calls, clock, settings.region),
        token_keys=TokenKeys(clock),
        proxy=HttpProxy(),
        authenticate=signer_for("execute-api", settings, clock),
        metrics=ApiMetrics(),
        log_access=_open_access_logs(ground),
        clock=clock,
        region=settings.region,
        account=settings.account,
    )
    ground.stack.push_async_callback(means.close)
    ground.metrics.add_source(means.metrics.take)
    http_apis, rest_apis = HttpApis(ground.documents, clock), RestApis(ground.documents, clock)
    plans = UsagePlans(ground.documents, clock)
    front = HttpFront(means)
    gateway = None
    if app is not None and app.routes:
        role = f"arn:aws:iam::{settings.account}:role/{ROLE_NAME}"
        definition = http_definition(app, settings.region, settings.account, role)
        gateway = Gateway(HttpStage(API_ID, http_stage(app, clock.wall_s()), definition), front)
    return HttpParts(
        routes=app.routes if app is not None else (),
        gateway=gateway,
        urls=FunctionUrls(
            catalog,
            functions.invoke.invoke,
            clock,
            stream=functions.invoke.stream,
            authenticate=signer_for("lambda", settings, clock),
        ),
        http_apis=http_apis,
        rest_apis=rest_apis,
        plans=plans,
        authorizers=means.authorizers,
        apis=ApiDoor(http_apis, rest_apis, front, RestFront(means, plans, _open_metering(ground, plans))),
    )


def _open_metering(ground: Ground, plans: UsagePlans) -> Metering:
    """Go on counting what API keys use."""
    counts = UsageCounts(ground.documents, plans)
    metering = Metering(counts.kept)
    ground.stack.callback(counts.keep_all, metering.changed)
    ground.serve("usage of API keys", partial(counts.run, metering.changed))
    return metering


def _open_access_logs(ground: Ground) -> LogAccess:
    """Keep stages' access logs beside the functions' logs, in the same form."""
    logs = ground.stack.enter_context(closing(FunctionLogs(ground.run.state.access_logs)))

    def log(api_id: str, stage: str, line: str, at: float) -> None:
        logs.write(FunctionName(f"{api_id}-{stage}"), "access", line.encode(), at)

    return log
