"""Lambda's Runtime API, version 2018-06-01: how an environment fetches its invocations and hands back results.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and the OpenAPI document it links to
(https://docs.aws.amazon.com/lambda/latest/dg/samples/runtime-api.zip)
"""

import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from workshape.functions.launch.peer import peer_user
from workshape.functions.limits import MIB, SYNC_PAYLOAD_BYTES_MAX
from workshape.functions.model import EnvironmentId, Invocation, RequestId
from workshape.http1.message import HeaderPairs, LateResponse, Request, Response
from workshape.http1.server import HttpServer, Limits, serve_socket

RESPONSE_BYTES_MAX = SYNC_PAYLOAD_BYTES_MAX + 100
"""AWS: undocumented; its own refusal says "Exceeded maximum allowed payload size (6291556 bytes)"."""
_RESPONSE_LIMIT = f"maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
_RUNTIME = "/2018-06-01/runtime/"
_NEXT = _RUNTIME + "invocation/next"
_INIT_ERROR = _RUNTIME + "init/error"
_INVOCATION = _RUNTIME + "invocation/"
# Judging an over-size response is this module's, so the server lets through what is plainly one and no more.
_LIMITS = Limits(body_bytes_max=64 * MIB, header_bytes_max=2 * MIB)  # awslambdaric sends causes of up to 1 MiB
_CONNECTIONS_WAITING_MAX = 128  # a runtime has two at most, its extensions one each
_log = logging.getLogger(__name__)
_JSON = (("content-type", "application/json"),)
_ACCEPTED = Response(202, _JSON, b'{"status":"OK"}\n')


@dataclass(frozen=True, slots=True)
class RuntimeCallbacks:
    """What the API tells its owner. Plain callables: they run inside the request and must not block."""

    ready: Callable[[EnvironmentId], None]
    """GET next arrived: the first one ends the init phase, later ones say that the environment is idle again."""
    responded: Callable[[EnvironmentId, RequestId, bytes], None]
    failed: Callable[[EnvironmentId, RequestId, bytes, str], None]
    """The error's JSON body, and its Lambda-Runtime-Function-Error-Type (may be empty)."""
    init_failed: Callable[[EnvironmentId, bytes, str], None]


class RuntimeApi:
    """One TCP listener for each execution environment, so that nothing but the listener tells who speaks."""

    def __init__(self, callbacks: RuntimeCallbacks) -> None:
        self._callbacks = callbacks
        self._listeners: dict[EnvironmentId, _Listener] = {}

    def __repr__(self) -> str:
        return f"<RuntimeApi environments={len(self._listeners)}>"

    async def open(self, environment: EnvironmentId) -> str:
        """Reserve an address for an environment; return its AWS_LAMBDA_RUNTIME_API (`127.0.0.1:PORT`).

        Whoever connects waits until `admit` has said who may.
        """
        assert environment not in self._listeners, "opened twice"
        listening = socket.create_server(("127.0.0.1", 0), backlog=_CONNECTIONS_WAITING_MAX)
        host, port = listening.getsockname()
        self._listeners[environment] = _Listener(_Environment(environment, self._callbacks), listening)
        return f"{host}:{port}"

    async def admit(
        self, environment: EnvironmentId, *, user: int = -1, connection: socket.socket | None = None
    ) -> None:
        """Serve an environment, to processes of `user` only (-1: to anyone), and over the connection it has, if any."""
        listener = self._listeners.get(environment)
        if listener is None:
            if connection is not None:
                connection.close()
            return
        admits = _only(user) if user >= 0 else None
        server = await serve_socket(listener.state.handle, listener.listening, _LIMITS, admits=admits)
        listener.server = server
        if connection is not None:
            await server.adopt(connection)

    async def close(self, environment: EnvironmentId) -> None:
        """Stop listening; a pending GET next is dropped. Closing what is not open does nothing."""
        listener = self._listeners.pop(environment, None)
        if listener is not None:
            listener.state.closed()
            if listener.server is not None:
                await listener.server.close()
            listener.listening.close()

    def dispatch(self, environment: EnvironmentId, invocation: Invocation, deadline_ms: int) -> None:
        """Give an idle environment its next invocation; `deadline_ms` is Unix time in milliseconds.

        Should its runtime have gone away while it waited, the invocation is kept for its next GET next.
        """
        self._listeners[environment].state.dispatch(invocation, deadline_ms)


@dataclass(slots=True)
class _Listener:
    state: "_Environment"
    listening: socket.socket
    server: HttpServer | None = None


def _only(user: int) -> Callable[[socket.socket], bool]:
    def admits(connection: socket.socket) -> bool:
        found = peer_user(connection)
        if found != user:
            _log.warning("runtime_api_stranger", extra={"user": found, "expected": user})
        return found == user

    return admits


class _State(Enum):
    """Where the runtime of one environment stands. The values appear in AWS's refusals."""

    INIT = "RuntimeInitState"
    READY = "RuntimeReadyState"
    RUNNING = "RuntimeRunningState"
    ANSWERED = "RuntimeResponseSentState"
    FAILED = "RuntimeInitErrorState"
    CLOSED = "RuntimeClosedState"


