"""The HTTP API's listener: request, route, function, response.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html and
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html (10 MB, 30 s)
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from workshape.clock import Clock
from workshape.errors import WorkshapeError
from workshape.functions.function_invoker import Invoke
from workshape.functions.model import InvocationRequest
from workshape.gateway.payload import MalformedResponse, event_of, response_of
from workshape.gateway.routes import Match, Route, RouteTable
from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, Limits, serve_tcp
from workshape.request_id import new_request_id
from workshape.traces.context import read_traceparent

REQUEST_BYTES_MAX = 10_000_000
TRIGGER = "http"
UNROUTED = "(no route)"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RouteCount:
    """How often a route answered with a status."""

    route: str
    status: int
    count: int


class Gateway:
    """An app's HTTP API."""

    def __init__(self, routes: Sequence[Route], invoke: Invoke, clock: Clock, *, account: str) -> None:
        """Take the routes; see `RouteTable` for what it refuses."""
        self._table = RouteTable(routes)
        self._invoke = invoke
        self._clock = clock
        self._account = account
        self._counts: Counter[tuple[str, int]] = Counter()

    def __repr__(self) -> str:
        return f"<Gateway {self._table} answered={self._counts.total()}>"

    async def start(self, host: str, port: int) -> HttpServer:
        """Listen; 0 picks a free port. The server is the caller's to close.

        Raises:
            OSError: the address is in use.
        """
        return await serve_tcp(self.answer, host, port, Limits(body_bytes_max=REQUEST_BYTES_MAX))

    def counts(self) -> list[RouteCount]:
        """What has been answered since the start, by route and status."""
        return [RouteCount(route, status, count) for (route, status), count in sorted(self._counts.items())]

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        match = self._table.find(request.method, request.raw_path)
        response = await self._run(request, match) if match else _message(404, "Not Found")
        self._counts[match.route.key if match else UNROUTED, response.status] += 1
        return response

    async def _run(self, request: Request, match: Match) -> Response:
        request_id = new_request_id()
        event = event_of(request, match, request_id=request_id, account=self._account, now=self._clock.wall_s())
        try:
            async with asyncio.timeout(match.route.timeout_s):
                result = await self._invoke(
                    InvocationRequest(match.route.function, None, event, TRIGGER, trace_id=_trace_header(request))
                )
        except TimeoutError:
            # AWS: the status is undocumented for HTTP APIs; observed: 503 with this message. The function runs on.
            return _message(503, "Service Unavailable")
        except WorkshapeError as error:
            _log.warning("http_invoke_failed", extra={"route": match.route.key, "reason": str(error)})
            return _message(503, "Service Unavailable") if error.retryable else _message(500, "Internal Server Error")
        if result.function_error is not None:
            return _message(500, "Internal Server Error")
        try:
            return response_of(result.payload)
        except MalformedResponse as error:
            _log.warning("http_response_malformed", extra={"route": match.route.key, "reason": error.reason})
            return _message(500, "Internal Server Error")


def _trace_header(request: Request) -> str:
    """The trace a request belongs to, as X-Ray writes it; empty when it belongs to none."""
    header = request.header("x-amzn-trace-id")
    if not header and (context := read_traceparent(request.header("traceparent"))) is not None:
        return context.header()
    return header


def _message(status: int, text: str) -> Response:
    return Response(status, (("content-type", "application/json"),), f'{{"message":"{text}"}}'.encode())
