"""A whole engine in a thread of its own, with real environments, so that blocking clients can be tested."""

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZipFile

import boto3
from botocore.config import Config

from tests.fakes.archives import readable
from workshape.app import model as app_model
from workshape.cli.ports import free_ports
from workshape.engine.engine import Engine
from workshape.run import ProcessMark, RunFile
from workshape.settings import FunctionSettings, Ports, Settings

T = TypeVar("T")
WAIT_S_MAX = 30.0
POLL_S = 0.02
REGION, ACCOUNT = "us-east-1", "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
SHOW = "import json\ndef handler(event, context):\n    print('EVENT ' + json.dumps(event))\n    return event\n"
"""A function that writes every event into its log."""


class LiveEngine:
    """Made by `live_engine`."""

    def __init__(self, folder: Path, upstream: Mapping[str, str], app: app_model.App | None) -> None:
        endpoint, http, console = free_ports("127.0.0.1", 3)
        ports = Ports(endpoint=endpoint, http=http, console=console)
        settings = Settings(ports=ports, functions=FunctionSettings(allow_substitute=True))
        supervisor = ProcessMark("supervisor", 1, "")
        self.run_file = RunFile(str(folder), str(folder / ".workshape"), settings, supervisor, upstream=dict(upstream))
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client of it."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service by its name
            endpoint_url=self.run_file.endpoint,
            region_name=REGION,
            aws_access_key_id="anybody",
            aws_secret_access_key="anything",
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def create_function(self, name: str, source: str = SHOW, **more: Any) -> str:
        """Make a Python function of `app.py`, and return its ARN."""
        made = BytesIO()
        with ZipFile(made, "w") as packed:
            packed.writestr(readable("app.py"), source)
        parameters = {"Runtime": RUNTIME, "Handler": "app.handler", "Timeout": 20, "Role": ROLE, **more}
        made_function = self.client("lambda").create_function(
            FunctionName=name, Code={"ZipFile": made.getvalue()}, **parameters
        )
        return str(made_function["FunctionArn"])

    def create_queue(self, name: str) -> tuple[str, str]:
        """Make a queue, and return its URL and its ARN."""
        url = self.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def receive(self, url: str, count: int = 1) -> list[dict[str, Any]]:
        """Receive so many messages, with all their attributes, and delete them."""
        client, found = self.client("sqs"), list[dict[str, Any]]()
        deadline = time.monotonic() + WAIT_S_MAX
        while len(found) < count and time.monotonic() < deadline:
            answer = client.receive_message(
                QueueUrl=url,
                WaitTimeSeconds=2,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            for message in answer.get("Messages", ()):
                found.append(message)
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert len(found) == count, f"{len(found)} messages of {count}: {found}"
        return found

    def events(self, function: str, count: int = 1) -> list[Any]:
        """Wait until a function made of `SHOW` has been given so many events, and return them."""
        client, group = self.client("logs"), f"/aws/lambda/{function}"
        found: list[Any] = []

        def shown() -> bool:
            try:
                page = client.filter_log_events(logGroupName=group, filterPattern="EVENT")
            except client.exceptions.ResourceNotFoundException:
                return False
            found[:] = [json.loads(event["message"].partition("EVENT ")[2]) for event in page["events"]]
            return len(found) >= count

        self.wait_until(shown)
        return found

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until something has become so."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not condition():
            assert time.monotonic() < deadline, "it has not become so"
            time.sleep(POLL_S)

    def metric_sum(self, name: str, function: str) -> float:
        """What a metric of a function has come to in the last hour."""
        now = time.time()
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=name,
            Dimensions=[{"Name": "FunctionName", "Value": function}],
            StartTime=now - 3_600,
            EndTime=now + 60,
            Period=3_600,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in points["Datapoints"]))

    def start(self) -> None:
        """Serve; returns when it does."""
        self._thread.start()
        self.wait_until(lambda: self._failure is not None or self._answers())
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End it; its folder stays."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(WAIT_S_MAX)
        assert not self._thread.is_alive()

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.run_file.settings.ports.endpoint), 1):
            return True
        return False

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._failure = error
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with Engine(self.run_file, self._app) as engine:
            running = asyncio.create_task(engine.run())
            ended = asyncio.create_task(self._ended.wait())
            await asyncio.wait((running, ended), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@contextmanager
def live_engine(
    folder: Path, upstream: Mapping[str, str] | None = None, app: app_model.App | None = None
) -> Iterator[LiveEngine]:
    """Serve until the context ends; then nothing of it runs any more."""
    engine = LiveEngine(folder, upstream or {}, app)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
