"""Environments without processes: a Runtime API and a launcher whose other side is the test itself."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workshape.functions.environment_api import RuntimeCallbacks
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.launch.recipe import LaunchOrder
from workshape.functions.model import EnvironmentId, FunctionVersion, Invocation
from workshape.functions.runtime_api import RuntimeApi
from workshape.functions.telemetry_delivery import Telemetry
from workshape.settings import FunctionSettings


class FakeRuntimeApi(RuntimeApi):
    """Notes what is dispatched; the test calls `callbacks`, as a runtime would cause them to be called."""

    def __init__(self, callbacks: RuntimeCallbacks) -> None:
        super().__init__(callbacks)
        self.callbacks = callbacks
        self.dispatched: dict[EnvironmentId, Invocation] = {}
        self.deadlines_ms: dict[EnvironmentId, int] = {}
        self.opened: set[EnvironmentId] = set()

    def open(
        self, environment: EnvironmentId, function: FunctionVersion, telemetry: Telemetry, extensions: Sequence[str]
    ) -> str:
        self.opened.add(environment)
        return f"127.0.0.1:{10_000 + environment}"

    def make_spare(self) -> None:
        """It listens nowhere."""

    async def admit(
        self,
        environment: EnvironmentId,
        *,
        user: int = -1,
        connection: socket.socket | None = None,
        restored: bool = False,
    ) -> None:
        assert environment in self.opened

    async def close(self, environment: EnvironmentId) -> None:
        self.opened.discard(environment)

    def dispatch(self, environment: EnvironmentId, invocation: Invocation, deadline_ms: int) -> None:
        assert environment in self.opened
        self.dispatched[environment] = invocation
        self.deadlines_ms[environment] = deadline_ms

    def respond(self, environment: EnvironmentId, body: bytes) -> None:
        """Do as a runtime that answers and asks for the next."""
        self.callbacks.responded(environment, self.dispatched[environment].request_id, body)
        self.callbacks.ready(environment)


class FakeProcess(EnvironmentProcess):
    """Notes what is done to it."""

    def __init__(self, environment: EnvironmentId) -> None:
        self.pid, self.user, self.connection = (
            environment,
            -1,
            None,
        )  # and nothing of the real one's state: every method that reads it is replaced
        self.is_restored = self.is_copied = False
        self.history: list[str] = []
        self.cpu_limits_mb: list[int] = []

    def freeze(self) -> None:
        self.history.append("freeze")

    def thaw(self) -> None:
        self.history.append("thaw")

    async def kill(self) -> None:
        await asyncio.sleep(0)
        self.history.append("kill")

    def drain_output(self) -> None:
        pass

    def limit_cpu(self, memory_mb: int) -> None:
        self.cpu_limits_mb.append(memory_mb)

    def max_memory_mb(self) -> int:
        return 42

    @property
    def ran_out_of_memory(self) -> bool:
        return False


@dataclass
class Started:
    """An environment the launcher was told to start."""

    order: LaunchOrder
    process: FakeProcess
    on_output: Callable[[EnvironmentId, bytes], None] = field(repr=False)
    on_exit: Callable[[EnvironmentId, str], None] = field(repr=False)


class FakeLauncher(ProcessLauncher):
    """Starts nothing; `failure` is raised instead if it is set."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), FunctionSettings())
        self.environments: list[Started] = []
        self.failure: Exception | None = None
        self.why_not = ""
        """Why snapshots cannot be kept."""
        self.kept: list[str] = []
        self.dropped: list[str] = []
        """By revision."""
        self._lost: dict[str, Callable[[], None]] = {}

    async def keep(self, function: FunctionVersion, process: EnvironmentProcess, lost: Callable[[], None]) -> str:
        if not self.why_not:
            self.kept.append(function.revision)
            self._lost[function.revision] = lost
        return self.why_not

    def drop(self, function: FunctionVersion) -> None:
        self.dropped.append(function.revision)

    def lose(self, revision: str) -> None:
        """Let the process that is kept end by itself."""
        self._lost.pop(revision)()

    async def start(
        self,
        order: LaunchOrder,
        *,
        on_output: Callable[[EnvironmentId, bytes], None],
        on_exit: Callable[[EnvironmentId, str], None],
    ) -> EnvironmentProcess:
        if self.failure is not None:
            raise self.failure
        started = Started(order, FakeProcess(order.environment), on_output, on_exit)
        self.environments.append(started)
        return started.process

    async def close(self) -> None:
        pass
