"""The inside of one environment without connections: requests go straight to its API, and what it tells is kept."""

import json
from dataclasses import dataclass, field
from typing import Any

from workshape.clock import Clock
from workshape.functions.environment_api import EnvironmentApi, RuntimeCallbacks
from workshape.functions.extension_sessions import Extension
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, Invocation, RequestId
from workshape.functions.telemetry_delivery import Telemetry
from workshape.http1.message import BodySink, Flow, HeaderPairs, LateResponse, Request, Response
from workshape.http1.pieces import Pieces

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
FUNCTION = FunctionVersion(FunctionName("f"), "$LATEST", ARN, "provided.al2023", "a.b", "/code", 128, 3, "r1")
RUNTIME, EXTENSION = "/2018-06-01/runtime/", "/2020-01-01/extension/"


class Poll:
    """The client of a long poll: what it was given, unless it had gone."""

    def __init__(self, late: LateResponse) -> None:
        self.given: Response | None = None
        self.has_gone = False
        late.when_given(self._take)

    def _take(self, response: Response) -> bool:
        if not self.has_gone:
            self.given = response
        return not self.has_gone


class NoFlow:
    """Nobody has to wait."""

    def pause(self) -> None:
        """Read on all the same."""

    def resume(self) -> None:
        """Read on."""


@dataclass
class Inside:
    """An environment, and what it has told so far, in order."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    readers: dict[RequestId, Pieces] = field(default_factory=dict)
    api: EnvironmentApi = field(init=False)
    goes_on: bool | None = None
    """What a runtime that is where a snapshot is taken may do."""

    def open(self, *extensions: str) -> "Inside":
        """Begin its life."""
        told = self.told.append
        callbacks = RuntimeCallbacks(
            ready=lambda _environment: told(("ready",)),
            streams=self._streams,
            responded=lambda _environment, request, body: told(("responded", request, body)),
            failed=lambda _environment, request, body, kind: told(("failed", request, kind, body)),
            init_failed=lambda _environment, _body, kind: told(("init failed", kind)),
            restores=self._restores,
            runtime_done=lambda _environment: told(("runtime done",)),
            runtime_exited=lambda _environment, how: told(("runtime exited", how)),
            extension_ready=lambda _environment, extension: told(("extension ready", extension.name)),
            extension_failed=self._extension_failed,
            extension_output=lambda _environment, line: told(("extension wrote", line)),
        )
        telemetry = Telemetry(Clock(), keeps_early=bool(extensions))
        self.api = EnvironmentApi(EnvironmentId(1), FUNCTION, extensions, callbacks, telemetry)
        return self

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response | Poll:
        """Send a request; a header's underscores are hyphens on the wire."""
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        answer = self.api.handle(Request(method, target, pairs, body))
        return Poll(answer) if isinstance(answer, LateResponse) else answer

    def refused(self, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """Send a request that is answered at once; return its status and error type."""
        answer = self.ask(method, target, body, **headers)
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body).get("errorType", "") if answer.body else ""

    def next(self) -> Response | Poll:
        """Ask for the runtime's next invocation."""
        return self.ask("GET", RUNTIME + "invocation/next")

    def respond(self, request_id: str, body: bytes = b"1") -> tuple[int, str]:
        """Answer as the runtime."""
        return self.refused("POST", f"{RUNTIME}invocation/{request_id}/response", body)

    def stream(self, request_id: str) -> BodySink | None:
        """Begin a streamed answer as the runtime."""
        headers: HeaderPairs = (("lambda-runtime-function-response-mode", "streaming"),)
        request = Request("POST", f"{RUNTIME}invocation/{request_id}/response", headers)
        return self.api.take_body(request, NoFlow())

    def register(self, name: str, *events: str, **headers: str) -> tuple[str, Any]:
        """Register an extension; return its identifier and the answer."""
        body = json.dumps({"events": events}).encode()
        answer = self.ask("POST", EXTENSION + "register", body, lambda_extension_name=name, **headers)
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        return dict(answer.headers).get("Lambda-Extension-Identifier", ""), json.loads(answer.body)

    def extension_next(self, identifier: str) -> Response | Poll:
        """Ask for an extension's next event."""
        return self.ask("GET", EXTENSION + "event/next", lambda_extension_identifier=identifier)

    def exited(self, name: str, status: int) -> tuple[int, str]:
        """Say, as the supervisor, that a program has ended."""
        body = json.dumps({"name": name, "status": status}).encode()
        return self.refused("POST", "/_workshape/supervisor/exited", body)

    def dispatch(self, request_id: str = "r1") -> None:
        """Begin an invocation."""
        self.api.dispatch(Invocation(RequestId(request_id), b"{}", ARN, trace_id="Root=1"), 1_000)

    def _streams(self, _environment: EnvironmentId, request: RequestId, _flow: Flow) -> Pieces | None:
        self.told.append(("streams", request))
        return self.readers.get(request)

    def _restores(self, _environment: EnvironmentId) -> bool | None:
        self.told.append(("restores",))
        return self.goes_on

    def _extension_failed(self, _environment: EnvironmentId, extension: Extension, kind: str, why: str) -> None:
        self.told.append(("extension failed", extension.name, kind, why))


def event(answer: Response | Poll) -> Any:
    """Return the event a poll was given."""
    given = answer.given if isinstance(answer, Poll) else answer
    assert given is not None, "nothing came"
    assert isinstance(given.body, bytes)
    return json.loads(given.body)
