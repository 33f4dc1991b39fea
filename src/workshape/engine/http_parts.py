"""HTTP that reaches functions: the app's own HTTP API, and function URLs."""

from collections.abc import Sequence
from dataclasses import dataclass

from workshape.app import model as app_model
from workshape.aws.signer import signer_for_lambda
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.gateway.function_urls import FunctionUrls
from workshape.gateway.routes import Route
from workshape.gateway.server import Gateway
from workshape.status import RouteStatus


@dataclass(frozen=True, slots=True)
class HttpParts:
    """What answers HTTP requests with functions."""

    routes: Sequence[app_model.Route]
    gateway: Gateway | None
    """None where the app has no routes."""
    urls: FunctionUrls

    async def start(self, ground: Ground) -> None:
        """Listen for the app's own HTTP API. Raises OSError: its port is taken."""
        if self.gateway is not None:
            server = await self.gateway.start(ground.settings.host, ground.settings.ports.http)
            ground.stack.push_async_callback(server.close)

    def route_statuses(self) -> list[RouteStatus]:
        """What each route answered so far."""
        counts = self.gateway.counts() if self.gateway is not None else []

        def answers(route: app_model.Route) -> dict[int, int]:
            return {count.status: count.count for count in counts if count.route == route.route}

        return [RouteStatus(route.route, route.function, answers(route)) for route in self.routes]


def open_http(ground: Ground, functions: FunctionParts, app: app_model.App | None) -> HttpParts:
    """Make what answers HTTP requests; nothing listens yet."""
    settings, clock = ground.settings, ground.clock
    routes = app.routes if app is not None else ()
    gateway = None
    if routes:
        served = [Route(route.route, route.function, route.timeout_s) for route in routes]
        gateway = Gateway(served, functions.invoke.invoke, clock, account=settings.account)
    authenticate = signer_for_lambda(settings, clock)
    urls = FunctionUrls(functions.catalog, functions.invoke.invoke, clock, authenticate=authenticate)
    return HttpParts(routes, gateway, urls)
