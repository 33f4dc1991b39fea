"""What callers get when a function did not answer, in Lambda's shapes and words.

The wording is AWS's as observed in public logs of 2025 and 2026; the documentation names the error types only.
A response that is too large is judged where it arrives: `runtime_api.py`.

Source: https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

import msgspec

from workshape.functions.model import RequestId

UNHANDLED = "Unhandled"
TIMED_OUT = "Sandbox.Timedout"
EXIT_ERROR = "Runtime.ExitError"
UNKNOWN_ERROR = "Runtime.Unknown"


class _Error(msgspec.Struct, rename="camel", frozen=True):
    error_type: str = ""
    error_message: str = ""


def timed_out(request: RequestId, timeout_s: float) -> bytes:
    """Say that the function's timeout ended the invocation."""
    return _encode(TIMED_OUT, f"RequestId: {request} Error: Task timed out after {timeout_s:.2f} seconds")


def exited(request: RequestId, how: str) -> bytes:
    """Say that the runtime's process ended; `how` as in `exit status 1`, `signal: killed`."""
    reason = (
        f"Runtime exited with error: {how}" if how != "exit status 0" else "Runtime exited without providing a reason"
    )
    return _encode(EXIT_ERROR, f"RequestId: {request} Error: {reason}")


def extension_failed(request: RequestId, kind: str, why: str) -> bytes:
    """Say that an extension ended, or reported that it cannot go on."""
    return _encode(kind, f"RequestId: {request} Error: {why}")


def error_type(body: bytes, header: str) -> str:
    """Name the type of an error the runtime reported: its body's `errorType`, else what its header says."""
    try:
        found = msgspec.json.decode(body, type=_Error).error_type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: nested thousands deep
        found = ""
    return found or header or UNKNOWN_ERROR


def _encode(kind: str, message: str) -> bytes:
    return msgspec.json.encode(_Error(kind, message))
