"""The engine without its front door: an invoker with real environments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from workshape.clock import Clock
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.invoker import Invoker
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.logs import FunctionLogs
from workshape.functions.records import RecordWriter
from workshape.settings import FunctionSettings


@asynccontextmanager
async def bare_engine(folder: Path, settings: FunctionSettings) -> AsyncIterator[Invoker]:
    """Make one; what it writes goes below `folder`."""
    launcher = ProcessLauncher(folder / "launch", settings)
    logs, records = FunctionLogs(folder / "logs"), RecordWriter(folder / "records")
    invoker = Invoker(
        settings=settings,
        clock=Clock(),
        launcher=launcher,
        logs=logs,
        records=records,
        metrics=FunctionMetrics(),
        variables=lambda _function: {"AWS_REGION": "us-east-1"},
        reserved=lambda _name: None,
        reserved_total=lambda: 0,
    )
    try:
        yield invoker
    finally:
        await invoker.close()
        await launcher.close()
        logs.close()
        records.close()
