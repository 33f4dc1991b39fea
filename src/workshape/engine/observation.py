"""What an engine tells about itself, and what can be done about it: status, metrics, the console."""

from dataclasses import dataclass

from workshape.admin import Admin
from workshape.app import model as app_model
from workshape.console.now import now_view
from workshape.console.server import Console
from workshape.database_watch import DatabaseWatch
from workshape.engine.delivery_parts import DeliveryParts
from workshape.engine.event_parts import EventParts
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.engine.http_parts import HttpParts
from workshape.engine.proxy_parts import ProxyParts
from workshape.engine.source_parts import SourceParts
from workshape.functions.launch.peer import is_no_function
from workshape.http1.client import HttpClient
from workshape.parts.readiness import names_taken_port
from workshape.proxy_watch import ProxyWatch
from workshape.remedies import Remedies
from workshape.run import console_host
from workshape.scrape import Scrape
from workshape.status import ProxyFigures
from workshape.status_report import StatusReport


@dataclass(frozen=True, slots=True)
class Observation:
    """Who tells."""

    admin: Admin
    console: Console

    async def start(self, ground: Ground) -> None:
        """Listen for the console's browsers. Raises PortInUse: somebody else listens there."""
        address = console_host(ground.settings), ground.settings.ports.console
        with names_taken_port(*address, "console"):
            server = await self.console.start(*address)
        ground.stack.push_async_callback(server.close)


def open_observation(
    ground: Ground,
    app: app_model.App | None,
    functions: FunctionParts,
    sources: SourceParts,
    deliveries: DeliveryParts,
    events: EventParts,
    http: HttpParts,
    proxies: ProxyParts | None,
) -> Observation:
    """Make what answers `workshape status` and its like, Prometheus and the console; watch the database, if any."""
    run = ground.run
    proxy = None
    if run.proxy is not None:
        proxy = HttpClient(run.host, run.proxy.status_port)
        ground.stack.push_async_callback(proxy.close)
    watch = _watch_database(ground, functions)
    report = StatusReport(
        app=app.name if app is not None else None,
        clock=ground.clock,
        catalog=functions.catalog,
        invoker=functions.invoker,
        why_no_sandbox=functions.why_no_sandbox,
        recent=functions.metrics.recent,
        broker=sources.broker,
        mappings=sources.mappings,
        topics=deliveries.topics,
        outbox=deliveries.outbox,
        routes=http.route_statuses,
        rules=events.rule_statuses,
        schedules=events.schedule_statuses,
        database=None if watch is None else watch.status,
        proxies=list if proxies is None else proxies.proxies.statuses,
    )
    scrape = Scrape(
        proxies=_no_figures if proxies is None else proxies.link.figures,
        functions=functions.metrics,
        invoker=functions.invoker,
        provisioned=functions.provisioned,
        allocated=functions.allocated,
        broker=sources.broker,
        routes=http.route_statuses,
    )
    remedies = Remedies(
        functions.catalog, functions.provisioned.reserve, None if watch is None else watch.end_connections
    )
    admin = Admin(
        app=app.name if app is not None else None,
        status=report.now,
        catalog=functions.catalog,
        logs=functions.logs,
        scrape=scrape.text,
        signing_certificate=deliveries.topics.signer.certificate,
        remedies=remedies,
        is_no_function=is_no_function,
    )
    ask_proxy = None if proxy is None else ProxyWatch(proxy).status
    return Observation(admin, Console([now_view(report.now, ask_proxy, remedies)], is_no_function))


def _watch_database(ground: Ground, functions: FunctionParts) -> DatabaseWatch | None:
    if ground.run.database is None:
        return None
    watch = DatabaseWatch(ground.run, ground.clock, lambda: [function.name for function in functions.catalog.list()])
    ground.serve("database watch", watch.run)
    return watch


async def _no_figures() -> list[tuple[str, ProxyFigures]]:
    return []
