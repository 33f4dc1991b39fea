"""Stands where the invoker stands: between the Runtime API and an environment's processes, one invocation at a time."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workshape.clock import Clock
from workshape.functions.environment_api import RuntimeCallbacks
from workshape.functions.extension_sessions import Extension
from workshape.functions.images.model import ImageProcess
from workshape.functions.launch.disk_maker import NAME as MAKER_NAME
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.launch.process_tree import children
from workshape.functions.launch.recipe import LaunchOrder
from workshape.functions.launch.sandbox import TASK
from workshape.functions.model import (
    EnvironmentId,
    FunctionName,
    FunctionVersion,
    InitializationType,
    Invocation,
    RequestId,
)
from workshape.functions.runtime_api import RuntimeApi
from workshape.functions.telemetry_delivery import Telemetry
from workshape.http1.message import Flow
from workshape.http1.pieces import Pieces
from workshape.settings import FunctionSettings

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
FUNCTION = FunctionVersion(
    FunctionName("f"), "$LATEST", ARN, "provided.al2023", "index.handler", "/nowhere", 128, 3, "r1"
)
WAIT_S = 30.0


@dataclass(slots=True)
class Heard:
    """What one environment has told so far."""

    output: list[str] = field(default_factory=list)
    answers: list[tuple[str, str, Any]] = field(default_factory=list)
    """(request id, error type or "", JSON value); no value where somebody read the response as it came."""
    responses: list[bytes] = field(default_factory=list)
    init_error: tuple[str, Any] | None = None
    ready: int = 0
    exit: str | None = None
    notes: list[str] = field(default_factory=list)
    """Of extensions, and of the runtime beside them."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


