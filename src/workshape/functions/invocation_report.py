"""Turns the end of an invocation into what it leaves behind: a result, log lines, a record."""

from collections.abc import Sequence
from functools import partial
from math import ceil, inf

import msgspec

from workshape.clock import Clock
from workshape.functions import platform_log, results, telemetry_events
from workshape.functions.actions import Outcome
from workshape.functions.extension_sessions import Extension
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.invocation_trace import Moments, Subject
from workshape.functions.launch.extensions import extension_names
from workshape.functions.log_level import LogLevel
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionVersion, InvocationResult
from workshape.functions.records import InvocationRecord, RecordWriter
from workshape.functions.running import RunningEnvironment, RunningInvocation
from workshape.functions.telemetry_delivery import LogDetails, Telemetry


class Ending(msgspec.Struct, frozen=True):
    """How an invocation ended, in the terms of logs and records."""

    body: bytes
    error_type: str | None
    status: str
    """Of the REPORT line."""
    record_status: str
    crashed: bool = False


class Reporter:
    """Writes logs and records of invocations and init phases, and counts them."""

    def __init__(self, logs: FunctionLogs, records: RecordWriter, metrics: FunctionMetrics) -> None:
        self._logs = logs
        self._records = records
        self._metrics = metrics

    def telemetry(self, function: FunctionVersion, stream: str, clock: Clock) -> Telemetry:
        """Make what tells of a new environment; `stream` is its log's."""
        log: LogDetails | None = None
        if function.system_log_level is not None:
            write = partial(self._logs.write, function.name, stream)
            log = LogDetails(function.system_log_level, write)
        return Telemetry(clock, keeps_early=bool(extension_names(function.opt_folder)), log=log)

    def admitted(self, running: RunningInvocation) -> RunningInvocation:
        """Count an invocation in that is to run, and return it."""
        self._metrics.running.admit(running.invocation.invoked_arn, running.function.version)
        return running

    def is_over(self, running: RunningInvocation) -> RunningInvocation:
        """Count an invocation out, and return it."""
        self._metrics.running.release(running.invocation.invoked_arn, running.function.version)
        return running

    def output(self, environment: RunningEnvironment, line: bytes, at: float) -> None:
        """Keep a line the function wrote."""
        environment.telemetry.publish("function", "function", line)
        self._write(environment, (line,), at)

    def extension_output(self, environment: RunningEnvironment, line: bytes, at: float) -> None:
        """Keep a line an external extension wrote."""
        environment.telemetry.publish("extension", "extension", line)
        self._write(environment, (line,), at)

    def _write(self, environment: RunningEnvironment, lines: Sequence[bytes], at: float) -> None:
        self._logs.write_all(environment.function.name, environment.stream, lines, at)
        running = environment.invocation
        if running is not None and running.log_tail is not None:
            running.log_tail.add(lines)

    def began(self, running: RunningInvocation, environment: RunningEnvironment, at: float) -> None:
        """Write START."""
        environment.invocation = running
        if _wants(running.function, LogLevel.INFO):
            line = platform_log.start_line(running.function, running.invocation.request_id, at)
            self._write(environment, (line,), at)
        telemetry_events.invocation_began(running, environment)

    def init_began(self, environment: RunningEnvironment) -> None:
        """Write INIT_START, and tell extensions."""
        telemetry_events.init_began(environment)
        function, at = environment.function, environment.wall_started_at
        if not environment.snap_start and (line := platform_log.init_start_line(function)):
            self._logs.write(function.name, environment.stream, line, at)

    def init_ended_well(self, environment: RunningEnvironment, now: float, at: float) -> None:
        """Tell extensions; logs have an init phase with the first invocation, a restore at once."""
        telemetry_events.init_ended(environment, platform_log.SUCCESS, None, now)
        environment.telemetry.init_ended()
        if environment.snap_start:
            self._restore_ended(environment, platform_log.SUCCESS, None, now, at)
        elif environment.is_snapshot or environment.provisioned:
            self._init_ended(environment, platform_log.SUCCESS, None, now, at)

    def init_ended_badly(
        self, environment: RunningEnvironment, status: str, error_type: str | None, now: float, at: float
    ) -> None:
        """Write INIT_REPORT or RESTORE_REPORT, once for each environment."""
        if environment.init_told or environment.ready_at != inf:
            return
        environment.init_told = True
        telemetry_events.init_ended(environment, status, error_type, now)
        if environment.snap_start:
            self._restore_ended(environment, status, error_type, now, at)
        else:
            self._init_ended(environment, status, error_type, now, at)

    def _init_ended(
        self, environment: RunningEnvironment, status: str, error_type: str | None, now: float, at: float
    ) -> None:
        phase = "invoke" if environment.retried else "init"
        duration_ms, kind = (now - environment.started_at) * 1_000, environment.initialization_type
        report = platform_log.InitReport(phase, status, error_type, duration_ms, kind)
        if _wants(environment.function, platform_log.level_of(status)):
            line = platform_log.init_report_line(environment.function, report, at)
            self._logs.write(environment.function.name, environment.stream, line, at)

    def _restore_ended(
        self, environment: RunningEnvironment, status: str, error_type: str | None, now: float, at: float
    ) -> None:
        report = platform_log.RestoreReport(status, error_type, (now - environment.started_at) * 1_000)
        if _wants(environment.function, platform_log.level_of(status)):
            line = platform_log.restore_report_line(environment.function, report, at)
            self._logs.write(environment.function.name, environment.stream, line, at)

    def ended(
        self, running: RunningInvocation, environment: RunningEnvironment, ending: Ending, now: float, at: float
    ) -> None:
        """Write END, REPORT and the record."""
        function = running.function
        if environment.invocation is not running:
            self.began(running, environment, at)  # it ended in the init phase: START comes late, but it comes
        duration_ms = (now - running.started_at) * 1_000
        if ending.status == platform_log.TIMEOUT:
            duration_ms = function.timeout_s * 1_000.0
        init_ms = environment.take_init_ms()
        # A second init phase runs inside the invocation's own time: it is in its duration, and not billed twice.
        apart_ms = init_ms if environment.ready_at <= running.started_at else None
        is_restored = environment.snap_start and apart_ms is not None
        billed_restore_ms = (environment.billed_restore_ms or 0) if is_restored else 0
        # The init phase is billed since 2025-08-01; of a restore, what the function does after it.
        billed_apart_ms = 0.0 if is_restored else apart_ms or 0.0
        report = platform_log.Report(
            request=running.invocation.request_id,
            status=ending.status,
            error_type=ending.error_type,
            crashed=ending.crashed,
            duration_ms=duration_ms,
            billed_ms=ceil(duration_ms + billed_apart_ms) + billed_restore_ms,
            memory_mb=function.memory_mb,
            max_memory_mb=environment.max_memory_mb,
            init_ms=None if is_restored else apart_ms,
            restore_ms=apart_ms if is_restored else None,
            billed_restore_ms=billed_restore_ms,
        )
        telemetry_events.runtime_done(running, environment, ending.status, ending.error_type, now)
        if _wants(function, platform_log.level_of(ending.status)):
            self._write(environment, platform_log.end_lines(function, report, at), at)
        telemetry_events.invocation_ended(running, environment, report)
        environment.invocation = None
        self._records.add(_record(running, environment, report, ending, init_ms, at))
        came_at = at - (now - running.arrived_at)
        failed = ending.error_type is not None
        arn = running.invocation.invoked_arn
        self._metrics.ended(arn, function.version, came_at, duration_ms, init_ms, failed=failed)
        cold = init_ms is not None and not environment.provisioned
        self._metrics.recent.ended(function.name, at, duration_ms, cold=cold, failed=failed)
        if running.invocation.trace is not None:
            began = max(environment.started_at, running.arrived_at)
            waited = (began, environment.ready_at) if apart_ms is not None and began < environment.ready_at else None
            moments = Moments(running.arrived_at, running.started_at, now, at - now, waited)
            running.invocation.trace.ended(_subject(running), moments, ending.error_type or "")

    def answered(self, running: RunningInvocation, environment: RunningEnvironment, now: float) -> InvocationResult:
        """Return what the caller gets while extensions are still at work; the rest of the log comes without it."""
        ending = ending_of(running, environment, Outcome.SETTLED)
        telemetry_events.runtime_done(running, environment, ending.status, ending.error_type, now)
        return result_of(running, ending)

    def extension(self, environment: RunningEnvironment, extension: Extension, error_type: str, at: float) -> None:
        """Write the line about an extension: at the end of the init phase, or when it fails."""
        state, events = extension.state.value, extension.events
        telemetry_events.extension_told(environment, extension.name, state, events, error_type)
        if _wants(environment.function, LogLevel.WARN if error_type else LogLevel.INFO):
            line = platform_log.extension_line(environment.function, extension.name, state, events, error_type, at)
            self._logs.write(environment.function.name, environment.stream, line, at)

    def start_failed(self, environment: RunningEnvironment, failure: str, at: float) -> None:
        """Write why an environment could not be started. On AWS there is no such thing, and no line for it."""
        if _wants(environment.function, LogLevel.ERROR):
            self._logs.write(environment.function.name, environment.stream, f"workshape: {failure}".encode(), at)

    def failed(self, running: RunningInvocation, status: str, error_type: str, now: float, at: float) -> None:
        """Keep a record of an invocation that failed before an environment had it, and count it."""
        self._metrics.recent.never_began(running.function.name, at)
        self._never_ran(running, status, error_type, now, at)

    def throttled(self, running: RunningInvocation, reason: str, now: float, at: float) -> None:
        """Keep a record of an invocation that was refused, and count it."""
        self._metrics.throttled(running.invocation.invoked_arn, running.function.version, at)
        self._metrics.recent.throttled(running.function.name, at)
        self._never_ran(running, "throttled", reason, now, at)

    def _never_ran(self, running: RunningInvocation, status: str, error_type: str, now: float, at: float) -> None:
        """Keep a record of an invocation that no environment has seen."""
        function = running.function
        if running.invocation.trace is not None:
            moments = Moments(running.arrived_at, now, now, at - now)
            running.invocation.trace.never_ran(_subject(running), moments, error_type)
        self._records.add(
            InvocationRecord(
                time=at,
                function=function.name,
                version=function.version,
                request_id=running.invocation.request_id,
                trigger=running.trigger,
                duration_ms=0.0,
                billed_ms=0,
                memory_mb=function.memory_mb,
                max_memory_mb=0,
                timeout_s=function.timeout_s,
                status=status,
                error_type=error_type,
                request_bytes=len(running.invocation.payload),
                response_bytes=0,
                concurrency=running.concurrency,
                environments=running.environments,
            )
        )


