"""Takes a version's snapshot: one environment goes through its init phase, to where it may be copied (SnapStart).

What it does before that is the function's own, `before_snapshot` hooks included, and may fail or take too long: then
there is no snapshot, and the version cannot be invoked.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workshape.clock import Clock
from workshape.errors import PlatformError
from workshape.functions import platform_log, results
from workshape.functions.environment_api import RuntimeCallbacks
from workshape.functions.extension_sessions import Extension
from workshape.functions.invocation_report import Reporter
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.extensions import extension_names
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.limits import PROVISIONED_INIT_S_MIN
from workshape.functions.model import EnvironmentId, FunctionVersion, InitializationType
from workshape.functions.running import RunningEnvironment
from workshape.functions.runtime_api import RuntimeApi
from workshape.functions.snap_start import SnapshotFailure

_log = logging.getLogger(__name__)


@dataclass
class _Taking:
    """A snapshot that is being taken."""

    environment: RunningEnvironment
    outcome: "asyncio.Future[SnapshotFailure | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def end(self, failure: SnapshotFailure | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(failure)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of an init phase."""

    failure: SnapshotFailure | None
    process: EnvironmentProcess | None
    """It stays where the snapshot was taken, to be copied; None: it has ended."""
    why_not: str
    """Why it cannot be copied, if it has ended without a failure."""


class SnapshotTaker:
    """Starts environments that are to become snapshots, apart from those that serve."""

    def __init__(
        self,
        *,
        clock: Clock,
        launcher: ProcessLauncher,
        reporter: Reporter,
        variables: Callable[[FunctionVersion], Mapping[str, str]],
        runtime_api: Callable[[RuntimeCallbacks], RuntimeApi] = RuntimeApi,
    ) -> None:
        """`variables` are the platform's, as the invoker has them."""
        self._clock = clock
        self._launcher = launcher
        self._reporter = reporter
        self._variables = variables
        self._takings: dict[EnvironmentId, _Taking] = {}
        self._last_id = 0
        self._api = runtime_api(
            RuntimeCallbacks(
                ready=self._taken,  # a runtime that knows nothing of snapshots is as far when it wants its first event
                streams=lambda _environment, _request, _flow: None,
                responded=lambda _environment, _request, _body: None,
                failed=lambda _environment, _request, _body, _kind: None,
                init_failed=self._init_failed,
                restores=self._restores,
                runtime_done=lambda _environment: None,
                runtime_exited=self._exited,
                extension_ready=self._extension_ready,
                extension_failed=self._extension_failed,
                extension_output=self._extension_output,
            )
        )

    def __repr__(self) -> str:
        return f"<SnapshotTaker taking={len(self._takings)}>"

    async def take(self, function: FunctionVersion) -> Taken:
        """Go through a version's init phase; tell what came of that."""
        self._last_id += 1
        environment = self._environment(EnvironmentId(self._last_id), function)
        taking = self._takings[environment.id] = _Taking(environment)
        stays = False
        try:
            failure = await self._outcome(taking)
            self._report(environment, failure)
            why_not = self._why_not_copied(environment) if failure is None else ""
            stays = failure is None and not why_not
            return Taken(failure, environment.process if stays else None, why_not)
        finally:
            del self._takings[environment.id]
            if environment.process is not None and not stays:
                await environment.process.kill()
            await self._api.close(environment.id)

    async def _outcome(self, taking: _Taking) -> SnapshotFailure | None:
        environment, function = taking.environment, taking.environment.function
        init_s_max = max(PROVISIONED_INIT_S_MIN, function.timeout_s)
        try:
            self._reporter.init_began(environment)
            await self._start(environment)
            async with asyncio.timeout(init_s_max):
                return await taking.outcome
        except TimeoutError:
            return SnapshotFailure.timed_out(init_s_max)
        except (PlatformError, OSError) as error:
            _log.error("snapshot_not_started", extra={"function": function.name, "reason": str(error)})
            return SnapshotFailure.internal(str(error))

    def _why_not_copied(self, environment: RunningEnvironment) -> str:
        if environment.process is None or not environment.process.is_copied:
            return "only Python with AWS's client, in a sandbox and without external extensions, can be copied"
        api = self._api.environment(environment.id)
        if api is not None and api.extensions.has_internal:
            return "its runtime has registered extensions"
        return ""

    def _environment(self, environment: EnvironmentId, function: FunctionVersion) -> RunningEnvironment:
        now, wall = self._clock.monotonic_s(), self._clock.wall_s()
        stream = platform_log.log_stream(function, wall, secrets.token_hex(16))
        return RunningEnvironment(
            environment,
            function,
            stream,
            now,
            wall,
            self._reporter.telemetry(function, stream, self._clock),
            retried=False,
            initialization_type=InitializationType.SNAP_START,
            is_snapshot=True,
        )

    async def _start(self, environment: RunningEnvironment) -> None:
        function = environment.function
        extensions = extension_names(function.opt_folder)
        address = self._api.open(environment.id, function, environment.telemetry, extensions)
        order = environment.launch_order(address, self._variables(function))
        process = environment.process = await self._launcher.start(order, on_output=self._output, on_exit=self._exited)
        await self._api.admit(environment.id, user=process.user, connection=process.connection)

    def _report(self, environment: RunningEnvironment, failure: SnapshotFailure | None) -> None:
        now, wall = self._clock.monotonic_s(), self._clock.wall_s()
        if failure is None:
            self._reporter.init_ended_well(environment, now, wall)
        else:
            self._reporter.init_ended_badly(environment, failure.status, failure.error_type, now, wall)

    # What the environments say

    def _end(self, environment_id: EnvironmentId, failure: SnapshotFailure | None) -> None:
        if (taking := self._takings.get(environment_id)) is not None:
            taking.end(failure)

    def _taken(self, environment_id: EnvironmentId) -> None:
        self._end(environment_id, None)

    def _restores(self, environment_id: EnvironmentId) -> bool | None:
        self._taken(environment_id)
        return False

    def _init_failed(self, environment_id: EnvironmentId, body: bytes, error_type: str) -> None:
        self._end(environment_id, SnapshotFailure.init_failed(error_type or results.error_type(body, "")))

    def _exited(self, environment_id: EnvironmentId, how: str) -> None:
        self._end(environment_id, SnapshotFailure.exited(how))

    def _extension_ready(self, environment_id: EnvironmentId, extension: Extension) -> None:
        if (taking := self._takings.get(environment_id)) is not None:
            self._reporter.extension(taking.environment, extension, "", self._clock.wall_s())

    def _extension_failed(self, environment_id: EnvironmentId, extension: Extension, kind: str, why: str) -> None:
        if (taking := self._takings.get(environment_id)) is not None:
            self._reporter.extension(taking.environment, extension, kind, self._clock.wall_s())
            taking.end(SnapshotFailure.extension_failed(kind, why))

    def _extension_output(self, environment_id: EnvironmentId, line: bytes) -> None:
        if (taking := self._takings.get(environment_id)) is not None:
            self._reporter.extension_output(taking.environment, line, self._clock.wall_s())

    def _output(self, environment_id: EnvironmentId, line: bytes) -> None:
        if (taking := self._takings.get(environment_id)) is not None:
            self._reporter.output(taking.environment, line, self._clock.wall_s())
