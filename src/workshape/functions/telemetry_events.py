"""The platform's events about an environment, in the words of the Telemetry API.

Some of them a function that logs in JSON has in its log, too, if it wants such details.

Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html (levels of events)
"""

from collections.abc import Sequence
from typing import Any

from workshape.functions.log_level import LogLevel
from workshape.functions.platform_log import SUCCESS, Report
from workshape.functions.running import RunningEnvironment, RunningInvocation


def init_began(environment: RunningEnvironment) -> None:
    """The init phase, or the restore, has begun."""
    if not environment.telemetry.hears(LogLevel.DEBUG):
        return
    record = {"functionName": environment.function.name, "functionVersion": environment.function.version}
    if environment.snap_start:
        _publish(environment, "restoreStart", record, LogLevel.DEBUG)
    else:
        _publish(environment, "initStart", {**_init(environment), **record}, LogLevel.DEBUG)


def init_ended(environment: RunningEnvironment, status: str, error_type: str | None, now: float) -> None:
    """The init phase, or the restore, has ended, well or badly."""
    level = _level_of_detail(status)
    if not environment.telemetry.hears(level):
        return
    phase = "restore" if environment.snap_start else "init"
    record = {"status": status} if environment.snap_start else {**_init(environment), "status": status}
    if error_type is not None:
        record["errorType"] = error_type
    _publish(environment, f"{phase}RuntimeDone", record, level)
    duration_ms = round((now - environment.started_at) * 1_000, 3)
    # A report that everybody is to see is written beside this.
    is_beside = environment.snap_start or environment.is_snapshot or environment.provisioned
    is_detail = level is LogLevel.DEBUG and not is_beside
    report = {**record, "metrics": {"durationMs": duration_ms}}
    _publish(environment, f"{phase}Report", report, level if is_detail else None)


def invocation_began(running: RunningInvocation, environment: RunningEnvironment) -> None:
    """An invocation has begun."""
    if not environment.telemetry.is_heard:
        return
    record = {"requestId": running.invocation.request_id, "version": running.function.version, **_tracing(running)}
    _publish(environment, "start", record)


def runtime_done(
    running: RunningInvocation, environment: RunningEnvironment, status: str, error_type: str | None, now: float
) -> None:
    """The runtime is done with its invocation; said once, extensions or not."""
    level = _level_of_detail(status)
    if running.is_runtime_done or not environment.telemetry.hears(level):
        return
    running.is_runtime_done = True
    streamed_bytes = running.stream.streamed_bytes if running.stream is not None else 0
    metrics = {
        "durationMs": round((now - running.started_at) * 1_000, 3),
        "producedBytes": len(running.body) + streamed_bytes,
    }
    record = {"requestId": running.invocation.request_id, "status": status, "metrics": metrics, **_tracing(running)}
    if error_type is not None:
        record["errorType"] = error_type
    _publish(environment, "runtimeDone", record, level)


def invocation_ended(running: RunningInvocation, environment: RunningEnvironment, report: Report) -> None:
    """An invocation has ended, extensions included."""
    if not environment.telemetry.is_heard:
        return
    record: dict[str, Any] = {
        "requestId": report.request,
        "status": report.status,
        "metrics": report.metrics,
        **_tracing(running),
    }
    if report.error_type is not None:
        record["errorType"] = report.error_type
    _publish(environment, "report", record)


def extension_told(environment: RunningEnvironment, name: str, state: str, events: Sequence[str], error: str) -> None:
    """An extension is ready, or has failed."""
    record: dict[str, Any] = {"name": name, "state": state, "events": list(events)}
    if error:
        record["errorType"] = error
    _publish(environment, "extension", record)


def _level_of_detail(status: str) -> LogLevel:
    return LogLevel.DEBUG if status == SUCCESS else LogLevel.WARN


def _publish(environment: RunningEnvironment, kind: str, record: dict[str, Any], level: LogLevel | None = None) -> None:
    environment.telemetry.publish("platform", f"platform.{kind}", record, level)


def _init(environment: RunningEnvironment) -> dict[str, Any]:
    kind = environment.initialization_type.value
    return {"initializationType": kind, "phase": "invoke" if environment.retried else "init"}


def _tracing(running: RunningInvocation) -> dict[str, Any]:
    trace_id = running.invocation.trace_id
    return {"tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id}} if trace_id else {}
