"""The lines Lambda itself writes around an invocation, as text or as JSON.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html (START, END, REPORT, INIT_REPORT)
Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html (the JSON events)
Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html (which at level INFO)
Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-monitoring.html (the durations of a restore)
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from workshape.functions.log_level import LogLevel
from workshape.functions.model import FunctionName, FunctionVersion, InitializationType, LogFormat, RequestId
from workshape.iso_time import iso_milliseconds

OWN_GROUP_PREFIX = "/aws/lambda/"
_RUNTIME = re.compile(r"([a-z]+)(?:\.(al\d+)|(\d[a-z0-9.]*?)(?:\.x)?)")
SUCCESS = "success"
ERROR = "error"
TIMEOUT = "timeout"


class Report(msgspec.Struct, frozen=True):
    """How an invocation went."""

    request: RequestId
    status: str
    """`success`, `error`, `timeout`."""
    error_type: str | None
    crashed: bool
    """The platform ended it, not the function: only then does the text format name a status."""
    duration_ms: float
    billed_ms: int
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None
    """Of the init phase before it, on an environment's first invocation."""
    restore_ms: float | None = None
    """With SnapStart, of the restore before it."""
    billed_restore_ms: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """In the words of the JSON events."""
        metrics = {
            "durationMs": round(self.duration_ms, 3),
            "billedDurationMs": self.billed_ms,
            "memorySizeMB": self.memory_mb,
            "maxMemoryUsedMB": self.max_memory_mb,
        }
        if self.init_ms is not None:
            metrics["initDurationMs"] = round(self.init_ms, 3)
        if self.restore_ms is not None:
            metrics["restoreDurationMs"] = round(self.restore_ms, 3)
        return metrics


class RestoreReport(msgspec.Struct, frozen=True):
    """How a restore went (SnapStart)."""

    status: str
    error_type: str | None
    duration_ms: float


class InitReport(msgspec.Struct, frozen=True):
    """How an init phase went; one that succeeds is not reported on its own, but before a snapshot."""

    phase: str
    """`init`, or `invoke` for the second attempt."""
    status: str
    error_type: str | None
    duration_ms: float
    initialization_type: InitializationType = InitializationType.ON_DEMAND


def level_of(status: str) -> LogLevel:
    """The level of a line about something that has ended so, as AWS assigns it: what went wrong is a warning."""
    return LogLevel.INFO if status == SUCCESS else LogLevel.WARN


def own_log_group(name: FunctionName) -> str:
    """Name the CloudWatch log group that a function has unless it is configured to have another."""
    return f"{OWN_GROUP_PREFIX}{name}"


