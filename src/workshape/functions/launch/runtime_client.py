"""workshape's Runtime API client for Python >= 3.10, without dependencies: `python -u runtime_client.py HANDLER`.

It serves where AWS's own client (awslambdaric) cannot be had: other interpreters than workshape's, and macOS. It
imports nothing of workshape, since functions must not find workshape's packages beside their code.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html,
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html,
https://docs.aws.amazon.com/lambda/latest/dg/python-context.html, https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
"""

import decimal
import importlib
import json
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any

API = "/2018-06-01/runtime/"
_LOG_DESCRIPTOR = "_LAMBDA_TELEMETRY_LOG_FD"
_FRAME = b"\xa5\x5a\x00\x03"
_request_id = ""
_is_framed = False


class Fault(Exception):
    """The function cannot be run as it is: `kind` is the errorType Lambda has for it."""

    def __init__(self, kind: str, message: str, trace: "list[str] | None" = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace or []


class Platform:
    """The one connection to the platform."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._host = address
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def next(self) -> "tuple[dict[str, str], bytes]":
        """Wait, without limit, for the next invocation; return its headers and event."""
        status, headers, body = self._exchange("GET", "invocation/next", {}, b"")
        if status != 200:
            raise ConnectionError(f"GET next was answered {status}: {body.decode(errors='replace')}")
        return headers, body

    def restore(self) -> None:
        """Tell that a snapshot may be taken; return in an environment that has been restored from it."""
        status, _, body = self._exchange("GET", "restore/next", {}, b"")
        if status != 200:
            raise ConnectionError(f"GET restore/next was answered {status}: {body.decode(errors='replace')}")

    def post(self, target: str, body: bytes, error_type: str = "") -> None:
        """Hand something back to the platform."""
        headers = {"Content-Type": "application/json"}
        if error_type:
            headers["Lambda-Runtime-Function-Error-Type"] = error_type.encode("ascii", "replace").decode()
        status, _, answer = self._exchange("POST", target, headers, body)
        if status != 202:
            raise ConnectionError(f"{target} was refused with {status}: {answer.decode(errors='replace')}")

    def _exchange(
        self, method: str, target: str, headers: "dict[str, str]", body: bytes
    ) -> "tuple[int, dict[str, str], bytes]":
        lines = [f"{method} {API}{target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self._answer()

    def _answer(self) -> "tuple[int, dict[str, str], bytes]":
        while b"\r\n\r\n" not in self._received:
            self._received += self._receive()
        head, _, rest = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        parts = [rest]
        missing = length - len(rest)
        while missing > 0:
            parts.append(self._receive())
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self._received = whole[length:]
        return int(first.split()[1]), headers, whole[:length]

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the platform has closed the connection")
        return data


class Context:
    """What a handler gets beside its event."""

    def __init__(self, headers: "dict[str, str]") -> None:
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.client_context = _client_context(headers.get("lambda-runtime-client-context"))
        identity = _json_header(headers.get("lambda-runtime-cognito-identity")) or {}
        self.identity = SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        )
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left before the invocation times out; never negative."""
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log."""
        sys.stdout.write(str(message))


def _client_context(text: "str | None") -> "SimpleNamespace | None":
    fields = _json_header(text)
    if fields is None:
        return None
    client = fields.get("client")
    names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
    return SimpleNamespace(
        custom=fields.get("custom"),
        env=fields.get("env"),
        client=SimpleNamespace(**{name: client.get(name) for name in names}) if isinstance(client, dict) else None,
    )


def _json_header(text: "str | None") -> Any:
    return json.loads(text.encode("latin-1")) if text else None


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = _request_id
        return True


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": _request_id,
        }
        if record.exc_info and record.exc_info[0] is not None:
            event["errorType"] = record.exc_info[0].__name__
            event["errorMessage"] = str(record.exc_info[1])
            event["stackTrace"] = traceback.format_tb(record.exc_info[2])
        return json.dumps(event, default=str) + "\n"


class _Standard(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _write(self.format(record))


def _write(text: str) -> None:
    """Write one event of the log; it may have several lines where whoever reads it knows frames."""
    if not _is_framed:
        sys.stdout.write(text)
        return
    message = text.encode(errors="replace")
    header = _FRAME + len(message).to_bytes(4, "big") + (time.time_ns() // 1000).to_bytes(8, "big")
    with open(1, "wb", closefd=False) as output:
        output.write(header + message)


def _set_up_logging() -> None:
    handler = _Standard()
    handler.addFilter(_RequestIdFilter())
    if _logs_json():
        handler.setFormatter(_JsonFormatter())
    else:
        text = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        formatter = logging.Formatter(text, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
    if level in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
        root.setLevel(level)


def _logs_json() -> bool:
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def _load(name: str) -> "Callable[[Any, Context], Any]":
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace) from error
    try:
        handler: Callable[[Any, Context], Any] = getattr(module, function_name)
    except AttributeError as error:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from error
    return handler


def _error(error: BaseException) -> "dict[str, Any]":
    """Describe a failure in Lambda's shape; our own frames are left out."""
    if isinstance(error, Fault):
        return {
            "errorMessage": str(error),
            "errorType": error.kind,
            "requestId": _request_id,
            "stackTrace": error.trace,
        }
    # As AWS's client has them: without what later versions of Python tell of a frame, the marks below a line.
    frames = [
        traceback.FrameSummary(frame.filename, frame.lineno, frame.name, line=frame.line)
        for frame in traceback.extract_tb(_users_part(error.__traceback__))
        if frame.filename
    ]
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": _request_id,
        "stackTrace": traceback.format_list(frames),
    }


