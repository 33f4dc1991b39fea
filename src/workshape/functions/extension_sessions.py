"""The extensions of one environment, and their side of the Extensions API, version 2020-01-01.

External extensions are programs that were started with the environment; it waits for them. Internal ones live in the
runtime's process, and are known from their registration on.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from workshape.functions.model import FunctionVersion, Invocation
from workshape.functions.runtime_answers import ACCEPTED, JSON, refusal, refuse_transition
from workshape.http1.message import LateResponse, Request, Response

EXTENSIONS_PATH = "/2020-01-01/extension/"
EXTENSIONS_MAX = 10
INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"
CRASH = "Extension.Crash"
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html (failures of the init phase)"""
# AWS: the names of the other failures, and of all refusals, are undocumented; these are in the same style.
LAUNCH_ERROR, INIT_ERROR, EXIT_ERROR = "Extension.LaunchError", "Extension.InitError", "Extension.ExitError"
_IDENTIFIER = "lambda-extension-identifier"
_ERROR_TYPE = "lambda-extension-function-error-type"


class ShutdownReason(Enum):
    """Why an environment ends, as extensions are told: AWS's page has these in capitals, its events do not."""

    SPINDOWN = "spindown"
    TIMEOUT = "timeout"
    FAILURE = "failure"


class ExtensionState(Enum):
    """Where an extension stands; the values appear in logs and refusals."""

    STARTED = "Started"
    """Its program runs, and has not registered."""
    REGISTERED = "Registered"
    READY = "Ready"
    """It waits for its next event."""
    RUNNING = "Running"
    """It has an event, or one waits for it."""
    INIT_FAILED = "InitError"
    EXIT_FAILED = "ExitError"
    EXITED = "Exited"
    LAUNCH_FAILED = "LaunchError"


_S = ExtensionState
_ENDED = frozenset({_S.INIT_FAILED, _S.EXIT_FAILED, _S.EXITED, _S.LAUNCH_FAILED})


@dataclass(frozen=True, slots=True)
class ExtensionCallbacks:
    """What extensions tell their environment. Plain callables: they run inside the request and must not block."""

    changed: Callable[[], None]
    """One has registered, or waits for its next event."""
    failed: Callable[["Extension", str, str], None]
    """One cannot go on, and the environment with it: the error's type, and why."""


class Extension:
    """One extension."""

    __slots__ = ("events", "id", "is_external", "name", "poll", "state", "undelivered")

    def __init__(self, name: str, *, is_external: bool) -> None:
        self.name = name
        self.is_external = is_external
        self.id = str(uuid.uuid4())
        self.events: Sequence[str] = ()
        self.state = ExtensionState.STARTED
        self.poll: LateResponse | None = None
        self.undelivered: Response | None = None

    def __repr__(self) -> str:
        return f"<Extension {self.name} {self.state.name}>"

    def give(self, event: Response) -> None:
        """Hand over an event; one that is busy, or has lost its connection, gets it when it asks."""
        poll, self.poll = self.poll, None
        self.state = ExtensionState.RUNNING
        if poll is None or not poll.give(event):
            self.undelivered = event


class _Registration(msgspec.Struct, frozen=True):
    events: list[str] = []