def _wants(function: FunctionVersion, level: LogLevel) -> bool:
    """Tell whether a function's log is to have a line of the platform's that is as detailed as this."""
    return function.system_log_level is None or level >= function.system_log_level


def _subject(running: RunningInvocation) -> Subject:
    function = running.function
    return Subject(function.name, function.version, running.invocation.request_id, running.trigger)


def ending_of(running: RunningInvocation, environment: RunningEnvironment, outcome: Outcome) -> Ending:
    """Tell how an invocation ended that had an environment."""
    request = running.invocation.request_id
    match outcome:
        case Outcome.SETTLED if not running.is_error:
            return Ending(running.body, None, platform_log.SUCCESS, "success")
        case Outcome.SETTLED:
            error_type = results.error_type(running.body, running.error_header)
            return Ending(running.body, error_type, platform_log.ERROR, "error")
        case Outcome.TIMED_OUT:
            body = results.timed_out(request, running.function.timeout_s)
            return Ending(body, results.TIMED_OUT, platform_log.TIMEOUT, "timeout", crashed=True)
        case Outcome.EXITED | Outcome.INIT_EXITED:
            kind = environment.exit_type
            tell = results.exited if kind in results.OF_RUNTIME else results.extension_failed
            body = tell(request, environment.exit, kind)
            record_status = "error" if outcome is Outcome.EXITED else "init_error"
            return Ending(body, kind, platform_log.ERROR, record_status, crashed=True)
        case Outcome.INIT_FAILED:
            error_type = environment.init_error_type
            body = environment.init_error
            if error_type in results.OF_ENTRY_POINT:
                body = results.without_runtime(request, error_type, body)
            return Ending(body, error_type, platform_log.ERROR, "init_error", crashed=True)
        case _:
            raise AssertionError(f"{outcome} is no result of a function")


