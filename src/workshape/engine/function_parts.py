"""Lambda: the catalogue, the environments, and whoever invokes."""

import logging
import os
import secrets
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from workshape.engine.ground import Ground
from workshape.errors import Invalid
from workshape.functions.async_policy import event_policy, stops_loops
from workshape.functions.async_queue import AsyncQueue
from workshape.functions.autoscaling.autoscaler import Autoscaler
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.functions.function_invoker import FunctionInvoker
from workshape.functions.function_metrics import FunctionMetrics, concurrency_points
from workshape.functions.images.deployments import Deployments
from workshape.functions.images.store import ImageStore
from workshape.functions.invocation_report import Reporter
from workshape.functions.invocation_trace import InvocationTracer
from workshape.functions.invoker import Invoker
from workshape.functions.launch.preparation import Preparation
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.log_groups import LogGroups
from workshape.functions.logs import FunctionLogs
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.model import FunctionVersion
from workshape.functions.provisioned import Allocation
from workshape.functions.provisioned_configs import ProvisionedConfigs
from workshape.functions.provisioned_metrics import provisioned_points
from workshape.functions.records import RecordWriter
from workshape.functions.snapshot_keeper import SnapshotKeeper
from workshape.functions.snapshot_taker import SnapshotTaker
from workshape.functions.snapshots import Snapshots
from workshape.metrics.metric import Point
from workshape.run import RunFile

TRACES_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FunctionParts:
    """What runs functions."""

    catalog: Catalog
    images: Deployments
    launcher: ProcessLauncher
    invoker: Invoker
    invoke: FunctionInvoker
    events: AsyncQueue
    provisioned: ProvisionedConfigs
    autoscaler: Autoscaler
    logs: FunctionLogs
    records: RecordWriter
    metrics: FunctionMetrics
    loops: LoopGuard

    async def prepare(self) -> None:
        """Have environments ready for the functions there are, and for those to come, until cancelled."""
        names = [function.name for function in self.catalog.list()]
        preparation = Preparation(self.launcher, self.catalog.resolve, names)
        self.catalog.subscribe(preparation.changed)
        await preparation.run()

    async def why_no_sandbox(self) -> str:
        """Say why environments have no sandbox on this machine; empty: they have one."""
        try:
            return await self.launcher.why_no_sandbox()
        except OSError as error:
            return str(error)

    async def end(self) -> None:
        """End every environment, then the logs that are followed: whoever follows them has their last lines."""
        await self.invoker.close()
        self.logs.release_followers()

    def concurrency_points(self, now: float) -> list[Point]:
        """Tell how much concurrency was used since the last time."""
        by_version = {(use.function, use.version): use for use in map(Allocation.take_use, self.invoker.allocations())}
        return [
            *concurrency_points(
                self.invoker.concurrency.take_peaks(), self.metrics.running.take_peaks(), self.allocated(), now
            ),
            *provisioned_points(self.provisioned.resources(), by_version, now),
        ]

    def log_groups(self) -> LogGroups:
        """What the functions have written, by the groups that their configurations name."""
        return LogGroups(self.logs, self.catalog.log_group_of)

    def allocated(self) -> int:
        """How much concurrency is reserved for functions, or provisioned beside that."""
        return self.catalog.reserved_total() + sum(
            each.ready for each in self.invoker.allocations() if not each.reserved
        )

    def timeout_s(self, name: str, qualifier: str | None) -> int:
        """How long that function may run."""
        return self.catalog.find(self.catalog.reference(name, qualifier)).configuration.timeout_s


