"""What callers get when a function did not answer, in Lambda's shapes and words.

The wording is AWS's as observed in public logs of 2025 and 2026; the documentation names the error types only.
A response that is too large is judged where it arrives: `runtime_api.py`.

Source: https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

import msgspec

from workshape.functions.entry_errors import INVALID_ENTRY_POINT, INVALID_WORKING_DIRECTORY
from workshape.functions.model import RequestId

UNHANDLED = "Unhandled"
TIMED_OUT = "Sandbox.Timedout"
EXIT_ERROR = "Runtime.ExitError"
OUT_OF_MEMORY = "Runtime.OutOfMemory"
OF_RUNTIME = (EXIT_ERROR, OUT_OF_MEMORY)
"""How a runtime's process can end; all others are ends of extensions."""
OF_ENTRY_POINT = (INVALID_ENTRY_POINT, INVALID_WORKING_DIRECTORY)
"""Why there was no runtime at all."""
UNKNOWN_ERROR = "Runtime.Unknown"


class _Error(msgspec.Struct, rename="camel", frozen=True):
    error_type: str = ""
    error_message: str = ""


def timed_out(request: RequestId, timeout_s: float) -> bytes:
    """Say that the function's timeout ended the invocation."""
    return _encode(TIMED_OUT, f"RequestId: {request} Error: Task timed out after {timeout_s:.2f} seconds")


def exited(request: RequestId, how: str, kind: str = EXIT_ERROR) -> bytes:
    """Say that the runtime's process ended; `how` as in `exit status 1`, `signal: killed`."""
    reason = (
        f"Runtime exited with error: {how}" if how != "exit status 0" else "Runtime exited without providing a reason"
    )
    return _encode(kind, f"RequestId: {request} Error: {reason}")


def extension_failed(request: RequestId, why: str, kind: str) -> bytes:
    """Say that an extension ended, or reported that it cannot go on."""
    return _encode(kind, f"RequestId: {request} Error: {why}")


def without_runtime(request: RequestId, kind: str, body: bytes) -> bytes:
    """Say that there was no runtime to be run; `body` says why, and knows of no request."""
    return _encode(kind, f"RequestId: {request} {_read(body).error_message}")


def error_type(body: bytes, header: str) -> str:
    """Name the type of an error the runtime reported: its body's `errorType`, else what its header says."""
    return _read(body).error_type or header or UNKNOWN_ERROR


def _read(body: bytes) -> _Error:
    try:
        return msgspec.json.decode(body, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: nested thousands deep
        return _Error()


def _encode(kind: str, message: str) -> bytes:
    return msgspec.json.encode(_Error(kind, message))