def result_of(running: RunningInvocation, ending: Ending) -> InvocationResult:
    """Make what the caller gets; its log tail is what has been written so far."""
    return InvocationResult(
        request_id=running.invocation.request_id,
        payload=ending.body,
        executed_version=running.function.version,
        function_error=None if ending.error_type is None else results.UNHANDLED,
        error_type=ending.error_type or "",
        log_tail=b"" if running.log_tail is None else running.log_tail.text,
    )


def _record(
    running: RunningInvocation,
    environment: RunningEnvironment,
    report: platform_log.Report,
    ending: Ending,
    init_ms: float | None,
    at: float,
) -> InvocationRecord:
    function = running.function
    return InvocationRecord(
        time=at - report.duration_ms / 1_000,
        function=function.name,
        version=function.version,
        request_id=report.request,
        environment=environment.id,
        trigger=running.trigger,
        init_ms=None if environment.provisioned else init_ms,  # nobody waited for it
        duration_ms=report.duration_ms,
        billed_ms=report.billed_ms,
        memory_mb=report.memory_mb,
        max_memory_mb=report.max_memory_mb,
        timeout_s=function.timeout_s,
        status=ending.record_status,
        error_type=ending.error_type,
        request_bytes=len(running.invocation.payload),
        response_bytes=len(ending.body) + (running.stream.streamed_bytes if running.stream is not None else 0),
        queued_ms=max(0.0, (running.started_at - running.arrived_at) * 1_000),
        concurrency=running.concurrency,
        environments=running.environments,
        provisioned=environment.provisioned,
    )
