"""Web pages at the front door: those of other origins get nothing done here, unless the settings allow them.

With signatures unchecked, whoever reaches the door may use it, and a page has its reader's browser to reach it with.
Functions' URLs and APIs do not come here: browsers are expected there, and CORS is what is configured for them. In S3 a
bucket's own CORS configuration lets pages in, and what a page only shows (an image, a link) is shown.
"""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from workshape.aws.protocol.codec import WireFault
from workshape.aws.protocol.foreign import foreign_fault
from workshape.aws.recognise import STORAGE
from workshape.aws.s3.request import read_request
from workshape.http1.message import HeaderPairs, LateResponse, Request, Response
from workshape.http1.origins import Sender, is_link_followed, is_preflight
from workshape.identifiers import new_request_id

Answer = Response | LateResponse | Awaitable[Response]
StorageLetsIn = Callable[[Request], Awaitable[bool]]
"""Asks whether the bucket that a request is for has a CORS configuration that lets the request's page in."""
TOLD_MAX = 100  # refused origins of which the log has told; a page may ask as often as it likes

_READING = ("GET", "HEAD")
_CORS = "access-control-"
_log = logging.getLogger(__name__)


class PageGuard:
    """Tells what the door does with a browser's request."""

    def __init__(self, storage_lets_in: StorageLetsIn | None = None) -> None:
        self._storage_lets_in = storage_lets_in
        self._told: set[str] = set()

    def __repr__(self) -> str:
        return f"<PageGuard refused={len(self._told)}>"

    def answer(self, sender: Sender, request: Request, service: str, go_on: Callable[[Request], Answer]) -> Answer:
        """Answer what is not `Sender.OURS`. `service` is the signing name, empty for the admin API; `go_on` lets in."""
        if sender is Sender.ALLOWED:
            return _preflight(request) if is_preflight(request) else _readable(request, go_on(request))
        if sender is Sender.FOREIGN and _only_shows(request, service):
            return go_on(request)
        if sender is Sender.FOREIGN and service == STORAGE and self._storage_lets_in is not None:
            return self._ask_storage(self._storage_lets_in, request, go_on)
        return self._refuse(sender, request, service)

    async def _ask_storage(
        self, lets_in: StorageLetsIn, request: Request, go_on: Callable[[Request], Answer]
    ) -> Response:
        if not await lets_in(request):
            return self._refuse(Sender.FOREIGN, request, STORAGE)
        answer = go_on(request)
        assert not isinstance(answer, LateResponse), "S3's are awaited"
        return answer if isinstance(answer, Response) else await answer

    def _refuse(self, sender: Sender, request: Request, service: str) -> Response:
        reason = _reason(sender, request, service)
        whose = request.header("host") if sender is Sender.MISDIRECTED else request.header("origin")
        if whose not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(whose)
            _log.warning("web_page_refused", extra={"service": service or "admin", "reason": reason})
        if not service:
            return Response(403, (("content-type", "application/json"),), msgspec.json.encode({"message": reason}))
        return foreign_fault(request, service, WireFault("AccessDenied", 403, reason), new_request_id())


def _only_shows(request: Request, service: str) -> bool:
    """Tell whether the page that asked gets to see nothing of the answer, and nothing is changed by it."""
    if request.method not in _READING or request.header("origin"):
        return False
    if not service:
        return is_link_followed(request)
    return service == STORAGE and bool(read_request(request).bucket)


def _reason(sender: Sender, request: Request, service: str) -> str:
    where = "allowed_origins of [platform.endpoint] in workshape.toml"
    if sender is Sender.MISDIRECTED:
        host = request.header("host")
        return (
            f"a browser sent this to {host}, which is no name of this machine: if it is, add http://{host} to {where}"
        )
    origin = request.header("origin")
    if not origin:
        return "a web page of another origin had this asked for, and it gets no answer here"
    if origin == "null":
        return (
            f"a web page without an origin (a file, a frame in a sandbox) sent this: serve it, and add that to {where}"
        )
    cors = ", or to the CORS configuration of the bucket" if service == STORAGE else ""
    return f"a web page of {origin} sent this: to let its pages use the front door, add {origin} to {where}{cors}"


def _preflight(request: Request) -> Response:
    """Let the browser send whatever it has.

    Source: https://fetch.spec.whatwg.org/#http-cors-protocol
    """
    headers = [("access-control-allow-methods", request.header("access-control-request-method"))]
    wanted = request.header("access-control-request-headers")
    if wanted:
        headers.append(("access-control-allow-headers", wanted))
    return Response(204, (*_allowing(request), *headers))


def _readable(request: Request, answer: Answer) -> Answer:
    """Let the page read the answer."""
    allowing = (*_allowing(request), ("access-control-expose-headers", "*"))

    def written(response: Response) -> Response:
        kept = tuple((name, value) for name, value in response.headers if not name.lower().startswith(_CORS))
        return Response(response.status, (*kept, *allowing), response.body)

    async def awaited(response: Awaitable[Response]) -> Response:
        return written(await response)

    if isinstance(answer, Response):
        return written(answer)
    if not isinstance(answer, LateResponse):
        return awaited(answer)
    late = LateResponse()
    answer.when_given(lambda response: late.give(written(response)))
    return late


def _allowing(request: Request) -> HeaderPairs:
    return ("access-control-allow-origin", request.header("origin")), ("vary", "Origin")
