"""Runs functions: performs what the scheduler decides, with real processes, timers and logs.

An invocation costs no task: its caller has a `Later`, which the Runtime API's callback gives.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from math import inf

from workshape.clock import Clock
from workshape.errors import BackendUnavailable, PlatformError
from workshape.functions import platform_log
from workshape.functions.actions import (
    Action,
    Answer,
    Dispatch,
    Freeze,
    Outcome,
    Queue,
    Start,
    Stop,
    StopReason,
    Thaw,
    Throttle,
)
from workshape.functions.alarm import Alarm
from workshape.functions.concurrency import Concurrency, TooManyRequests
from workshape.functions.environment_api import RuntimeCallbacks
from workshape.functions.extension_sessions import Extension
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.init_gate import InitGate
from workshape.functions.invocation_report import Reporter, ending_of, result_of
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.extensions import extension_names
from workshape.functions.launch.process import EnvironmentStartFailed, ProcessLauncher
from workshape.functions.log_level import is_too_detailed
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import (
    EnvironmentId,
    FunctionName,
    FunctionVersion,
    Invocation,
    InvocationResult,
    RequestId,
)
from workshape.functions.provisioned import Allocation, AllocationView
from workshape.functions.records import RecordWriter
from workshape.functions.response_stream import ResponseStream
from workshape.functions.running import EnvironmentView, RunningEnvironment, RunningInvocation
from workshape.functions.runtime_api import RuntimeApi
from workshape.functions.scheduler import Scheduler
from workshape.functions.shutdown import shut_down
from workshape.functions.snap_start import RestoreFailed, RestoreTimedOut
from workshape.http1.message import Flow
from workshape.http1.pieces import Pieces
from workshape.later import Later
from workshape.settings import FunctionSettings

RESTORE_ERRORS = {Outcome.RESTORE_FAILED: RestoreFailed, Outcome.RESTORE_TIMED_OUT: RestoreTimedOut}

_log = logging.getLogger(__name__)


class Invoker:
    """Owns the execution environments of one engine. Used on the event loop's thread."""

    def __init__(
        self,
        *,
        settings: FunctionSettings,
        clock: Clock,
        launcher: ProcessLauncher,
        logs: FunctionLogs,
        records: RecordWriter,
        metrics: FunctionMetrics,
        variables: Callable[[FunctionVersion], Mapping[str, str]],
        reserved: Callable[[FunctionName], int | None],
        reserved_total: Callable[[], int],
        runtime_api: Callable[[RuntimeCallbacks], RuntimeApi] = RuntimeApi,
    ) -> None:
        """`variables` are the platform's for a function's environments (region, credentials, endpoint, database).

        `reserved` is a function's reserved concurrency, `reserved_total` the sum of all reservations. The launcher,
        logs, records and metrics stay the caller's: it closes them after this.
        """
        self._clock = clock
        self._launcher = launcher
        self._variables = variables
        self._reserved = reserved
        self._reserved_total = reserved_total
        self._reporter = Reporter(logs, records, metrics)
        self._limits_cpu = settings.cpu == "proportional"
        self._scheduler = Scheduler(settings, clock.monotonic_s())
        callbacks = RuntimeCallbacks(
            ready=self._ready,
            streams=self._streams,
            responded=self._responded,
            failed=self._failed,
            init_failed=self._init_failed,
            restores=self._restores,
            runtime_done=self._runtime_done,
            runtime_exited=self._exited,
            extension_ready=self._extension_ready,
            extension_failed=self._extension_failed,
            extension_output=self._extension_output,
        )
        self._api = runtime_api(callbacks)
        self._invocations: dict[RequestId, RunningInvocation] = {}
        self._environments: dict[EnvironmentId, RunningEnvironment] = {}
        self._gate = InitGate()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm = Alarm(self._tick)
        self._closed = False

    def __repr__(self) -> str:
        return f"<Invoker environments={len(self._environments)} invocations={len(self._invocations)}>"

    def invoke(
        self, function: FunctionVersion, invocation: Invocation, trigger: str = "api"
    ) -> Later[InvocationResult]:
        """Run a function once. A caller that stops waiting does not stop the invocation.

        What may fail it: EnvironmentStartFailed (no process could be made for it), BackendUnavailable.

        Raises:
            TooManyRequests: no concurrency is left, or the function scales too fast.
            BackendUnavailable: the platform is closing.
        """
        return self._admit(function, invocation, trigger).answer

    async def stream(self, function: FunctionVersion, invocation: Invocation, trigger: str = "api") -> ResponseStream:
        """Run a function once; return as soon as its response begins, or it has ended without one.

        Raises: as `invoke`.
        """
        stream = ResponseStream(function.version)
        stream.follow(self._admit(function, invocation, trigger, stream).answer)
        try:
            await stream.begun
        except asyncio.CancelledError:
            stream.abandon()
            raise
        stream.raise_platform_error()
        return stream

    def _admit(
        self, function: FunctionVersion, invocation: Invocation, trigger: str, stream: ResponseStream | None = None
    ) -> RunningInvocation:
        if self._closed:
            raise _closing(function)
        now = self._clock.monotonic_s()
        request = invocation.request_id
        assert request not in self._invocations, "a request id is used once"
        running = RunningInvocation(function, invocation, trigger, now)
        running.stream = stream
        actions = self._scheduler.invoke(function, request, self._reserved(function.name), self._reserved_total(), now)
        if isinstance(actions[0], Throttle):
            reason = actions[0].reason
            self._reporter.throttled(running, reason, now, self._clock.wall_s())
            raise TooManyRequests(reason_code=reason.value)
        self._invocations[request] = self._reporter.admitted(running)
        self._perform(actions, now)
        return running

    def retire(self, name: FunctionName, kept_revisions: Collection[str]) -> None:
        """End the environments of a function that run any other revision than these."""
        self._perform(self._scheduler.retire(name, kept_revisions), self._clock.monotonic_s())

    def provision(self, function: FunctionVersion, count: int, *, reserved: bool) -> None:
        """Keep so many environments of a version initialised ahead of its invocations; 0 ends them.

        `reserved` tells whether its function has a reservation, of which they are a part then.
        """
        if self._closed:
            return
        now = self._clock.monotonic_s()
        self._perform(self._scheduler.provision(function, count, now, reserved=reserved), now)

    def provisioned(self, function: FunctionVersion) -> AllocationView | None:
        """How a version's provisioned concurrency stands; None when it has none."""
        return self._scheduler.provisioned(function)

    def environments(self) -> list[EnvironmentView]:
        """Every environment there is, oldest first."""
        return [
            self._environments[environment.id].view(environment.state.value, environment.invocations)
            for environment in self._scheduler.environments()
        ]

    @property
    def concurrency(self) -> Concurrency:
        """How many invocations there are."""
        return self._scheduler.concurrency

    def allocations(self) -> Iterable[Allocation]:
        """All versions' provisioned concurrency."""
        return self._scheduler.allocations()

    async def close(self) -> None:
        """End every environment; whoever still waits for a result gets BackendUnavailable."""
        self._closed = True
        self._perform(self._scheduler.close(), self._clock.monotonic_s())
        self._alarm.cancel()
        while ending := set(self._tasks):
            await asyncio.gather(*ending, return_exceptions=True)
            self._tasks -= (
                ending  # they take themselves away when the loop goes on: since 3.12 this may not wait for it
            )
        self._api.close_spare()

    # What the runtimes say

    def _ready(self, environment_id: EnvironmentId) -> None:
        now = self._clock.monotonic_s()
        environment = self._environments[environment_id]
        is_new = environment.ready_at == inf
        if is_new:
            environment.ready_at = now
            self._reporter.init_ended_well(environment, now, self._clock.wall_s())
        self._perform(self._scheduler.became_ready(environment_id, now), now)
        if is_new:
            environment.leave_gate()
            if environment.process is not None:  # somebody may have waited for this moment: the event has gone first
                self._init_ended(environment, environment.process)

    def _streams(self, _environment_id: EnvironmentId, request: RequestId, flow: Flow) -> Pieces | None:
        running = self._invocations.get(request)
        return running.stream.begin(flow) if running is not None and running.stream is not None else None

    def _responded(self, environment_id: EnvironmentId, request: RequestId, body: bytes) -> None:
        if self._scheduler.settled(environment_id, request):
            running = self._invocations[request]
            running.body = body
            self._settled(environment_id, running)

    def _failed(self, environment_id: EnvironmentId, request: RequestId, body: bytes, error_type: str) -> None:
        if self._scheduler.settled(environment_id, request):
            running = self._invocations[request]
            running.body, running.error_header, running.is_error = body, error_type, True
            self._settled(environment_id, running)

    def _settled(self, environment_id: EnvironmentId, running: RunningInvocation) -> None:
        if running.invocation.trace is not None:
            running.invocation.trace.settled_at = self._clock.monotonic_s()
        # What the function has written lies in another pipe than its answer, and belongs before END.
        process = self._environments[environment_id].process
        if process is not None:
            process.drain_output()

    def _init_failed(self, environment_id: EnvironmentId, body: bytes, error_type: str) -> None:
        now = self._clock.monotonic_s()
        environment = self._environments[environment_id]
        environment.init_error, environment.init_error_header = body, error_type
        kind = environment.init_error_type
        self._reporter.init_ended_badly(environment, platform_log.ERROR, kind, now, self._clock.wall_s())
        self._perform(self._scheduler.init_failed(environment_id), now)

    def _restores(self, environment_id: EnvironmentId) -> bool | None:
        environment = self._environments[environment_id]
        if not environment.snap_start:
            return None
        environment.restored_at = now = self._clock.monotonic_s()
        self._scheduler.restored(environment_id, now)
        self._arm_timer(now)
        return True

    def _init_ended(self, environment: RunningEnvironment, process: EnvironmentProcess) -> None:
        # AWS: undocumented how much processor time the init phase has; it is seen to have more than the function.
        if self._limits_cpu:
            process.limit_cpu(environment.function.memory_mb)

    def _runtime_done(self, environment_id: EnvironmentId) -> None:
        """Tell the caller: what extensions still do is no matter of its."""
        environment = self._environments[environment_id]
        running = environment.invocation
        if running is not None and not running.answer.done:
            running.give(self._reporter.answered(running, environment, self._clock.monotonic_s()))

    def _extension_ready(self, environment_id: EnvironmentId, extension: Extension) -> None:
        self._reporter.extension(self._environments[environment_id], extension, "", self._clock.wall_s())

    def _extension_failed(self, environment_id: EnvironmentId, extension: Extension, kind: str, why: str) -> None:
        environment = self._environments.get(environment_id)
        if environment is not None and not environment.exit:
            self._reporter.extension(environment, extension, kind, self._clock.wall_s())
            environment.exit_type = kind
            self._exited(environment_id, why)

    def _extension_output(self, environment_id: EnvironmentId, line: bytes) -> None:
        environment = self._environments.get(environment_id)
        if environment is not None:
            self._reporter.extension_output(environment, line, self._clock.wall_s())

    # What the processes do

    def _output(self, environment_id: EnvironmentId, line: bytes) -> None:
        environment = self._environments.get(environment_id)
        if environment is None:
            return
        least = environment.function.log_level
        if least is None or not is_too_detailed(line, least):
            self._reporter.output(environment, line, self._clock.wall_s())

    def _exited(self, environment_id: EnvironmentId, how: str) -> None:
        environment = self._environments.get(environment_id)
        if environment is None or environment.exit:
            return  # a runtime's end is told by its supervisor first, if it has one
        now = self._clock.monotonic_s()
        environment.exited(how)
        actions = self._scheduler.exited(environment_id)
        if actions:
            kind = environment.exit_type
            self._reporter.init_ended_badly(environment, platform_log.ERROR, kind, now, self._clock.wall_s())
        self._perform(actions, now)

    # What the scheduler wants

    def _perform(self, actions: Iterable[Action], now: float) -> None:
        for action in actions:
            match action:
                case Dispatch():
                    self._dispatch(action, now)
                case Answer():
                    self._answer(action, now)
                case Thaw() | Freeze():
                    self._freeze_or_thaw(action)
                case Start():
                    self._start(action, now)
                case Stop():
                    self._stop(action, now)
                case Queue() | Throttle():
                    pass  # a waiting caller already waits, a refused one has been told
        self._arm_timer(now)

    def _dispatch(self, action: Dispatch, now: float) -> None:
        running = self._invocations[action.request]
        wall = self._clock.wall_s()
        running.started_at = action.deadline - running.function.timeout_s
        running.concurrency, running.environments = self._scheduler.counts(running.function)
        self._api.dispatch(action.environment, running.invocation, int((wall + action.deadline - now) * 1_000))
        # Written down while the function is at work; what it writes itself is read later.
        self._reporter.began(running, self._environments[action.environment], wall)

    def _freeze_or_thaw(self, action: Freeze | Thaw) -> None:
        process = self._environments[action.environment].process
        if process is None:
            return  # ready before we heard of its start: it runs on for this once
        if isinstance(action, Freeze):
            process.freeze()
        else:
            process.thaw()

    def _answer(self, action: Answer, now: float) -> None:
        running = self._reporter.is_over(self._invocations.pop(action.request))
        wall = self._clock.wall_s()
        if action.outcome is Outcome.ABANDONED:
            self._fail(running, _closing(running.function), now, wall)
            return
        assert action.environment is not None
        environment = self._environments[action.environment]
        if action.outcome is Outcome.START_FAILED:
            assert environment.failure is not None
            self._fail(running, environment.failure, now, wall)
            return
        if action.outcome in RESTORE_ERRORS:
            self._fail(running, RESTORE_ERRORS[action.outcome](), now, wall, "init_error")
            return
        if environment.invocation is not running and action.outcome is not Outcome.SETTLED:
            running.started_at = max(running.arrived_at, environment.started_at)  # it never got past the init phase
        ending = ending_of(running, environment, action.outcome)
        if not action.after_stop and running.log_tail is None:
            running.give(result_of(running, ending))  # who waits is told before it is written down
        self._reporter.ended(running, environment, ending, now, wall)
        if action.after_stop:
            environment.held = (running, result_of(running, ending))
        elif running.log_tail is not None:
            running.give(result_of(running, ending))

    def _fail(
        self, running: RunningInvocation, error: Exception, now: float, wall: float, status: str = "platform_error"
    ) -> None:
        self._reporter.failed(running, status, type(error).__name__, now, wall)
        if not running.answer.done:
            running.answer.fail(error)

    def _start(self, action: Start, now: float) -> None:
        wall = self._clock.wall_s()
        stream = platform_log.log_stream(action.function, wall, secrets.token_hex(16))
        telemetry = self._reporter.telemetry(action.function, stream, self._clock)
        environment = RunningEnvironment(
            action.environment,
            action.function,
            stream,
            now,
            wall,
            telemetry,
            retried=action.retried,
            initialization_type=action.initialization_type,
        )
        self._environments[action.environment] = environment
        environment.enter(self._gate)
        environment.starting = self._spawn(self._launch(environment, action))

    async def _launch(self, environment: RunningEnvironment, action: Start) -> None:
        if not await environment.entered():
            return  # it was stopped before it began
        environment.started_at, environment.wall_started_at = self._clock.monotonic_s(), self._clock.wall_s()
        function = action.function
        self._reporter.init_began(environment)
        try:
            extensions = extension_names(function.opt_folder)
            address = self._api.open(environment.id, function, environment.telemetry, extensions)
            order = environment.launch_order(address, self._variables(function), self._gate.waiting)
            environment.process = process = await self._launcher.start(
                order, on_output=self._output, on_exit=self._exited
            )
            await self._api.admit(
                environment.id, user=process.user, connection=process.connection, restored=process.is_restored
            )
            _ = environment.max_memory_mb  # read once while it lives: a short life may offer no other chance
            if environment.ready_at != inf:
                self._init_ended(environment, process)
        except (PlatformError, OSError) as error:
            failure = error if isinstance(error, PlatformError) else _start_failed(function, error)
            environment.failure = failure
            _log.error("environment_start_failed", extra={"function": function.name, "reason": str(failure)})
            self._reporter.start_failed(environment, str(failure), self._clock.wall_s())
            self._perform(self._scheduler.start_failed(environment.id), self._clock.monotonic_s())
        else:
            now = self._clock.monotonic_s()
            self._scheduler.started(environment.id, now)
            self._arm_timer(now)
            self._api.make_spare()

    def _stop(self, action: Stop, now: float) -> None:
        environment = self._environments[action.environment]
        if action.reason is StopReason.INIT_TIMED_OUT:
            self._reporter.init_ended_badly(environment, platform_log.TIMEOUT, None, now, self._clock.wall_s())
        _log.info("environment_stopped", extra={"environment": environment.id, "reason": action.reason.value})
        self._spawn(self._end(environment, action.reason))

    async def _end(self, environment: RunningEnvironment, reason: StopReason) -> None:
        """End the processes of an environment, then tell the result that waited for that."""
        try:
            if environment.entering is not None:
                environment.entering.cancel()
            if environment.starting is not None:
                await asyncio.wait({environment.starting})
            if environment.process is not None:
                if (api := self._api.environment(environment.id)) is not None:
                    await shut_down(environment.process, api, reason, self._clock)
                await environment.process.kill()
            await self._api.close(environment.id)
        finally:
            environment.leave_gate()
            del self._environments[environment.id]
            self._scheduler.gone(environment.id)
            if environment.held is not None:
                environment.held[0].give(environment.held[1])

    # Tasks and timers

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("environment_task_failed", exc_info=error)

    def _arm_timer(self, now: float) -> None:
        if not self._closed:
            self._alarm.set(self._scheduler.next_deadline(), now)

    def _tick(self) -> None:
        now = self._clock.monotonic_s()
        self._perform(self._scheduler.tick(now), now)


def _closing(function: FunctionVersion) -> BackendUnavailable:
    return BackendUnavailable(
        backend=f"the function {function.name}", address=function.arn, reason="workshape is closing"
    )


def _start_failed(function: FunctionVersion, error: OSError) -> EnvironmentStartFailed:
    return EnvironmentStartFailed(function=function.name, reason=str(error))
