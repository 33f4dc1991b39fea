"""What Lambda is made of, as values: functions, invocations, results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

import msgspec

from workshape.functions.images.model import ImageProcess
from workshape.functions.invocation_trace import InvocationTrace
from workshape.functions.log_level import LogLevel

FunctionName = NewType("FunctionName", str)
EnvironmentId = NewType("EnvironmentId", int)
RequestId = NewType("RequestId", str)

LATEST = "$LATEST"


class InitializationType(StrEnum):
    """Why an environment was started; functions see it as AWS_LAMBDA_INITIALIZATION_TYPE."""

    ON_DEMAND = "on-demand"
    PROVISIONED = "provisioned-concurrency"
    SNAP_START = "snap-start"


class LogFormat(StrEnum):
    """How a function's log lines are written."""

    TEXT = "Text"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """One runnable version of a function: all that an execution environment needs to know.

    Two values with the same `revision` may share environments; a new revision (changed code or
    configuration) replaces them.
    """

    name: FunctionName
    version: str
    """`$LATEST` or a number."""
    arn: str
    """The function's ARN, without a qualifier."""
    runtime: str
    """`python3.12`, `nodejs22.x`: an identifier of Lambda's."""
    handler: str
    code_folder: str
    """Absolute path of the unpacked code: LAMBDA_TASK_ROOT."""
    memory_mb: int
    timeout_s: int
    revision: str
    environment: Mapping[str, str] = field(default_factory=dict)
    ephemeral_storage_mb: int = 512
    log_format: LogFormat = LogFormat.TEXT
    log_group: str = ""
    """The CloudWatch log group that it writes to; empty: its own."""
    opt_folder: str = ""
    """Absolute path of what its environments see as /opt: its layers, merged; empty without any."""
    snap_start: bool = False
    """Its environments may begin from one that is initialised already. Never so for `$LATEST`."""
    log_level: LogLevel | None = None
    """The least level of its own lines that it wants in its log; None where it logs as text."""
    system_log_level: LogLevel | None = None
    """The least level of the platform's lines that it wants in its log; None where it logs as text: all of them."""
    traces_actively: bool = False
    """Its invocations are traced even when their callers have not decided so."""
    image: ImageProcess | None = None
    """Of package type Image: `code_folder` is the image's root folder then."""

    @property
    def initialization_type(self) -> InitializationType:
        """How its environments start on demand."""
        return InitializationType.SNAP_START if self.snap_start else InitializationType.ON_DEMAND


class InvocationRequest(msgspec.Struct, frozen=True):
    """What a caller asks for: which function is to be run, and with what."""

    name: str
    """In any of its forms."""
    qualifier: str | None
    payload: bytes
    trigger: str
    """`api`, `sqs`, `http` ...: who asks."""
    request_id: str = ""
    """Empty: one is made up, and so with `trace_id`."""
    client_context: str = ""
    """JSON text, already base64-decoded; empty when there is none."""
    trace_id: str = ""
    """X-Ray trace header."""
    log_tail: bool = False
    """The caller wants the last 4 KiB of the log in the result."""

    def __repr__(self) -> str:
        return f"<InvocationRequest {self.name} trigger={self.trigger}>"


class Invocation(msgspec.Struct, frozen=True):
    """One event on its way to a function."""

    request_id: RequestId
    payload: bytes
    invoked_arn: str
    """As the caller named it: with the qualifier it used, if any."""
    client_context: str = ""
    """JSON text, already base64-decoded; empty when there is none."""
    trace_id: str = ""
    """X-Ray trace header."""
    trace: InvocationTrace | None = None
    """Takes the invocation's spans, when it is traced."""
    log_tail: bool = False
    """The caller wants the last 4 KiB of the log in the result."""

    def __repr__(self) -> str:
        return f"<Invocation {self.request_id} of {self.invoked_arn}>"


class InvocationResult(msgspec.Struct, frozen=True):
    """How an invocation ended. A function that failed is a result, not an exception."""

    request_id: RequestId
    payload: bytes
    """What the function returned, or Lambda's error object when `function_error` is set."""
    executed_version: str
    function_error: str | None = None
    """None, or `Unhandled`: the X-Amz-Function-Error header."""
    error_type: str = ""
    """What failed, as in the payload or as the runtime named it beside: `ValueError`, `Runtime.ExitError`."""
    log_tail: bytes = b""

    def __repr__(self) -> str:
        return f"<InvocationResult {self.request_id} function_error={self.function_error}>"