class RuntimeOwner:
    """Opens listeners, starts environments, dispatches, and keeps what it hears."""

    def __init__(self, folder: Path, settings: FunctionSettings | None = None, *, show: Sequence[str] = ()) -> None:
        callbacks = RuntimeCallbacks(
            ready=self._ready,
            streams=self._streams,
            responded=self._responded,
            failed=self._failed,
            init_failed=self._init_failed,
            restores=self._restores,
            runtime_done=lambda environment: self._note(environment, "runtime done"),
            runtime_exited=lambda environment, how: self._note(environment, f"runtime exited: {how}"),
            extension_ready=lambda environment, extension: self._note(environment, f"{extension.name} is ready"),
            extension_failed=self._extension_failed,
            extension_output=self._output,
        )
        self.api = RuntimeApi(callbacks)
        self.notes: list[str] = []
        self.folder = folder
        self.launcher = ProcessLauncher(folder, settings or FunctionSettings(), notify=self.notes.append, show=show)
        self.heard: dict[EnvironmentId, Heard] = {}
        self.addresses: dict[EnvironmentId, str] = {}
        self.readers: dict[RequestId, Pieces] = {}
        """Where streamed responses go; others are collected."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._invocations = 0

    async def open(self, *extensions: str) -> EnvironmentId:
        """Open a listener that anyone may speak to."""
        environment = await self._reserve(FUNCTION, *extensions)
        await self.api.admit(environment)
        return environment

    async def start(
        self,
        code: Path,
        *,
        runtime: str = "",
        handler: str = "index.handler",
        memory_mb: int = 512,
        layers: str = "",
        image: ImageProcess | None = None,
        ephemeral_storage_mb: int = 512,
        revision: str = "",
        **variables: str,
    ) -> tuple[EnvironmentId, EnvironmentProcess]:
        """Open a listener and start an environment for it. Without a `revision` it is one of its own."""
        environment = self._next_environment()
        function = FunctionVersion(
            FunctionName("f"),
            "$LATEST",
            ARN,
            runtime,
            handler,
            str(code),
            memory_mb,
            3,
            revision or str(environment),
            variables,
        )
        await self._reserve(function)
        order = LaunchOrder(
            environment,
            replace(function, opt_folder=layers, image=image, ephemeral_storage_mb=ephemeral_storage_mb),
            self.addresses[environment],
            InitializationType.ON_DEMAND,
            "/aws/lambda/f",
            "2026/11/24/[$LATEST]0",
            {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"},
        )
        process = await self.launcher.start(order, on_output=self._output, on_exit=self._exit)
        await self.api.admit(environment, user=process.user, connection=process.connection)
        return environment, process

    async def started(self, code: Path, **options: Any) -> tuple[EnvironmentId, EnvironmentProcess]:
        """Start an environment and wait until it polls."""
        environment, process = await self.start(code, **options)
        await self.until(environment, lambda heard: heard.ready > 0 or heard.exit is not None)
        assert self.heard[environment].ready, self.heard[environment]
        return environment, process

    def next_request_id(self) -> RequestId:
        """Name the invocation that comes next."""
        return RequestId(f"00000000-0000-4000-8000-{self._invocations + 1:012}")

    def forked(self, spawner: int) -> set[int]:
        """The stems and environments of a spawner: its children but for who makes what their /tmp is on."""
        found = set[int]()
        for pid in children(spawner):
            with suppress(OSError):  # it has just ended
                if Path(f"/proc/{pid}/comm").read_text().strip() != MAKER_NAME:
                    found.add(pid)
        return found

    async def task_root(self, code: Path) -> str:
        """Tell where functions see a folder of code."""
        return str(code) if await self.launcher.why_no_sandbox() else TASK

    def dispatch(self, environment: EnvironmentId, event: Any = None, **fields: Any) -> RequestId:
        """Give an idle environment an event."""
        request_id = self.next_request_id()
        self._invocations += 1
        invocation = Invocation(request_id, json.dumps(event).encode(), ARN, **fields)
        self.api.dispatch(environment, invocation, int(time.time() * 1000) + 3000)
        return request_id

    async def invoke(self, environment: EnvironmentId, event: Any = None, **fields: Any) -> tuple[str, Any]:
        """Dispatch, wait until it is answered and the environment polls again; return (error type, value)."""
        ready = self.heard[environment].ready
        request_id = self.dispatch(environment, event, **fields)
        await self.until(environment, lambda heard: heard.ready > ready or heard.exit is not None)
        answers = [answer for answer in self.heard[environment].answers if answer[0] == request_id]
        assert len(answers) == 1, self.heard[environment]
        return answers[0][1], answers[0][2]

    async def invoke_text(self, environment: EnvironmentId, event: Any = None) -> bytes:
        """Invoke a function whose response is no JSON; return it."""
        await self.invoke(environment, event)
        return self.heard[environment].responses[-1]

    async def until(self, environment: EnvironmentId, holds: Any) -> Heard:
        """Wait until what was heard satisfies a condition."""
        heard = self.heard[environment]
        async with asyncio.timeout(WAIT_S), heard.changed:
            await heard.changed.wait_for(lambda: holds(heard))
        return heard

    async def close(self) -> None:
        """End everything."""
        await self.launcher.close()
        for environment in self.heard:
            await self.api.close(environment)
        await asyncio.gather(*self._tasks)

    def _next_environment(self) -> EnvironmentId:
        return EnvironmentId(len(self.heard) + 1)

    async def _reserve(self, function: FunctionVersion, *extensions: str) -> EnvironmentId:
        environment = self._next_environment()
        self.heard[environment] = Heard()
        self.addresses[environment] = self.api.open(
            environment, function, Telemetry(Clock(), keeps_early=bool(extensions)), extensions
        )
        return environment

    def _ready(self, environment: EnvironmentId) -> None:
        self.heard[environment].ready += 1
        self._tell(environment)

    def _streams(self, environment: EnvironmentId, request_id: RequestId, flow: Flow) -> Pieces | None:
        if request_id not in self.readers:
            return None
        pieces = self.readers[request_id]
        pieces.flow = flow
        return pieces

    def _responded(self, environment: EnvironmentId, request_id: RequestId, body: bytes) -> None:
        self.heard[environment].responses.append(body)
        value = None if request_id in self.readers else _value(body)
        self.heard[environment].answers.append((request_id, "", value))
        self._tell(environment)

    def _failed(self, environment: EnvironmentId, request_id: RequestId, body: bytes, error_type: str) -> None:
        value = json.loads(body)
        self.heard[environment].answers.append((request_id, error_type or value["errorType"], value))
        self._tell(environment)

    def _init_failed(self, environment: EnvironmentId, body: bytes, error_type: str) -> None:
        self.heard[environment].init_error = (error_type, json.loads(body))
        self._tell(environment)

    def _restores(self, environment: EnvironmentId) -> bool | None:
        self._note(environment, "restores")
        return True

    def _extension_failed(self, environment: EnvironmentId, extension: Extension, kind: str, why: str) -> None:
        self._note(environment, f"{extension.name} failed: {kind}: {why}")

    def _note(self, environment: EnvironmentId, note: str) -> None:
        self.heard[environment].notes.append(note)
        self._tell(environment)

    def _output(self, environment: EnvironmentId, line: bytes) -> None:
        self.heard[environment].output.append(line.decode())
        self._tell(environment)

    def _exit(self, environment: EnvironmentId, words: str) -> None:
        assert self.heard[environment].exit is None, "told twice"
        self.heard[environment].exit = words
        self._tell(environment)

    def _tell(self, environment: EnvironmentId) -> None:
        task = asyncio.get_running_loop().create_task(self._notify(environment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self, environment: EnvironmentId) -> None:
        async with self.heard[environment].changed:
            self.heard[environment].changed.notify_all()


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
