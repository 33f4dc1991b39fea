"""The AWS front door: one port for every service. Ours are answered here, the others' requests go to their upstream.

All of it is one account and one region (`Settings`), whatever region clients sign for.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from workshape.aws.operation import AskUpstream, Call, NotOurs, Operation, Service, WireError, nobody
from workshape.aws.page_guard import Answer, PageGuard, StorageLetsIn
from workshape.aws.protocol.answers import read_answer
from workshape.aws.protocol.codec import Codec, WireFault
from workshape.aws.protocol.compiled import compile_codecs
from workshape.aws.protocol.errors import (
    ConstraintsViolated,
    Malformed,
    NestedTooDeep,
    OperationNotBuilt,
    UnknownOperation,
    UnreadableBody,
)
from workshape.aws.protocol.foreign import foreign_fault
from workshape.aws.recognise import knows, recognise
from workshape.aws.upstream import NoUpstream, Upstream
from workshape.clock import Clock
from workshape.errors import BackendUnavailable, Denied, WorkshapeError
from workshape.functions.function_url import MARK as URL_MARK
from workshape.http1.message import LateResponse, Request, Response
from workshape.http1.origins import Origins, Sender, is_preflight
from workshape.http1.server import HttpServer, Limits, serve_tcp
from workshape.identifiers import new_request_id
from workshape.later import Later
from workshape.settings import Settings
from workshape.sigv4 import (
    MissingAuthentication,
    SignatureExpired,
    SignatureMismatch,
    UnknownAccessKey,
    find_credential,
    verify,
)
from workshape.traces.context import read_traceparent

MIB = 1024 * 1024
BODY_BYTES_MAX = 256 * MIB  # bodies are held whole; the largest of ours is a zip of 50 MiB, S3's parts are below this
ADMIN_PATH = "/_workshape/"

Handler = Callable[[Request], Awaitable[Response]]
Hook = Callable[[Request, Handler], Awaitable[Response]]
"""Answers a request for a service that is not ours, asking the upstream by the handler it is given."""

_log = logging.getLogger(__name__)

_DOOR_ERRORS: Mapping[type[WorkshapeError], WireError] = {
    UnreadableBody: WireError("SerializationException", 400),
    Malformed: WireError("SerializationException", 400, query_code="MalformedInput"),
    NestedTooDeep: WireError("SerializationException", 400, query_code="MalformedInput"),
    ConstraintsViolated: WireError("ValidationException", 400, query_code="ValidationError"),
    UnknownOperation: WireError("UnknownOperationException", 404, query_code="InvalidAction"),
    OperationNotBuilt: WireError("NotImplemented", 501),
    MissingAuthentication: WireError(
        "MissingAuthenticationTokenException", 403, query_code="MissingAuthenticationToken"
    ),
    UnknownAccessKey: WireError("UnrecognizedClientException", 403, query_code="InvalidClientTokenId"),
    SignatureExpired: WireError("InvalidSignatureException", 403, query_code="SignatureDoesNotMatch"),
    SignatureMismatch: WireError("InvalidSignatureException", 403, query_code="SignatureDoesNotMatch"),
}
"""What the door itself refuses, unless the service has an answer of its own for it.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
"""
_FORWARD_ERRORS: Mapping[type[WorkshapeError], WireError] = {
    **_DOOR_ERRORS,
    NoUpstream: WireError("NotImplemented", 501),
    BackendUnavailable: WireError("ServiceUnavailable", 503),
}
_INTERNAL_FAILURE = WireError("InternalFailure", 500)


@dataclass(frozen=True, slots=True)
class _Answerer:
    """One of our services, compiled."""

    name: str
    model: ServiceModel
    codecs: Sequence[Codec]
    operations: Mapping[str, Operation]
    errors: Mapping[type[WorkshapeError], WireError]
    is_shared: bool
    beside: "_Answerer | None" = None
    """Another that clients sign for by the same name: asked when this one has no such operation."""

    def codec(self, request: Request) -> Codec:
        for codec in self.codecs:
            if codec.accepts(request):
                return codec
        return self.codecs[-1]


class Door:
    """Answers AWS clients."""

    def __init__(
        self,
        services: Sequence[Service],
        upstream: Upstream,
        *,
        settings: Settings,
        admin: Handler,
        clock: Clock,
        function_urls: Handler | None = None,
        hooks: Mapping[str, Hook] | None = None,
        apis: Handler | None = None,
        is_for_an_api: Callable[[Request], bool] = lambda _request: False,
        storage_lets_in: StorageLetsIn | None = None,
    ) -> None:
        """`admin` answers everything below `/_workshape/`, `function_urls` what comes to a host of theirs, `apis` what
        `is_for_an_api`. `hooks` stand before the upstream, by a service's signing name. `storage_lets_in` is asked of
        web pages' requests to buckets.
        """
        self._origins = Origins(settings.endpoint.allowed_origins, settings.host)
        self._guard = PageGuard(storage_lets_in)
        self._hooks = hooks or {}
        self._function_urls = function_urls
        self._apis = apis
        self._is_for_an_api = is_for_an_api
        self._upstream = upstream
        self._admin = admin
        self._settings = settings
        self._secrets = {settings.endpoint.access_key: settings.endpoint.secret_key}
        self._clock = clock
        self._ours: dict[str, _Answerer] = {}
        self._prefixes: dict[str, str] = {}
        loader = Loader()
        for service in services:
            self._add(service, loader)
        self._codecs = {name: list(_codecs(answerer)) for name, answerer in self._ours.items()}

    def __repr__(self) -> str:
        return f"<Door {','.join(self._ours)} upstream={self._upstream!r}>"

    async def start(self, host: str, port: int) -> HttpServer:
        """Listen; the server is the caller's to close.

        Raises:
            OSError: the address is in use or not ours.
        """
        return await serve_tcp(self.handle, host, port, Limits(body_bytes_max=BODY_BYTES_MAX))

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        headers = dict(request.headers)
        if self._function_urls is not None and URL_MARK in headers.get("host", ""):
            return self._function_urls(request)  # before all else: every path there is the function's
        if self._apis is not None and self._is_for_an_api(request):
            return self._apis(request)
        is_admin = request.target.startswith(ADMIN_PATH)
        name = "" if is_admin else recognise(request, find_credential(request), self._prefixes, self._codecs)
        sender = self._origins.sender(headers)
        if sender is not Sender.OURS:
            return self._guard.answer(sender, request, name, self._admin if is_admin else partial(self._serve, name))
        return self._admin(request) if is_admin else self._serve(name, request)

    def _serve(self, name: str, request: Request) -> Answer:
        """Answer a request for the service of this signing name."""
        answerer = self._ours.get(name)
        if answerer is None:
            return self._forward(request, name)
        while answerer.beside is not None and not knows(answerer.codec(request), request):
            answerer = answerer.beside
        return self._answer(answerer, request)

    def _add(self, service: Service, loader: Loader) -> None:
        description = loader.load_service_model(service.model, "service-2")
        metadata = description["metadata"]
        name = metadata.get("signingName", metadata["endpointPrefix"])
        errors = {**(_FORWARD_ERRORS if service.is_shared else _DOOR_ERRORS), **service.errors}
        model = ServiceModel(description, service.model)
        codecs = compile_codecs(service.model, description)
        beside = self._ours.get(name)
        self._ours[name] = _Answerer(name, model, codecs, service.operations, errors, service.is_shared, beside)
        if "targetPrefix" in metadata:
            self._prefixes[metadata["targetPrefix"]] = name

    def _answer(self, answerer: _Answerer, request: Request) -> Answer:
        asked = _Asked(answerer, answerer.codec(request), request, new_request_id())
        try:
            self._authenticate(request)
            asked.operation, labels = asked.codec.route(request)
            operation = answerer.operations.get(asked.operation)
            if operation is None:
                return self._pass_on(asked)
            output = operation(self._call(asked), asked.codec.read(asked.operation, labels, request))
        except NotOurs:
            return self._pass_on(asked)
        except Exception as error:  # noqa: BLE001 - the supervised boundary of a request, as below
            return asked.fault(error)
        return asked.late(output) if isinstance(output, Later) else self._await(asked, output)

    async def _await(self, asked: "_Asked", output: Awaitable[dict[str, Any]]) -> Response:
        try:
            return asked.answer(await output)
        except NotOurs:
            return await self._pass_on(asked)
        except Exception as error:  # noqa: BLE001 - the supervised boundary: the client hears, the log has it all
            return asked.fault(error)

    async def _forward(self, request: Request, service: str) -> Response:
        try:
            if not is_preflight(request):  # browsers sign none
                self._authenticate(request)
            hook = self._hooks.get(service)
            if hook is not None:
                return await hook(request, partial(self._upstream.forward, service=service))
            return await self._upstream.forward(request, service)
        except (NoUpstream, BackendUnavailable, Denied) as error:
            return foreign_fault(request, service, _fault(error, _FORWARD_ERRORS, service), new_request_id())

    async def _pass_on(self, asked: "_Asked") -> Response:
        """Let the upstream answer what is not ours of a shared service."""
        try:
            if not asked.answerer.is_shared:
                raise OperationNotBuilt(service=asked.answerer.name, operation=asked.operation)
            return await self._upstream.forward(asked.request, asked.answerer.name)
        except Exception as error:  # noqa: BLE001 - as above
            return asked.fault(error)

    async def _ask_upstream(self, asked: "_Asked") -> dict[str, Any] | None:
        try:
            response = await self._upstream.forward(asked.request, asked.answerer.name)
        except (NoUpstream, BackendUnavailable):
            return None
        return read_answer(asked.answerer.model, asked.codec.protocol, asked.operation, response)

    def _authenticate(self, request: Request) -> None:
        if self._settings.endpoint.verify_signatures:
            verify(request, self._secrets, self._clock.wall_s())

    def _call(self, asked: "_Asked") -> Call:
        settings, fields = self._settings, dict(asked.request.headers)
        endpoint, trace_id = f"http://{fields.get('host', '')}", fields.get("x-amzn-trace-id", "")
        if not trace_id and (parent := fields.get("traceparent")) and (context := read_traceparent(parent)) is not None:
            trace_id = context.header()
        ask_upstream: AskUpstream = partial(self._ask_upstream, asked) if asked.answerer.is_shared else nobody
        return Call(settings.account, settings.region, asked.request_id, endpoint, trace_id, ask_upstream)


class _Asked:
    """A request to a service of ours, from its reading to its answer."""

    __slots__ = ("_late", "answerer", "codec", "operation", "request", "request_id")

    def __init__(self, answerer: _Answerer, codec: Codec, request: Request, request_id: str) -> None:
        self.answerer = answerer
        self.codec = codec
        self.request = request
        self.request_id = request_id
        self.operation = ""
        """Empty until it is known."""

    def answer(self, output: Mapping[str, Any]) -> Response:
        """Write what the operation returned."""
        return self.codec.write(self.operation, output, self.request_id)

    def late(self, output: Later[dict[str, Any]]) -> Response | LateResponse:
        """Answer as soon as the operation's output is there."""
        if output.done:
            return self._answered(output)
        self._late = LateResponse()
        output.when_done(self._take)
        return self._late

    def _take(self, given: Later[dict[str, Any]]) -> None:
        self._late.give(self._answered(given))

    def _answered(self, given: Later[dict[str, Any]]) -> Response:
        try:
            return self.answer(given.result())
        except Exception as error:  # noqa: BLE001 - as with those that are awaited
            return self.fault(error)

    def fault(self, error: Exception) -> Response:
        """Write what went wrong."""
        answerer, operation = self.answerer, f"{self.answerer.name}.{self.operation}"
        if isinstance(error, RecursionError):  # what is as deep as that has come with the request
            error = NestedTooDeep()
        if isinstance(error, WorkshapeError):
            return self.codec.write_fault(_fault(error, answerer.errors, operation), self.request_id)
        fields = {"operation": operation, "request_id": self.request_id}
        _log.error("operation_failed", extra=fields, exc_info=error)
        return self.codec.write_fault(_unexpected(answerer.errors), self.request_id)


def _codecs(answerer: _Answerer | None) -> Iterator[Codec]:
    while answerer is not None:
        yield from answerer.codecs
        answerer = answerer.beside


def _fault(error: WorkshapeError, errors: Mapping[type[WorkshapeError], WireError], operation: str) -> WireFault:
    """Look an error up along its class hierarchy, nearest first."""
    wire = next((errors[kind] for kind in type(error).__mro__ if kind in errors), None)
    if wire is None:
        wire = errors.get(WorkshapeError, _INTERNAL_FAILURE)
    if wire.status >= 500:
        _log.warning("operation_unavailable", extra={"operation": operation, "reason": str(error)})
    members = wire.members(error) if wire.members is not None else {}
    return WireFault(wire.code, wire.status, str(error), members, wire.query_code)


def _unexpected(errors: Mapping[type[WorkshapeError], WireError]) -> WireFault:
    wire = errors.get(WorkshapeError, _INTERNAL_FAILURE)
    message = "workshape failed on this request; the engine's log tells why, under the request's id."
    return WireFault(wire.code, wire.status, message, {}, wire.query_code)