def open_functions(ground: Ground) -> FunctionParts:
    """Open everything that runs functions; nothing is invoked yet."""
    run, stack, clock, documents = ground.run, ground.stack, ground.clock, ground.documents
    settings, state = run.settings, run.state
    catalog = _open_catalog(ground)
    records = stack.enter_context(closing(RecordWriter(state.records)))
    metrics = FunctionMetrics()
    logs = stack.enter_context(closing(FunctionLogs(state.logs)))
    launcher = ProcessLauncher(state.environments, settings.functions, notify=_say, show=run.files_of_functions())
    stack.push_async_callback(launcher.close)
    platform_variables = _platform_variables(run)

    def variables(_function: FunctionVersion) -> dict[str, str]:
        return dict(platform_variables)

    invoker = Invoker(
        settings=settings.functions,
        clock=clock,
        launcher=launcher,
        logs=logs,
        records=records,
        metrics=metrics,
        variables=variables,
        reserved=catalog.reserved_concurrency,
        reserved_total=catalog.reserved_total,
    )
    stack.push_async_callback(invoker.close)
    taker = SnapshotTaker(
        clock=clock, launcher=launcher, reporter=Reporter(logs, records, metrics), variables=variables
    )
    _open_snapshots(ground, catalog, launcher, taker)
    images = _open_images(ground, catalog)
    catalog.subscribe(invoker.retire)
    catalog.subscribe(launcher.retire)
    catalog.subscribe(metrics.forget)
    provisioned = ProvisionedConfigs(documents, catalog, invoker, clock)
    invoke = FunctionInvoker(catalog.invocable, invoker, clock, _open_tracer(ground))
    parts = FunctionParts(
        catalog=catalog,
        images=images,
        launcher=launcher,
        invoker=invoker,
        invoke=invoke,
        events=AsyncQueue(
            documents,
            invoke.invoke,
            clock,
            metrics,
            policy=partial(event_policy, catalog),
            function_arn=catalog.arn,
        ),
        provisioned=provisioned,
        autoscaler=Autoscaler(documents, provisioned, clock),
        logs=logs,
        records=records,
        metrics=metrics,
        loops=LoopGuard(partial(stops_loops, catalog), metrics, clock),
    )
    ground.metrics.add_source(metrics.take)
    ground.metrics.add_source(parts.concurrency_points)
    ground.serve("preparation of environments", parts.prepare)
    ground.serve("asynchronous invocations", parts.events.run)
    ground.serve("application auto scaling", parts.autoscaler.run)
    return parts


def _open_catalog(ground: Ground) -> Catalog:
    settings = ground.settings
    return Catalog(
        ground.documents,
        CodeStore(ground.run.state.code),
        region=settings.region,
        account=settings.account,
        account_concurrency=settings.functions.account_concurrency,
        clock=ground.clock,
    )


def _open_snapshots(ground: Ground, catalog: Catalog, launcher: ProcessLauncher, taker: SnapshotTaker) -> None:
    keeper = SnapshotKeeper(ground.settings.functions, ground.clock, launcher, taker.take)
    ground.stack.push_async_callback(keeper.close)
    catalog.subscribe(keeper.retire)
    ground.serve("snapshots of versions", Snapshots(ground.documents, catalog, keeper.take).run)
    ground.serve("snapshots in memory", keeper.run)


def _open_images(ground: Ground, catalog: Catalog) -> Deployments:
    images = ImageStore(ground.run.state.images, ecr_registry=ground.settings.functions.ecr_registry)
    deployments = Deployments(images, ground.documents, catalog)
    ground.stack.push_async_callback(deployments.close)
    deployments.resume()
    return deployments


def _open_tracer(ground: Ground) -> InvocationTracer | None:
    """Trace invocations where somebody collects traces."""
    endpoint = ground.settings.tracing.endpoint or os.environ.get(TRACES_VARIABLE, "")
    if not endpoint:
        return None
    if find_spec("opentelemetry") is None:
        raise Invalid(reason=f"traces to {endpoint} need OpenTelemetry: pip install 'workshape[otel]'")
    # Imported only here: it costs every start a fifth of a second, and most have no use for it.
    exporter = import_module("workshape.traces.otlp").OtlpExporter(endpoint)
    ground.stack.callback(exporter.close)
    _log.info("traces_exported", extra={"endpoint": endpoint})
    return InvocationTracer(exporter.export, lambda: secrets.token_hex(8))


def _platform_variables(run: RunFile) -> dict[str, str]:
    """What the platform gives every execution environment."""
    settings = run.settings
    return {
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": settings.endpoint.access_key,
        "AWS_SECRET_ACCESS_KEY": settings.endpoint.secret_key,
        "AWS_ENDPOINT_URL": run.endpoint,
    }


def _say(note: str) -> None:
    """What the user should know of an environment's start: the engine's log has it."""
    _log.warning("runtime_note", extra={"note": note})
