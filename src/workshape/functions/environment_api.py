"""Everything that speaks inside one environment: its runtime, its extensions, and who watches over their processes.

It knows nothing of connections: a request is the environment's, whichever connection it came on.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

import msgspec

from workshape.functions.extension_sessions import (
    EXTENSIONS_PATH,
    Extension,
    ExtensionCallbacks,
    Extensions,
    ShutdownReason,
)
from workshape.functions.launch.exit_words import exit_words
from workshape.functions.launch.extensions import EXITED, OUTPUT, REGISTERED, SUPERVISOR_PATH
from workshape.functions.launch.output import Lines
from workshape.functions.model import EnvironmentId, FunctionVersion, Invocation, RequestId
from workshape.functions.runtime_answers import ACCEPTED, refusal
from workshape.functions.runtime_session import RUNTIME_PATH, RuntimeSession, RuntimeState, SessionCallbacks
from workshape.functions.telemetry_delivery import TELEMETRY_PATH, Telemetry
from workshape.http1.message import BodySink, Flow, LateResponse, Request, Response
from workshape.http1.pieces import Pieces

_NOT_FOUND = "NotFound"
_START = Response(200)
_LOGS_PATH = "/2020-08-15/logs"


@dataclass(frozen=True, slots=True)
class RuntimeCallbacks:
    """What an environment tells its owner. Plain callables: they run inside the request and must not block."""

    ready: Callable[[EnvironmentId], None]
    """The runtime and every extension wait for what comes next: the init phase, or the invocation, is over."""
    streams: Callable[[EnvironmentId, RequestId, Flow], Pieces | None]
    """A streamed response begins: where do its pieces go? None: it is collected, and `responded` gets it whole."""
    responded: Callable[[EnvironmentId, RequestId, bytes], None]
    """The response; of a streamed one that somebody read as it came, nothing is left."""
    failed: Callable[[EnvironmentId, RequestId, bytes, str], None]
    """The error's JSON body, and its Lambda-Runtime-Function-Error-Type (may be empty)."""
    init_failed: Callable[[EnvironmentId, bytes, str], None]
    restores: Callable[[EnvironmentId], bool | None]
    """See `SessionCallbacks.restores`."""
    runtime_done: Callable[[EnvironmentId], None]
    """The runtime is done with its invocation, an extension is not."""
    runtime_exited: Callable[[EnvironmentId, str], None]
    """The runtime's process has ended, in Lambda's words; those of extensions may go on."""
    extension_ready: Callable[[EnvironmentId, Extension], None]
    """Once for each extension, at the end of the init phase."""
    extension_failed: Callable[[EnvironmentId, Extension, str, str], None]
    """The error's type, and why."""
    extension_output: Callable[[EnvironmentId, bytes], None]
    """A line that an external extension wrote."""


class _Exited(msgspec.Struct, frozen=True):
    name: str
    status: int | None = None
    error: str = ""