def log_stream(function: FunctionVersion, at: float, unique: str) -> str:
    """Name an environment's log stream: `2026/10/08/[$LATEST]22be53a8cfde4e68b844f8ec293b2543`.

    In a group that several functions may share: `2026/10/08/NAME[$LATEST][22be53a8cfde4e68b844f8ec293b2543]`.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    day = f"{datetime.fromtimestamp(at, UTC):%Y/%m/%d}"
    if function.log_group:
        return f"{day}/{function.name}[{function.version}][{unique}]"
    return f"{day}/[{function.version}]{unique}"


def init_start_line(function: FunctionVersion) -> bytes:
    """Write the line that opens an init phase; empty: the function's log has none.

    The runtime is this machine's, so that its version says no more than its name does; JSON has the event at DEBUG.
    AWS: undocumented what the line says of an image; we write none.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/runtime-management-identify.html
    """
    runtime = _RUNTIME.fullmatch(function.runtime)
    if runtime is None or function.image is not None or function.log_format is not LogFormat.TEXT:
        return b""
    owner, _, _ = function.arn.partition(":function:")
    number = hashlib.sha256(function.runtime.encode()).hexdigest()
    arn = f"{owner.rpartition(':')[0]}::runtime:{number}"
    version = f"{runtime[1]}:{runtime[2] or runtime[3]}.v1"
    return f"INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}".encode()


def start_line(function: FunctionVersion, request: RequestId, at: float) -> bytes:
    """Write the line that opens an invocation."""
    if function.log_format is LogFormat.TEXT:
        return f"START RequestId: {request} Version: {function.version}".encode()
    return _event(at, "platform.start", {"requestId": request, "version": function.version})


def end_lines(function: FunctionVersion, report: Report, at: float) -> list[bytes]:
    """Write the lines that close an invocation."""
    if function.log_format is LogFormat.TEXT:
        return [f"END RequestId: {report.request}".encode(), _report_text(report).encode()]
    record: dict[str, Any] = {"requestId": report.request, "metrics": report.metrics, "status": report.status}
    if report.status == ERROR:
        record["errorType"] = report.error_type
    return [_event(at, "platform.report", record)]


def init_report_line(function: FunctionVersion, report: InitReport, at: float) -> bytes:
    """Write the line about an init phase that failed, or came before a snapshot.

    AWS: undocumented what the text says of one that went well; seen in logs of SnapStart is the duration alone.
    """
    if function.log_format is LogFormat.TEXT:
        text = f"INIT_REPORT Init Duration: {report.duration_ms:.2f} ms"
        if report.status != SUCCESS:
            text += f"\tPhase: {report.phase}"
        return f"{text}{_status_text(report.status, report.error_type)}".encode()
    record: dict[str, Any] = {
        "initializationType": report.initialization_type,
        "phase": report.phase,
        "status": report.status,
    }
    if report.status == ERROR:
        record["errorType"] = report.error_type
    record["metrics"] = {"durationMs": round(report.duration_ms, 3)}
    return _event(at, "platform.initReport", record)


def restore_report_line(function: FunctionVersion, report: RestoreReport, at: float) -> bytes:
    """Write the line about a restore."""
    if function.log_format is LogFormat.TEXT:
        text = f"RESTORE_REPORT Restore Duration: {report.duration_ms:.2f} ms"
        return f"{text}{_status_text(report.status, report.error_type)}".encode()
    record: dict[str, Any] = {"status": report.status}
    if report.status == ERROR:
        record["errorType"] = report.error_type
    record["metrics"] = {"durationMs": round(report.duration_ms, 3)}
    return _event(at, "platform.restoreReport", record)


def extension_line(
    function: FunctionVersion, name: str, state: str, events: Sequence[str], error_type: str, at: float
) -> bytes:
    """Write the line about an extension."""
    if function.log_format is LogFormat.TEXT:
        text = f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]"
        return (f"{text}\tError Type: {error_type}" if error_type else text).encode()
    record: dict[str, Any] = {"name": name, "state": state, "events": events}
    if error_type:
        record["errorType"] = error_type
    return _event(at, "platform.extension", record)


def _report_text(report: Report) -> str:
    text = (
        f"REPORT RequestId: {report.request}\tDuration: {report.duration_ms:.2f} ms\t"
        f"Billed Duration: {report.billed_ms} ms\tMemory Size: {report.memory_mb} MB\t"
        f"Max Memory Used: {report.max_memory_mb} MB\t"
    )
    if report.init_ms is not None:
        text += f"Init Duration: {report.init_ms:.2f} ms\t"
    if report.restore_ms is not None:
        text += f"Restore Duration: {report.restore_ms:.2f} ms\t"
        text += f"Billed Restore Duration: {report.billed_restore_ms} ms\t"
    if report.status == TIMEOUT:
        text += "Status: timeout"
    elif report.crashed:
        text += f"Status: error\tError Type: {report.error_type}"
    return text


def _status_text(status: str, error_type: str | None) -> str:
    if status == SUCCESS:
        return ""
    return f"\tStatus: {status}\tError Type: {error_type}" if status == ERROR else f"\tStatus: {status}"


def _event(at: float, kind: str, record: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"time": iso_milliseconds(at), "type": kind, "record": record})
