"""The engine without its front door: an invoker with real environments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from workshape.clock import Clock
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.invocation_report import Reporter
from workshape.functions.invoker import Invoker
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionVersion
from workshape.functions.records import RecordWriter
from workshape.functions.snapshot_keeper import SnapshotKeeper
from workshape.functions.snapshot_taker import SnapshotTaker
from workshape.settings import FunctionSettings


@asynccontextmanager
async def bare_engine(folder: Path, settings: FunctionSettings) -> AsyncIterator[Invoker]:
    """Make one; what it writes goes below `folder`."""
    async with engine_of_snapshots(folder, settings) as (invoker, _):
        yield invoker


@asynccontextmanager
async def engine_of_snapshots(
    folder: Path, settings: FunctionSettings
) -> AsyncIterator[tuple[Invoker, SnapshotKeeper]]:
    """Make one with what takes snapshots of versions."""
    launcher = ProcessLauncher(folder / "launch", settings)
    logs, records = FunctionLogs(folder / "logs"), RecordWriter(folder / "records")
    clock, metrics = Clock(), FunctionMetrics()
    invoker = Invoker(
        settings=settings,
        clock=clock,
        launcher=launcher,
        logs=logs,
        records=records,
        metrics=metrics,
        variables=_variables,
        reserved=lambda _name: None,
        reserved_total=lambda: 0,
    )
    reporter = Reporter(logs, records, metrics)
    taker = SnapshotTaker(clock=clock, launcher=launcher, reporter=reporter, variables=_variables)
    keeper = SnapshotKeeper(settings, clock, launcher, taker.take)
    try:
        yield invoker, keeper
    finally:
        await keeper.close()
        await invoker.close()
        await launcher.close()
        logs.close()
        records.close()


def _variables(_function: FunctionVersion) -> dict[str, str]:
    return {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
