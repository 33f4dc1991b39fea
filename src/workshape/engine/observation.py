"""What an engine tells about itself: its status, its metrics, the database's connections."""

from workshape.admin import Admin
from workshape.app import model as app_model
from workshape.backends import Selection
from workshape.database_watch import DatabaseWatch
from workshape.engine.delivery_parts import DeliveryParts
from workshape.engine.event_parts import EventParts
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.engine.http_parts import HttpParts
from workshape.engine.source_parts import SourceParts
from workshape.http1.client import HttpClient
from workshape.scrape import Scrape
from workshape.status import EndedConnections


def open_admin(
    ground: Ground,
    app: app_model.App | None,
    functions: FunctionParts,
    sources: SourceParts,
    deliveries: DeliveryParts,
    events: EventParts,
    http: HttpParts,
) -> Admin:
    """Make what answers `workshape status` and its like, and Prometheus; watch the database where there is one."""
    run = ground.run
    proxy = None
    if run.proxy is not None:
        proxy = HttpClient(run.host, run.proxy.status_port)
        ground.stack.push_async_callback(proxy.close)
    watch = None
    if run.database is not None:
        watch = DatabaseWatch(run, ground.clock)
        ground.serve("database watch", watch.run)

    async def end_connections(selection: Selection) -> EndedConnections:
        assert watch is not None, "wired only where there is a database"
        return await watch.end_connections(selection, [function.name for function in functions.catalog.list()])

    scrape = Scrape(
        proxy=proxy,
        functions=functions.metrics,
        invoker=functions.invoker,
        provisioned=functions.provisioned,
        allocated=functions.allocated,
        broker=sources.broker,
        routes=http.route_statuses,
    )
    return Admin(
        app=app.name if app is not None else None,
        routes=http.route_statuses,
        rules=events.rule_statuses,
        schedules=events.schedule_statuses,
        catalog=functions.catalog,
        invoker=functions.invoker,
        broker=sources.broker,
        mappings=sources.mappings,
        logs=functions.logs,
        scrape=scrape.text,
        signing_certificate=deliveries.topics.signer.certificate,
        end_connections=end_connections if watch is not None else None,
    )