class _Environment:
    """One runtime's conversation. Every request is checked against the state and, if it names one, the request id."""

    def __init__(self, environment: EnvironmentId, callbacks: RuntimeCallbacks) -> None:
        self._environment = environment
        self._callbacks = callbacks
        self._state = _State.INIT
        self._request_id = RequestId("")
        self._poll: LateResponse | None = None
        self._undelivered: Response | None = None

    def __repr__(self) -> str:
        return f"<runtime of environment {self._environment} {self._state.name}>"

    def handle(self, request: Request) -> Response | LateResponse:
        target = request.target
        if request.method == "POST" and target.startswith(_INVOCATION):
            request_id, _, verb = target[len(_INVOCATION) :].partition("/")
            if verb == "response":
                return self._respond(RequestId(request_id), request)
            if verb == "error":
                return self._fail(RequestId(request_id), request)
        elif request.method == "GET" and target == _NEXT:
            return self._next()
        elif request.method == "POST" and target == _INIT_ERROR:
            return self._init_error(request)
        return _error(404, "NotFound", f"no such operation: {request.method} {request.raw_path}")

    def dispatch(self, invocation: Invocation, deadline_ms: int) -> None:
        assert self._state is _State.READY, f"{self!r} cannot take an invocation"
        self._state = _State.RUNNING
        self._request_id = invocation.request_id
        event = _event(invocation, deadline_ms)
        poll, self._poll = self._poll, None
        if poll is None or not poll.give(event):
            self._undelivered = event

    def closed(self) -> None:
        self._state = _State.CLOSED
        self._poll = None

    def _next(self) -> Response | LateResponse:
        if self._state is _State.RUNNING:
            event, self._undelivered = self._undelivered, None
            return event or self._refuse_transition("Ready")
        if self._state not in (_State.INIT, _State.READY, _State.ANSWERED):
            return self._refuse_transition("Ready")
        if self._poll is not None:
            # Whoever asks last gets the invocation; an older poll is a lost connection's, or a confused runtime's.
            self._poll.give(self._refuse_transition("Ready"))
        self._poll = poll = LateResponse()
        if self._state is not _State.READY:
            self._state = _State.READY
            self._callbacks.ready(self._environment)
        return poll

    def _respond(self, request_id: RequestId, request: Request) -> Response:
        refusal = self._judge(request_id, "InvocationResponse")
        if refusal is not None:
            return refusal
        self._state = _State.ANSWERED
        if len(request.body) <= RESPONSE_BYTES_MAX:
            self._callbacks.responded(self._environment, request_id, request.body)
            return _ACCEPTED
        error_type = "Function.ResponseSizeTooLarge"
        body = _error_json(error_type, f"Response payload size exceeded {_RESPONSE_LIMIT}")
        self._callbacks.failed(self._environment, request_id, body, error_type)
        return _error(413, "RequestEntityTooLarge", f"Exceeded {_RESPONSE_LIMIT}")

    def _fail(self, request_id: RequestId, request: Request) -> Response:
        refusal = self._judge(request_id, "InvocationErrorResponse")
        if refusal is not None:
            return refusal
        self._state = _State.ANSWERED
        error_type = request.header("lambda-runtime-function-error-type")
        self._callbacks.failed(self._environment, request_id, request.body, error_type)
        return _ACCEPTED

    def _init_error(self, request: Request) -> Response:
        if self._state is not _State.INIT:
            return self._refuse_transition("InitError")
        self._state = _State.FAILED
        error_type = request.header("lambda-runtime-function-error-type")
        self._callbacks.init_failed(self._environment, request.body, error_type)
        return _ACCEPTED

    def _judge(self, request_id: RequestId, transition: str) -> Response | None:
        # AWS: the OpenAPI document has 400 and 403 without saying which is for what; we chose 400 for an id that
        # names no invocation of this environment, 403 for one that is over.
        if request_id != self._request_id:
            return _error(400, "InvalidRequestID", "Invalid request ID")
        if self._state is not _State.RUNNING or self._undelivered is not None:
            return self._refuse_transition(transition)
        return None

    def _refuse_transition(self, transition: str) -> Response:
        return _error(
            403,
            "InvalidStateTransition",
            f"State transition from {self._state.value} to {transition} failed for runtime. "
            "Error: State transition is not allowed",
        )


def _event(invocation: Invocation, deadline_ms: int) -> Response:
    headers: HeaderPairs = (
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
        ("Lambda-Runtime-Deadline-Ms", str(deadline_ms)),
        ("Lambda-Runtime-Invoked-Function-Arn", invocation.invoked_arn),
    )
    if invocation.trace_id:
        headers += (("Lambda-Runtime-Trace-Id", invocation.trace_id),)
    if invocation.client_context:
        headers += (("Lambda-Runtime-Client-Context", _header_value(invocation.client_context)),)
    return Response(200, headers, invocation.payload)


def _header_value(text: str) -> str:
    """Put JSON text on one line of ASCII, as a header needs it; what is not JSON loses what a header cannot hold."""
    if text.isascii() and text.isprintable():
        return text
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return (
            "".join(character if character.isprintable() else " " for character in text)
            .encode("utf-8")
            .decode("latin-1")
        )


def _error(status: int, error_type: str, message: str) -> Response:
    return Response(status, _JSON, _error_json(error_type, message) + b"\n")


def _error_json(error_type: str, message: str) -> bytes:
    return json.dumps({"errorMessage": message, "errorType": error_type}, separators=(",", ":")).encode()
