"""A front door, a catalogue and a real invoker with real processes, on the test's own event loop."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from zipfile import ZipFile, ZipInfo

import boto3
from botocore.config import Config

from tests.fakes import obedient_runtime
from workshape.aws.door import Door
from workshape.aws.lambda_.code_source import fetch_from
from workshape.aws.lambda_.service import lambda_service
from workshape.aws.upstream import Upstream
from workshape.clock import Clock
from workshape.functions.async_queue import AsyncQueue
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.functions.function_invoker import FunctionInvoker
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.images.deployments import Deployments
from workshape.functions.images.store import ImageStore
from workshape.functions.invocation_report import Reporter
from workshape.functions.invoker import Invoker
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.logs import FunctionLogs
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.model import FunctionName
from workshape.functions.provisioned_configs import ProvisionedConfigs
from workshape.functions.records import InvocationRecord, RecordWriter, read_records
from workshape.functions.snapshot_keeper import SnapshotKeeper
from workshape.functions.snapshot_taker import SnapshotTaker
from workshape.functions.snapshots import Snapshots
from workshape.http1.message import Request, Response
from workshape.settings import FunctionSettings, Settings
from workshape.store.documents import Documents

PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
"""One that a sandbox shows, where there is a sandbox."""
ROLE = "arn:aws:iam::123456789012:role/r"


class Gate:
    """Where a function waits (`obedient_runtime.py`) until a test lets it go on; in an `async with`."""

    def __init__(self) -> None:
        self.port = 0
        self._opened = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._opened.set()
        self._server.close()

    def open(self) -> None:
        """Let whoever waits go on."""
        self._opened.set()

    async def _hold(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._opened.wait()
        writer.close()


class LiveFunctions:
    """What a test needs of it; made by `live_functions`."""

    def __init__(self, folder: Path, invoker: Invoker, invoke: FunctionInvoker, logs: FunctionLogs) -> None:
        self.folder = folder
        self.invoker = invoker
        self.invoke = invoke
        self.logs = logs
        self.records: RecordWriter
        self.url = ""
        self.name = FunctionName("f")
        self.opt_folder = ""
        """What every function finds as its layers."""

    async def client(self, call: str, **parameters: Any) -> Any:
        """Call Lambda with boto3, in a thread of its own."""
        client = boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="s",
            config=Config(retries={"max_attempts": 0}, read_timeout=30),
        )
        return await asyncio.to_thread(getattr(client, call), **parameters)

    async def create(self, name: str, files: dict[str, str], **more: Any) -> None:
        """Make a function from files; `bootstrap` may be executed."""
        made = BytesIO()
        with ZipFile(made, "w") as packed:
            for path, text in files.items():
                entry = ZipInfo(path)
                entry.external_attr = 0o755 << 16
                packed.writestr(entry, text)
        settings = {"Runtime": "provided.al2023", "Handler": "index.handler", **more}
        code = {"ZipFile": made.getvalue()}
        await self.client("create_function", FunctionName=name, Role=ROLE, Code=code, **settings)

    async def create_obedient(self, name: str = "f", **more: Any) -> None:
        """Make a function whose runtime does what events say."""
        text = f"#!{PYTHON}\n" + Path(obedient_runtime.__file__).read_text()
        await self.create(name, {"bootstrap": text}, **more)

    async def until_snapshot(self, name: str, version: str = "1") -> dict[str, Any]:
        """Wait until a version's snapshot is there, or there is none; return what Lambda tells of the version."""
        async with asyncio.timeout(60):
            while True:
                told = await self.client("get_function_configuration", FunctionName=name, Qualifier=version)
                if told["State"] != "Pending":
                    return dict(told)
                await asyncio.sleep(0.02)

    def messages(self, name: str = "f") -> list[str]:
        """A function's log so far."""
        return [line.message for line in self.logs.tail(FunctionName(name), 1_000)]

    async def until_logged(self, message: str) -> None:
        """Wait until a line is in the log of the function f."""
        async with asyncio.timeout(20):
            while message not in self.messages():
                await asyncio.sleep(0.005)

    def heard(self, extension: str) -> list[Any]:
        """What an extension has heard so far; first the variables it has, then the answer to its registration."""
        told = [json.loads(line) for line in self.messages() if line.startswith('{"from"')]
        return [each["heard"] for each in told if each["from"] == extension]

    def written(self) -> list[InvocationRecord]:
        """The records so far."""
        self.records.flush()
        return read_records(self.folder / "records")


@asynccontextmanager
async def live_functions(folder: Path) -> AsyncIterator[LiveFunctions]:
    """Serve until the context ends; then nothing of it runs any more."""
    settings, clock = Settings(functions=FunctionSettings(allow_substitute=True)), Clock()
    store = Documents(folder / "store.sqlite")
    catalog = Catalog(
        store,
        CodeStore(folder / "code"),
        region=settings.region,
        account=settings.account,
        account_concurrency=settings.functions.account_concurrency,
        clock=clock,
    )
    logs, records = FunctionLogs(folder / "logs"), RecordWriter(folder / "records")
    metrics = FunctionMetrics()
    launcher = ProcessLauncher(folder / "environments", settings.functions)
    invoker = Invoker(
        settings=settings.functions,
        clock=clock,
        launcher=launcher,
        logs=logs,
        records=records,
        metrics=metrics,
        variables=lambda _function: {"AWS_REGION": "us-east-1"},
        reserved=lambda _name: None,
        reserved_total=lambda: 0,
    )
    invoke = FunctionInvoker(
        lambda name, qualifier: replace(catalog.invocable(name, qualifier), opt_folder=live.opt_folder), invoker, clock
    )
    catalog.subscribe(invoker.retire)
    taker = SnapshotTaker(
        clock=clock,
        launcher=launcher,
        reporter=Reporter(logs, records, metrics),
        variables=lambda _function: {"AWS_REGION": "us-east-1"},
    )
    keeper = SnapshotKeeper(settings.functions, clock, launcher, taker.take)
    catalog.subscribe(keeper.retire)
    snapshots = asyncio.create_task(
        Snapshots(store, catalog, lambda version: keeper.take(replace(version, opt_folder=live.opt_folder))).run()
    )
    upstream = Upstream({})
    images = Deployments(ImageStore(folder / "images", ecr_registry=settings.functions.ecr_registry), store, catalog)
    service = lambda_service(
        catalog,
        invoke.invoke,
        None,
        stream=invoke.stream,
        events=AsyncQueue(store, invoke.invoke, clock, metrics),
        fetch_object=fetch_from(upstream, settings),
        provisioned=ProvisionedConfigs(store, catalog, invoker, clock),
        images=images,
        accept_destination=lambda _arn, _kinds: None,
        loops=LoopGuard(lambda _function: True, metrics, clock),
    )
    server = await Door([service], upstream, settings=settings, admin=_admin, clock=clock).start("127.0.0.1", 0)
    live = LiveFunctions(folder, invoker, invoke, logs)
    live.records, live.url = records, f"http://127.0.0.1:{server.port}"
    try:
        yield live
    finally:
        await server.close()
        snapshots.cancel()
        await asyncio.wait([snapshots])
        await keeper.close()
        await invoker.close()
        await launcher.close()
        await images.close()
        await upstream.close()
        logs.close()
        records.close()
        store.close()


async def _admin(_request: Request) -> Response:
    return Response(404)
