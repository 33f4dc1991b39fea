"""The app's own HTTP API on a port of its own: an API of API Gateway's kind, made of the app file's routes.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html (10 MB, 30 s)
"""

from collections import Counter
from dataclasses import dataclass

from workshape.gateway.http_front import REQUEST_BYTES_MAX, HttpFront
from workshape.gateway.http_stage import HttpStage
from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, Limits, serve_tcp


@dataclass(frozen=True, slots=True)
class RouteCount:
    """How often a route answered with a status."""

    route: str
    status: int
    count: int


class Gateway:
    """An app's HTTP API."""

    def __init__(self, stage: HttpStage, front: HttpFront) -> None:
        self._stage = stage
        self._front = front
        self._counts: Counter[tuple[str, int]] = Counter()

    def __repr__(self) -> str:
        return f"<Gateway {self._stage} answered={self._counts.total()}>"

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
        answered = await self._front.answer(self._stage, request)
        self._counts[answered.route_key, answered.response.status] += 1
        return answered.response
