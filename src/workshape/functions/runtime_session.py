"""One runtime's side of the Runtime API, version 2018-06-01: a state, and what each request does to it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and the OpenAPI document it links to
(https://docs.aws.amazon.com/lambda/latest/dg/samples/runtime-api.zip),
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-custom.html (restore/next, restore/error)
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from workshape.functions.model import Invocation, RequestId
from workshape.functions.response_arrival import ERROR_TYPE_HEADER, MODE_HEADER, STREAMING, Arrival, Unwanted
from workshape.functions.runtime_answers import (
    ACCEPTED,
    RESPONSE_BYTES_MAX,
    error_json,
    refusal,
    refuse_transition,
    response_too_large,
)
from workshape.http1.message import BodySink, Flow, HeaderPairs, LateResponse, Request, Response
from workshape.http1.pieces import Pieces

RUNTIME_PATH = "/2018-06-01/runtime/"
TRUNCATED_RESPONSE = "Runtime.TruncatedResponse"
"""AWS: undocumented; a streamed response broke off, and its runtime went on."""
_NEXT = RUNTIME_PATH + "invocation/next"
_INIT_ERROR = RUNTIME_PATH + "init/error"
_INVOCATION = RUNTIME_PATH + "invocation/"
_RESTORE_NEXT = RUNTIME_PATH + "restore/next"
_RESTORE_ERROR = RUNTIME_PATH + "restore/error"
_RESTORED = Response(200)


class RuntimeState(Enum):
    """Where a runtime stands. The values appear in AWS's refusals, but for the last but two: AWS shows none there."""

    INIT = "RuntimeInitState"
    RESTORING = "RuntimeRestoringState"
    """It is as its snapshot has it, and does what it has to do after the restore."""
    READY = "RuntimeReadyState"
    RUNNING = "RuntimeRunningState"
    STREAMING = "RuntimeResponseStreamingState"
    """A streamed response has begun and has not ended."""
    TORN = "RuntimeResponseTornState"
    """Its connection broke before its end. The runtime may have died, or it goes on."""
    ANSWERED = "RuntimeResponseSentState"
    FAILED = "RuntimeInitErrorState"
    CLOSED = "RuntimeClosedState"


_S = RuntimeState


@dataclass(frozen=True, slots=True)
class SessionCallbacks:
    """What a session tells its environment. Plain callables: they run inside the request and must not block."""

    ready: Callable[[], None]
    """GET next arrived, and the runtime owes nothing."""
    streams: Callable[[RequestId, Flow], Pieces | None]
    """A streamed response begins: where do its pieces go? None: nobody reads them as they come."""
    responded: Callable[[RequestId, bytes], None]
    failed: Callable[[RequestId, bytes, str], None]
    init_failed: Callable[[bytes, str], None]
    """Of the init phase, or of what follows a restore."""
    restores: Callable[[], bool | None]
    """The runtime is where a snapshot is taken. May it go on, as one that was restored? Where the snapshot itself is
    taken, it may not: False. None: its function has no SnapStart.
    """


