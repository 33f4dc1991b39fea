"""The engine's objects, and how they are wired: front door, HTTP API, functions, queues, triggers.

Read `Engine.open` top to bottom: what is made later uses what was made before, and is closed first.
"""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import Self

from workshape.admin import Admin
from workshape.app import model as app_model
from workshape.app.apply import Catalogues, MappingCatalogue, apply
from workshape.app.catalogue import function_catalogue
from workshape.app.plan import PresentMapping
from workshape.app.storage import Storage
from workshape.arn import function_arn, queue_arn
from workshape.aws.application_autoscaling.service import autoscaling_service
from workshape.aws.cloudwatch.service import cloudwatch_service
from workshape.aws.door import Door
from workshape.aws.lambda_.code_source import fetch_from
from workshape.aws.lambda_.mappings import mapping_operations
from workshape.aws.lambda_.service import lambda_service
from workshape.aws.logs.service import logs_service
from workshape.aws.operation import Service
from workshape.aws.signer import signer_for_lambda
from workshape.aws.sqs.service import sqs_service
from workshape.aws.upstream import Upstream
from workshape.backends import Selection
from workshape.clock import Clock
from workshape.database_watch import DatabaseWatch
from workshape.errors import Invalid
from workshape.functions.async_queue import AsyncQueue
from workshape.functions.autoscaling.autoscaler import Autoscaler
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.functions.function_invoker import FunctionInvoker
from workshape.functions.function_metrics import FunctionMetrics, concurrency_points
from workshape.functions.images.deployments import Deployments
from workshape.functions.images.store import ImageStore
from workshape.functions.invocation_trace import InvocationTracer
from workshape.functions.invoker import Invoker
from workshape.functions.item_records import ItemRecordWriter
from workshape.functions.launch.preparation import Preparation
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionVersion
from workshape.functions.provisioned_configs import ProvisionedConfigs
from workshape.functions.records import RecordWriter
from workshape.gateway.function_urls import FunctionUrls
from workshape.gateway.routes import Route
from workshape.gateway.server import Gateway
from workshape.http1.client import HttpClient
from workshape.metrics.keeper import MetricKeeper
from workshape.queues.broker import Broker
from workshape.queues.model import QueueDepth, QueueName
from workshape.queues.queue_metrics import QueueMetrics
from workshape.run import RunFile
from workshape.scrape import Scrape
from workshape.status import EndedConnections, RouteStatus
from workshape.store.documents import Documents
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.supervisor import MappingSupervisor