class EnvironmentApi:
    """One environment's conversation."""

    def __init__(
        self,
        environment: EnvironmentId,
        function: FunctionVersion,
        extensions: Sequence[str],
        callbacks: RuntimeCallbacks,
        telemetry: Telemetry,
    ) -> None:
        """`extensions` are the external ones, by their full file names."""
        self.telemetry = telemetry
        self._outputs: dict[str, Lines] = {}
        self._environment = environment
        self._callbacks = callbacks
        self._runtime = RuntimeSession(_of_session(environment, callbacks, self._runtime_ready))
        on_extensions = ExtensionCallbacks(self._extension_changed, self._extension_failed)
        self.extensions = Extensions(function, extensions, on_extensions)
        self._is_awaited = True
        """Somebody waits to hear that it is ready."""
        self._may_start: LateResponse | None = None
        self.runtime_ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<EnvironmentApi {self._environment} {self._runtime!r} {self.extensions!r}>"

    def handle(self, request: Request) -> Response | LateResponse:
        """Answer a request."""
        target = request.target
        if target.startswith(RUNTIME_PATH):
            return self._runtime.handle(request)
        if target.startswith(EXTENSIONS_PATH):
            return self.extensions.handle(request)
        if target.startswith(SUPERVISOR_PATH):
            return self._hear_supervisor(request)
        if request.method == "PUT" and target.rstrip("/") == TELEMETRY_PATH:
            return self._subscribe(request)
        if target.startswith(_LOGS_PATH):
            return refusal(404, _NOT_FOUND, "workshape has no Logs API: subscribe to the Telemetry API, 2022-07-01")
        return refusal(404, _NOT_FOUND, f"no such operation: {request.method} {request.raw_path}")

    def take_body(self, request: Request, flow: Flow) -> BodySink | None:
        """Take a body that comes in chunks, if somebody is to have it as it comes."""
        return self._runtime.take_body(request, flow)

    def dispatch(self, invocation: Invocation, deadline_ms: int) -> None:
        """Begin an invocation; `deadline_ms` is Unix time in milliseconds."""
        self._is_awaited = True
        self.extensions.invoke(invocation, deadline_ms)
        self._runtime.dispatch(invocation, deadline_ms)

    def restored(self) -> None:
        """Its runtime was made from a snapshot: before its first request."""
        self._runtime.restored()

    def begin_shutdown(self) -> None:
        """From now on whoever ends has not failed."""
        self.extensions.closing = True

    def shut_down(self, reason: ShutdownReason, deadline_ms: int) -> bool:
        """Tell the extensions that the environment ends; was there anybody to tell?"""
        return self.extensions.shut_down(reason, deadline_ms)

    def closed(self) -> None:
        """Its processes are gone."""
        self._runtime.closed()

    def _runtime_ready(self) -> None:
        # Whoever hears that all are ready may begin the next invocation before it returns.
        if not self._settle() and not self.extensions.open:
            self._callbacks.runtime_done(self._environment)

    def _extension_changed(self) -> None:
        if self._may_start is not None and self.extensions.all_registered:
            gate, self._may_start = self._may_start, None
            gate.give(_START)
        self._settle()

    def _settle(self) -> bool:
        """Tell, once, that everybody waits for what comes next; return whether that was so."""
        if not (self._is_awaited and self._runtime.state is RuntimeState.READY and self.extensions.all_ready):
            return False
        self._is_awaited = False
        if self.extensions.open:
            self.extensions.open = False
            for extension in self.extensions:
                self._callbacks.extension_ready(self._environment, extension)
        self._callbacks.ready(self._environment)
        return True

    def _extension_failed(self, extension: Extension, error_type: str, reason: str) -> None:
        self._callbacks.extension_failed(self._environment, extension, error_type, reason)

    def _hear_supervisor(self, request: Request) -> Response | LateResponse:
        match request.method, request.target.removeprefix(SUPERVISOR_PATH):
            case "GET", verb if verb == REGISTERED:
                if self.extensions.all_registered:
                    return _START
                self._may_start = LateResponse()
                return self._may_start
            case "POST", verb if verb == EXITED:
                return self._exited(request)
            case "POST", verb if verb.startswith(OUTPUT):
                return self._wrote(request)
            case _:
                return refusal(404, _NOT_FOUND, f"no such operation: {request.method} {request.raw_path}")

    def _subscribe(self, request: Request) -> Response:
        extension = self.extensions.identified(request)
        if extension is None:
            return refusal(403, "Extension.UnknownExtensionIdentifier", "only a registered extension may subscribe")
        if not self.extensions.open:
            return refusal(403, "Telemetry.SubscriptionClosed", "the init phase is over, and with it subscription")
        return self.telemetry.subscribe(extension.name, request)

    def _wrote(self, request: Request) -> Response:
        name = unquote(request.target.removeprefix(SUPERVISOR_PATH + OUTPUT))
        lines = self._outputs.get(name)
        if lines is None and self.extensions.expects(name):
            lines = Lines(lambda line: self._callbacks.extension_output(self._environment, line))
            self._outputs[name] = lines
        if lines is not None:
            lines.take(request.body)
        return ACCEPTED

    def _exited(self, request: Request) -> Response:
        try:
            told = msgspec.json.decode(request.body, type=_Exited)
            how = exit_words(told.status) if told.status is not None else told.error
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            return refusal(400, "InvalidRequestFormat", str(error))
        if told.status is None:
            self.extensions.not_launched(told.name, how)
        elif told.name:
            if (lines := self._outputs.pop(told.name, None)) is not None:
                lines.end()
            self.extensions.exited(told.name, how)
        else:
            self.runtime_ended.set()
            self._callbacks.runtime_exited(self._environment, how)
        return ACCEPTED


def _of_session(environment: EnvironmentId, callbacks: RuntimeCallbacks, ready: Callable[[], None]) -> SessionCallbacks:
    return SessionCallbacks(
        ready=ready,
        streams=partial(callbacks.streams, environment),
        responded=partial(callbacks.responded, environment),
        failed=partial(callbacks.failed, environment),
        init_failed=partial(callbacks.init_failed, environment),
        restores=partial(callbacks.restores, environment),
    )