class RuntimeSession:
    """One runtime's conversation. Every request is checked against the state and, if it names one, the request id.

    It knows nothing of connections: a request is the environment's, whichever connection it came on.
    """

    def __init__(self, callbacks: SessionCallbacks) -> None:
        self._callbacks = callbacks
        self.state = RuntimeState.INIT
        self._request_id = RequestId("")
        self._poll: LateResponse | None = None
        self._undelivered: Response | None = None
        self._arrival: Arrival | None = None

    def __repr__(self) -> str:
        return f"<RuntimeSession {self.state.name}>"

    def handle(self, request: Request) -> Response | LateResponse:
        """Answer a request below `RUNTIME_PATH`."""
        target = request.target
        if request.method == "POST" and target.startswith(_INVOCATION):
            request_id, _, verb = target[len(_INVOCATION) :].partition("/")
            match verb:
                case "response":
                    return self._respond(RequestId(request_id), request)
                case "error":
                    return self._fail(RequestId(request_id), request)
                case "response/next":
                    return self._then_next(self._respond(RequestId(request_id), request))
                case "error/next":
                    return self._then_next(self._fail(RequestId(request_id), request))
        elif request.method == "GET" and target == _NEXT:
            return self._next()
        elif request.method == "GET" and target == _RESTORE_NEXT:
            return self._restore_next()
        elif request.method == "POST" and target in (_INIT_ERROR, _RESTORE_ERROR):
            return self._init_error(request, _S.INIT if target == _INIT_ERROR else _S.RESTORING)
        return refusal(404, "NotFound", f"no such operation: {request.method} {request.raw_path}")

    def take_body(self, request: Request, flow: Flow) -> BodySink | None:
        """Take the body of a streamed response as it comes; None: it is none, and `handle` gets the request."""
        if request.method != "POST" or not request.target.startswith(_INVOCATION):
            return None
        request_id, _, verb = request.target[len(_INVOCATION) :].partition("/")
        if verb != "response" or request.header(MODE_HEADER).lower() != STREAMING:
            return None
        refused = self._judge(RequestId(request_id), "InvocationResponse", (_S.RUNNING,))
        if refused is not None:
            return Unwanted(refused)
        self.state = RuntimeState.STREAMING
        pieces = self._callbacks.streams(self._request_id, flow)
        if pieces is not None:
            pieces.media_type = request.header("content-type")
        self._arrival = Arrival(pieces, self._streamed, self._torn)
        return self._arrival

    def dispatch(self, invocation: Invocation, deadline_ms: int) -> None:
        """Give the runtime, which is ready, its next invocation."""
        assert self.state is RuntimeState.READY, f"{self!r} cannot take an invocation"
        self.state = RuntimeState.RUNNING
        self._request_id = invocation.request_id
        event = _event(invocation, deadline_ms)
        poll, self._poll = self._poll, None
        if poll is None or not poll.give(event):
            self._undelivered = event

    def restored(self) -> None:
        """It was made from a snapshot: what is left of its start is what follows a restore."""
        assert self.state is _S.INIT, f"{self!r} has begun already"
        self._callbacks.restores()
        self.state = _S.RESTORING

    def closed(self) -> None:
        """Its processes are gone."""
        self.state = RuntimeState.CLOSED
        self._poll = None

    def _next(self) -> Response | LateResponse:
        if self.state is RuntimeState.RUNNING:
            event, self._undelivered = self._undelivered, None
            return event or self._refuse("Ready")
        if self.state is RuntimeState.TORN:
            self.state = RuntimeState.ANSWERED
            error = error_json(TRUNCATED_RESPONSE, "The streamed response broke off before its end.")
            self._callbacks.failed(self._request_id, error, TRUNCATED_RESPONSE)
        if self.state not in (_S.INIT, _S.RESTORING, _S.READY, _S.ANSWERED):
            return self._refuse("Ready")
        if self._poll is not None:
            # Whoever asks last gets the invocation; an older poll is a lost connection's, or a confused runtime's.
            self._poll.give(self._refuse("Ready"))
        self._poll = poll = LateResponse()
        if self.state is not RuntimeState.READY:
            self.state = RuntimeState.READY
            self._callbacks.ready()
        return poll

    def _then_next(self, answer: Response) -> Response | LateResponse:
        """Let the next invocation be the answer to this one's result, unless that was refused.

        Not AWS's: our own clients' way to be woken once an invocation, where others are twice.
        """
        return self._next() if answer is ACCEPTED else answer

    def _respond(self, request_id: RequestId, request: Request) -> Response:
        refused = self._judge(request_id, "InvocationResponse", (_S.RUNNING,))
        if refused is not None:
            return refused
        self.state = RuntimeState.ANSWERED
        if len(request.body) <= RESPONSE_BYTES_MAX:
            self._callbacks.responded(request_id, request.body)
            return ACCEPTED
        error, answer = response_too_large(RESPONSE_BYTES_MAX)
        self._callbacks.failed(request_id, error, "")
        return answer

    def _fail(self, request_id: RequestId, request: Request) -> Response:
        refused = self._judge(request_id, "InvocationErrorResponse", (_S.RUNNING, _S.STREAMING, _S.TORN))
        if refused is not None:
            return refused
        if self.state is RuntimeState.STREAMING and self._arrival is not None:
            self._arrival.give_up(refuse_transition(_S.ANSWERED.value, "InvocationResponse", "runtime"))
        self.state = RuntimeState.ANSWERED
        self._callbacks.failed(request_id, request.body, request.header(ERROR_TYPE_HEADER))
        return ACCEPTED

    def _streamed(self, body: bytes, error_type: str | None) -> None:
        self.state = RuntimeState.ANSWERED
        if error_type is None:
            self._callbacks.responded(self._request_id, body)
        else:
            self._callbacks.failed(self._request_id, body, error_type)

    def _torn(self) -> None:
        if self.state is RuntimeState.STREAMING:
            self.state = RuntimeState.TORN

    def _restore_next(self) -> Response | LateResponse:
        goes_on = self._callbacks.restores() if self.state is _S.INIT else None
        if goes_on is None:
            return self._refuse("Restoring")
        if not goes_on:
            return LateResponse()  # this runtime stays where it is; those restored from it go on
        self.state = _S.RESTORING
        return _RESTORED

    def _init_error(self, request: Request, expected: RuntimeState) -> Response:
        if self.state is not expected:
            return self._refuse("InitError" if expected is _S.INIT else "RestoreError")
        self.state = RuntimeState.FAILED
        self._callbacks.init_failed(request.body, request.header(ERROR_TYPE_HEADER))
        return ACCEPTED

    def _judge(self, request_id: RequestId, transition: str, allowed: tuple[RuntimeState, ...]) -> Response | None:
        # AWS: the OpenAPI document has 400 and 403 without saying which is for what; we chose 400 for an id that
        # names no invocation of this environment, 403 for one that is over.
        if request_id != self._request_id:
            return refusal(400, "InvalidRequestID", "Invalid request ID")
        if self.state not in allowed or self._undelivered is not None:
            return self._refuse(transition)
        return None

    def _refuse(self, transition: str) -> Response:
        return refuse_transition(self.state.value, transition, "runtime")


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