TRACES_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/"""

_log = logging.getLogger(__name__)


class Engine:
    """One engine. `open` it, `run` it until cancelled; leaving the context closes everything."""

    def __init__(self, run: RunFile, app: app_model.App | None) -> None:
        self._run_file = run
        self._app = app
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Engine {self._run_file.endpoint} app={self._app.name if self._app else None}>"

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Apply the app, then serve until cancelled.

        Raises:
            WorkshapeError: the app cannot be applied. OSError: a port is taken.
        """
        settings = self._run_file.settings
        door = await self._door.start(settings.host, settings.ports.endpoint)
        self._stack.push_async_callback(door.close)
        if self._app is not None:
            changes = await apply(self._app, self._catalogues(self._app))
            _log.info("app_applied", extra={"app": self._app.name, "changes": len(changes)})
        self._provisioned.begin()
        if self._gateway is not None:
            server = await self._gateway.start(settings.host, settings.ports.http)
            self._stack.push_async_callback(server.close)
        names = [function.name for function in self._catalog.list()]
        preparation = Preparation(self._launcher, self._catalog.resolve, names)
        self._catalog.subscribe(preparation.changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(preparation.run(), name="preparation of environments")
            group.create_task(self._mappings.run(), name="event source mappings")
            group.create_task(self._events.run(), name="asynchronous invocations")
            group.create_task(self._metrics.run(), name="metrics")
            group.create_task(self._autoscaler.run(), name="application auto scaling")
            if self._watch is not None:
                group.create_task(self._watch.run(), name="database watch")
            self._admin.ready = True

    async def _open(self) -> None:
        run, state, settings = self._run_file, self._run_file.state, self._run_file.settings
        region, account = settings.region, settings.account
        clock = Clock()
        self._documents = self._stack.enter_context(contextlib.closing(Documents(state.store)))
        self._broker = await Broker.open(state.queues, clock, region=region, account=account)
        self._stack.push_async_callback(self._broker.close)
        self._upstream = Upstream(run.upstream)
        self._stack.push_async_callback(self._upstream.close)
        self._catalog = Catalog(
            self._documents,
            CodeStore(state.code),
            region=region,
            account=account,
            account_concurrency=settings.functions.account_concurrency,
            clock=clock,
        )
        records = self._stack.enter_context(contextlib.closing(RecordWriter(state.records)))
        items = self._stack.enter_context(contextlib.closing(ItemRecordWriter(state.records)))
        self._metrics = self._stack.enter_context(contextlib.closing(MetricKeeper(state.metrics, clock)))
        self._function_metrics = FunctionMetrics()
        self._logs = self._stack.enter_context(contextlib.closing(FunctionLogs(state.logs)))
        shown = run.files_of_functions()
        self._launcher = ProcessLauncher(state.environments, settings.functions, notify=_say, show=shown)
        self._stack.push_async_callback(self._launcher.close)
        self._invoker = Invoker(
            settings=settings.functions,
            clock=clock,
            launcher=self._launcher,
            logs=self._logs,
            records=records,
            metrics=self._function_metrics,
            variables=self._variables,
            reserved=self._catalog.reserved_concurrency,
            reserved_total=self._catalog.reserved_total,
        )
        self._stack.push_async_callback(self._invoker.close)
        self._images = self._open_images()
        self._watch = DatabaseWatch(run, clock) if run.database is not None else None
        self._catalog.subscribe(self._invoker.retire)
        self._catalog.subscribe(self._function_metrics.forget)
        self._provisioned = ProvisionedConfigs(self._documents, self._catalog, self._invoker, clock)
        self._add_metric_sources()
        invoke = FunctionInvoker(self._catalog.invocable, self._invoker, clock, self._open_tracer())
        self._events = AsyncQueue(
            self._documents, invoke.invoke, clock, self._function_metrics, limits=self._catalog.event_limits
        )
        self._mappings = MappingSupervisor(
            self._documents,
            self._broker,
            invoke,
            clock,
            region=settings.region,
            note_batch=records.note_batch,
            note_items=items.note_items,
            function_timeout_s=self._function_timeout_s,
        )
        routes = self._app.routes if self._app is not None else ()
        self._gateway = _gateway(routes, invoke, clock, account) if routes else None
        self._admin = self._make_admin(routes)
        self._autoscaler = Autoscaler(self._documents, self._provisioned, clock)
        urls = FunctionUrls(self._catalog, invoke, clock, authenticate=signer_for_lambda(settings, clock))
        self._door = Door(
            self._services(invoke, clock),
            self._upstream,
            settings=settings,
            admin=self._admin.answer,
            clock=clock,
            function_urls=urls.answer,
        )

    def _open_images(self) -> Deployments:
        images = ImageStore(self._run_file.state.images, ecr_registry=self._run_file.settings.functions.ecr_registry)
        deployments = Deployments(images, self._documents, self._catalog)
        self._stack.push_async_callback(deployments.close)
        deployments.resume()
        return deployments

    def _services(self, invoke: FunctionInvoker, clock: Clock) -> list[Service]:
        """The AWS services that are ours, or partly."""
        functions = lambda_service(
            self._catalog,
            invoke.invoke,
            mapping_operations(self._mappings),
            stream=invoke.stream,
            events=self._events,
            fetch_object=fetch_from(self._upstream, self._run_file.settings),
            provisioned=self._provisioned,
            images=self._images,
        )
        return [
            functions,
            sqs_service(self._broker),
            cloudwatch_service(self._metrics, clock),
            logs_service(self._logs),
            autoscaling_service(self._autoscaler, clock),
        ]

    def _open_tracer(self) -> InvocationTracer | None:
        """Trace invocations where somebody collects traces."""
        endpoint = self._run_file.settings.tracing.endpoint or os.environ.get(TRACES_VARIABLE, "")
        if not endpoint:
            return None
        if find_spec("opentelemetry") is None:
            raise Invalid(reason=f"traces to {endpoint} need OpenTelemetry: pip install 'workshape[otel]'")
        # Imported only here: it costs every start a fifth of a second, and most have no use for it.
        exporter = import_module("workshape.traces.otlp").OtlpExporter(endpoint)
        self._stack.callback(exporter.close)
        _log.info("traces_exported", extra={"endpoint": endpoint})
        return InvocationTracer(exporter.export, lambda: secrets.token_hex(8))

    def _add_metric_sources(self) -> None:
        """Say who measures: invocations, concurrency, queues."""
        queues, catalog, invoker = QueueMetrics(), self._catalog, self._invoker
        for source in (
            self._function_metrics.take,
            lambda now: concurrency_points(invoker.take_concurrency(), catalog.reserved_total(), now),
            lambda now: queues.points(self._depths(), now),
        ):
            self._metrics.add_source(source)

    def _depths(self) -> dict[QueueName, QueueDepth]:
        names = map(QueueName, self._broker.list_queues())
        return {name: self._broker.depth(name) for name in names}

    def _make_admin(self, routes: Sequence[app_model.Route]) -> Admin:
        def answers() -> list[RouteStatus]:
            return [self._route_status(route) for route in routes]

        proxy, run = None, self._run_file
        if run.proxy is not None:
            proxy = HttpClient(run.host, run.proxy.status_port)
            self._stack.push_async_callback(proxy.close)
        scrape = Scrape(
            proxy=proxy,
            keeper=self._metrics,
            functions=self._function_metrics,
            invoker=self._invoker,
            broker=self._broker,
            routes=answers,
        )
        return Admin(
            app=self._app.name if self._app is not None else None,
            routes=answers,
            catalog=self._catalog,
            invoker=self._invoker,
            broker=self._broker,
            mappings=self._mappings,
            logs=self._logs,
            scrape=scrape.text,
            end_connections=self._end_connections if self._watch is not None else None,
        )

    async def _end_connections(self, selection: Selection) -> EndedConnections:
        assert self._watch is not None, "wired only where there is a database"
        return await self._watch.end_connections(selection, [function.name for function in self._catalog.list()])

    def _route_status(self, route: app_model.Route) -> RouteStatus:
        counts = self._gateway.counts() if self._gateway is not None else []
        answers = {count.status: count.count for count in counts if count.route == route.route}
        return RouteStatus(route.route, route.function, answers)

    def _function_timeout_s(self, name: str, qualifier: str | None) -> int:
        return self._catalog.find(self._catalog.reference(name, qualifier)).configuration.timeout_s

    def _variables(self, _function: FunctionVersion) -> dict[str, str]:
        """What the platform gives every execution environment."""
        settings = self._run_file.settings
        return {
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ACCESS_KEY_ID": settings.endpoint.access_key,
            "AWS_SECRET_ACCESS_KEY": settings.endpoint.secret_key,
            "AWS_ENDPOINT_URL": self._run_file.endpoint,
        }

    def _catalogues(self, app: app_model.App) -> Catalogues:
        run, settings = self._run_file, self._run_file.settings
        return Catalogues(
            functions=function_catalogue(
                self._catalog,
                self._images,
                run.builds,
                lambda function: run.database_variables(function.database, function.name),
            ),
            mappings=_mapping_catalogue(self._mappings, settings.region, settings.account),
            broker=self._broker,
            storage=Storage(run.upstream, settings.region),
            store=self._documents,
            region=settings.region,
            account=settings.account,
        )


def _gateway(routes: Sequence[app_model.Route], invoke: FunctionInvoker, clock: Clock, account: str) -> Gateway:
    served = [Route(route.route, route.function, route.timeout_s) for route in routes]
    return Gateway(served, invoke.invoke, clock, account=account)


def _mapping_catalogue(mappings: MappingSupervisor, region: str, account: str) -> MappingCatalogue:
    """Offer the event source mappings the way `app/apply.py` needs them."""

    def described(mapping_id: str, mapping: app_model.Mapping) -> EventSourceMapping:
        return EventSourceMapping(
            id=mapping_id,
            queue_arn=queue_arn(region, account, mapping.queue),
            function=mapping.function,
            function_arn=function_arn(region, account, mapping.function),
            batch_size=mapping.batch_size,
            batch_window_s=mapping.batch_window_s,
            report_batch_item_failures=mapping.report_batch_item_failures,
            concurrency_max=mapping.concurrency_max,
        )

    def present() -> list[PresentMapping]:
        return [_present_mapping(view.mapping) for view in mappings.list() if view.mapping.qualifier is None]

    async def create(mapping: app_model.Mapping) -> None:
        mappings.create(described("", mapping))

    async def update(mapping_id: str, mapping: app_model.Mapping) -> None:
        mappings.update(described(mapping_id, mapping))

    async def delete(mapping_id: str) -> None:
        mappings.delete(mapping_id)

    return MappingCatalogue(present, create, update, delete)


def _present_mapping(mapping: EventSourceMapping) -> PresentMapping:
    described = app_model.Mapping(
        queue=mapping.queue,
        function=mapping.function,
        batch_size=mapping.batch_size,
        batch_window_s=mapping.batch_window_s,
        report_batch_item_failures=mapping.report_batch_item_failures,
        concurrency_max=mapping.concurrency_max,
    )
    return PresentMapping(mapping.id, described)


def _say(note: str) -> None:
    """What the user should know of an environment's start: the engine's log has it."""
    _log.warning("runtime_note", extra={"note": note})
