"""The platform the scenes play on: `workshape up` in a process of its own, and clients of what it offers.

Everything here goes through public doors: AWS's API by boto3, HTTP, PostgreSQL, and the records in the state folder.
"""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import httpx

from workshape.functions.item_records import read_item_facts
from workshape.run import RunFile, StateFolder, read_run_file
from workshape.shape.observations import CONNECTIONS_FOLDER_NAME, ConnectionSample
from workshape.store.json_lines import read_json_lines

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "creator-platform"
STAGE = ROOT / ".demo" / "creator-platform"
KEPT_STATE = frozenset({"build"})  # installed dependencies: the same whatever a run did
START_S_MAX = 600.0  # the first start installs the functions' dependencies
STOP_S_MAX = 40.0
CREDENTIALS = {"aws_access_key_id": "demo", "aws_secret_access_key": "demo", "region_name": "us-east-1"}


class DemoError(Exception):
    """The demo cannot go on; the message says why, and what to do."""


@dataclass
class Platform:
    """A running workshape."""

    run: RunFile

    @property
    def http(self) -> str:
        """URL of the app's HTTP API."""
        return self.run.http

    @property
    def max_connections(self) -> int:
        """What the database server admits."""
        assert self.run.database is not None, "the example has a database"
        assert self.run.database.max_connections is not None, "it is the embedded one"
        return self.run.database.max_connections

    @cached_property
    def sqs(self) -> Any:
        """Queues."""
        return self._client("sqs")

    @cached_property
    def dynamodb(self) -> Any:
        """Tables."""
        return self._client("dynamodb")

    @cached_property
    def functions(self) -> Any:
        """Functions."""
        return self._client("lambda")

    def queue_url(self, queue: str) -> str:
        """Where a queue is."""
        return str(self.sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    def status(self) -> dict[str, Any]:
        """What the engine tells about itself."""
        answer: dict[str, Any] = httpx.get(f"{self.run.endpoint}/_workshape/status", trust_env=False).json()
        return answer

    def messages_left(self) -> dict[str, int]:
        """Messages in each queue, whatever their state."""
        return {
            queue["name"]: queue["visible"] + queue["in_flight"] + queue["delayed"] for queue in self.status()["queues"]
        }

    def deliveries(self, queue: str) -> int:
        """How many records of a queue have been handed to a function so far."""
        return sum(fact.source == queue for fact in read_item_facts(self.run.state.records))

    def replace_environments(self, function: str) -> None:
        """Give a function a new revision, as a deployment would: its environments end, and their connections."""
        self.functions.update_function_configuration(FunctionName=function, Description=f"replaced at {time.time()}")
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=function)

    def connections_since(self, at: float) -> list[tuple[float, int]]:
        """The database server's connections, as it counted them: (Unix time, how many)."""
        samples = read_json_lines(self.run.state.records / CONNECTIONS_FOLDER_NAME, ConnectionSample)
        before: list[tuple[float, int]] = []
        since: list[tuple[float, int]] = []
        for sample in samples:
            (since if sample.time >= at else before).append((sample.time, sample.connections))
        return [(at, before[-1][1]), *since] if before else since

    def refusals(self) -> int:
        """How often the database server has said FATAL: too many clients (SQLSTATE 53300), by its own log."""
        text = self.run.state.part_log("postgres").read_text(errors="replace")
        return text.count("sorry, too many clients already") + text.count("remaining connection slots are reserved")

    def newcomer_is_admitted(self, *, proxied: bool) -> bool:
        """Try to connect and ask something, as one more ordinary client would."""
        way = self.run.proxy if proxied else self.run.database
        assert way is not None, "the example has a database and a proxy"
        return asyncio.run(_ask(way.url))

    def _client(self, service: Any) -> Any:
        # boto3 makes its clients when it runs, from the service's model: no type knows them.
        return boto3.client(service, endpoint_url=self.run.endpoint, **CREDENTIALS)  # type: ignore[call-overload] # by name


@contextmanager
def running(said: Callable[[str], None]) -> Iterator[Platform]:
    """Bring the example up on free ports, in a folder of the demo's own; end it afterwards.

    Raises:
        DemoError: it did not come up.
    """
    state = _stage()
    log = STAGE / "up.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "workshape", "up", str(STAGE), "--port", "0", "--no-follow"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield Platform(_until_up(process, state, log, said))
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()


def _stage() -> StateFolder:
    """Copy the example's files, and forget what an earlier demo did."""
    shutil.copytree(EXAMPLE, STAGE, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", ".workshape"))
    state = StateFolder.of(STAGE)
    if state.root.exists():
        for entry in state.root.iterdir():
            if entry.name not in KEPT_STATE:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return state


def _until_up(
    process: "subprocess.Popen[bytes]", state: StateFolder, log: Path, said: Callable[[str], None]
) -> RunFile:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        lines = log.read_text(errors="replace").splitlines()
        if process.poll() is not None:
            raise DemoError("workshape up ended:\n" + "\n".join(lines[-20:]))
        if lines:
            said(lines[-1])
        if state.run_file.exists() and _is_ready(run := read_run_file(state.run_file)):
            return run
        time.sleep(0.1)
    raise DemoError(f"workshape up took more than {START_S_MAX:g} s; see {log}")


def _is_ready(run: RunFile) -> bool:
    try:
        return httpx.get(f"{run.endpoint}/_workshape/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


async def _ask(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    try:
        return bool(await connection.fetchval("SELECT 1") == 1)
    finally:
        await connection.close()