def _users_part(trace: "TracebackType | None") -> "TracebackType | None":
    while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, importlib.__file__):
        trace = trace.tb_next
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
        trace = trace.tb_next
    return trace


def _log_error(error: "dict[str, Any]") -> None:
    if _logs_json():
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        _write(json.dumps({"timestamp": stamp, "level": "ERROR", **error}) + "\n")
        return
    lines = [f"[ERROR] {error['errorType']}: {error['errorMessage']}", "Traceback (most recent call last):"]
    lines += [line for entry in error["stackTrace"] for line in entry.splitlines()]
    _write("\n".join(lines) + "\n")


def _marshal(value: object) -> bytes:
    def number(item: object) -> float:
        if isinstance(item, decimal.Decimal):
            return float(item)
        raise TypeError(f"Object of type {type(item).__name__} is not JSON serializable")

    try:
        return json.dumps(value, ensure_ascii=False, default=number).encode()
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def _unmarshal(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error


def _serve_one(platform: Platform, handler: "Callable[[Any, Context], Any]") -> None:
    global _request_id  # noqa: PLW0603 - the log filter needs it, and there is one invocation at a time
    headers, body = platform.next()
    _request_id = headers["lambda-runtime-aws-request-id"]
    if "lambda-runtime-trace-id" in headers:
        os.environ["_X_AMZN_TRACE_ID"] = headers["lambda-runtime-trace-id"]
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        result = _marshal(handler(_unmarshal(body), Context(headers)))
    except Exception as failure:  # noqa: BLE001 - whatever the function raises is its result
        error = _error(failure)
        _log_error(error)
        platform.post(f"invocation/{_request_id}/error", json.dumps(error).encode(), error["errorType"])
    else:
        platform.post(f"invocation/{_request_id}/response", result)


def _restore(platform: Platform) -> None:
    """Do what the function has registered to be done before a snapshot, and what after a restore from it."""
    try:
        for function, arguments, named in reversed(_hooks("get_before_snapshot")):
            function(*arguments, **named)
        platform.restore()
    except BaseException as failure:  # noqa: BLE001 - an exit counts as a failure, too
        _fail("init/error", "Runtime.BeforeSnapshotError", platform, failure)
        sys.exit(64)
    try:
        for function, arguments, named in _hooks("get_after_restore"):
            function(*arguments, **named)
    except BaseException as failure:  # noqa: BLE001 - an exit counts as a failure, too
        _fail("restore/error", "Runtime.AfterRestoreError", platform, failure)
        sys.exit(65)


def _hooks(name: str) -> "list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]":
    """List what is registered with AWS's library of that, which a function finds beside its code or brings."""
    library = sys.modules.get("snapshot_restore_py")
    return list(getattr(library, name)()) if library is not None else []


def _fail(target: str, error_type: str, platform: Platform, failure: BaseException) -> None:
    error = _error(failure)
    _log_error(error)
    platform.post(target, json.dumps(error).encode(), error_type)


def main() -> None:
    """Load the handler, then serve invocations until the platform ends us."""
    # Python put this file's folder first; on Lambda it is the function's.
    sys.path[0] = os.environ.get("LAMBDA_TASK_ROOT", os.getcwd())
    global _is_framed  # noqa: PLW0603 - said once, before anything is logged
    _is_framed = os.environ.pop(_LOG_DESCRIPTOR, None) is not None
    platform = Platform(os.environ["AWS_LAMBDA_RUNTIME_API"])
    _set_up_logging()
    try:
        handler = _load(sys.argv[1])
    except Exception as failure:  # noqa: BLE001 - whatever importing the function's module raises is an init error
        error = _error(failure)
        _log_error(error)
        platform.post("init/error", json.dumps(error).encode(), error["errorType"])
        sys.exit(1)
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        _restore(platform)
    while True:
        _serve_one(platform, handler)


if __name__ == "__main__":
    main()