class Extensions:
    """All extensions of an environment."""

    def __init__(self, function: FunctionVersion, expected: Iterable[str], callbacks: ExtensionCallbacks) -> None:
        """`expected` are the external ones, by their full file names."""
        self._function = function
        self._callbacks = callbacks
        self._all = {name: Extension(name, is_external=True) for name in expected}
        self._by_id: dict[str, Extension] = {}
        self.open = True
        """The init phase goes on: more may register."""
        self.closing = False
        """The environment ends: to exit is no failure any more."""

    def __repr__(self) -> str:
        return f"<Extensions {list(self._all.values())}>"

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._all.values())

    @property
    def all_registered(self) -> bool:
        """Every program has registered: the runtime may start."""
        return all(extension.state is not _S.STARTED for extension in self._all.values())

    @property
    def all_ready(self) -> bool:
        """Every extension waits for its next event."""
        return not self._all or all(extension.state is _S.READY for extension in self._all.values())

    @property
    def has_external(self) -> bool:
        """Programs have been started."""
        return any(extension.is_external for extension in self._all.values())

    @property
    def has_internal(self) -> bool:
        """The runtime's process has registered one or more."""
        return any(not extension.is_external for extension in self._all.values())

    def handle(self, request: Request) -> Response | LateResponse:
        """Answer a request below `EXTENSIONS_PATH`."""
        match request.method, request.target.removeprefix(EXTENSIONS_PATH):
            case "POST", "register":
                return self._register(request)
            case "GET", "event/next":
                return self._identified(request, self._next)
            case "POST", "init/error":
                return self._identified(request, self._init_error)
            case "POST", "exit/error":
                return self._identified(request, self._exit_error)
            case _:
                return refusal(404, "NotFound", f"no such operation: {request.method} {request.raw_path}")

    def invoke(self, invocation: Invocation, deadline_ms: int) -> None:
        """Tell those who registered for it of an invocation."""
        if not self._all:
            return
        event: dict[str, object] = {
            "eventType": INVOKE,
            "deadlineMs": deadline_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.invoked_arn,
        }
        if invocation.trace_id:
            event["tracing"] = {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id}
        self._give(INVOKE, event)

    def shut_down(self, reason: ShutdownReason, deadline_ms: int) -> bool:
        """Tell those who registered for it that the environment ends; was there anybody?"""
        event = {"eventType": SHUTDOWN, "shutdownReason": reason.value, "deadlineMs": deadline_ms}
        return self._give(SHUTDOWN, event)

    def exited(self, name: str, how: str) -> None:
        """The program of an external extension has ended."""
        extension = self._all.get(name)
        if extension is None or extension.state in _ENDED:
            return
        if self.closing:
            extension.state = ExtensionState.EXITED
        else:
            self._fail(extension, _S.EXITED, CRASH, how)

    def not_launched(self, name: str, reason: str) -> None:
        """The program of an external extension could not be started."""
        extension = self._all.get(name)
        if extension is not None and extension.state is _S.STARTED:
            self._fail(extension, _S.LAUNCH_FAILED, LAUNCH_ERROR, reason)

    def expects(self, name: str) -> bool:
        """Tell whether an external extension goes by that name."""
        return name in self._all and self._all[name].is_external

    def identified(self, request: Request) -> Extension | None:
        """Find who sent a request."""
        return self._by_id.get(request.header(_IDENTIFIER))

    def _give(self, kind: str, event: Mapping[str, object]) -> bool:
        told = [each for each in self._all.values() if kind in each.events and each.state not in _ENDED]
        for extension in told:
            headers = (*JSON, ("Lambda-Extension-Event-Identifier", str(uuid.uuid4())))
            extension.give(Response(200, headers, msgspec.json.encode(event)))
        return bool(told)

    def _register(self, request: Request) -> Response:
        name = request.header("lambda-extension-name")
        if not name:
            return refusal(403, "Extension.InvalidExtensionName", "Empty extension name")
        try:
            events = msgspec.json.decode(request.body or b"{}", type=_Registration).events
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return refusal(400, "InvalidRequestFormat", f"the body is no registration: {error}")
        extension = self._all.get(name)
        allowed = {INVOKE, SHUTDOWN} if extension is not None and extension.is_external else {INVOKE}
        unknown = [event for event in events if event not in allowed]
        if unknown:
            whom = "an external extension" if SHUTDOWN in allowed else "an internal extension"
            return refusal(403, "Extension.InvalidEventType", f"{whom} cannot register for {unknown[0]}")
        if not self.open:
            return refusal(403, "Extension.RegistrationClosed", "Extension registration closed already")
        if extension is not None and extension.state is not _S.STARTED:
            return refusal(403, "Extension.AlreadyRegistered", f"Extension with this name already registered: {name}")
        if extension is None:
            extension = Extension(name, is_external=False)
        if len(self._by_id) >= EXTENSIONS_MAX:
            return refusal(403, "Extension.TooManyExtensions", f"Extension limit ({EXTENSIONS_MAX}) reached")
        self._all[name] = self._by_id[extension.id] = extension
        extension.events = tuple(dict.fromkeys(events))
        extension.state = ExtensionState.REGISTERED
        self._callbacks.changed()
        headers = (*JSON, ("Lambda-Extension-Identifier", extension.id))
        return Response(200, headers, msgspec.json.encode(self._described(request)))

    def _described(self, request: Request) -> dict[str, str]:
        function = self._function
        found = {"functionName": function.name, "functionVersion": function.version, "handler": function.handler}
        features = {feature.strip() for feature in request.header("lambda-extension-accept-feature").split(",")}
        if "accountId" in features:
            found["accountId"] = function.arn.split(":")[4]
        return found

    def _identified(
        self, request: Request, act: Callable[[Extension, Request], Response | LateResponse]
    ) -> Response | LateResponse:
        extension = self.identified(request)
        if extension is None:
            return refusal(403, "Extension.UnknownExtensionIdentifier", f"no extension has this {_IDENTIFIER}")
        return act(extension, request)

    def _next(self, extension: Extension, _request: Request) -> Response | LateResponse:
        if extension.state in _ENDED:
            return refuse_transition(extension.state.value, "Ready", "extension")
        if extension.undelivered is not None:
            event, extension.undelivered = extension.undelivered, None
            return event
        if extension.poll is not None:
            # Whoever asks last gets the event; an older poll is a lost connection's.
            extension.poll.give(refuse_transition(extension.state.value, "Ready", "extension"))
        extension.poll = poll = LateResponse()
        if extension.state is not _S.READY:
            extension.state = ExtensionState.READY
            self._callbacks.changed()
        return poll

    def _init_error(self, extension: Extension, request: Request) -> Response:
        if extension.state is not _S.REGISTERED:
            return refuse_transition(extension.state.value, "InitError", "extension")
        return self._reported(extension, request, _S.INIT_FAILED, INIT_ERROR)

    def _exit_error(self, extension: Extension, request: Request) -> Response:
        if extension.state in _ENDED:
            return refuse_transition(extension.state.value, "ExitError", "extension")
        return self._reported(extension, request, _S.EXIT_FAILED, EXIT_ERROR)

    def _reported(self, extension: Extension, request: Request, state: ExtensionState, error_type: str) -> Response:
        reported = request.header(_ERROR_TYPE)
        if not reported:
            return refusal(400, "InvalidRequestFormat", f"{_ERROR_TYPE} is missing")
        self._fail(extension, state, error_type, reported)
        return ACCEPTED

    def _fail(self, extension: Extension, state: ExtensionState, error_type: str, reason: str) -> None:
        extension.state = state
        extension.poll = None
        self._callbacks.failed(extension, error_type, reason)
