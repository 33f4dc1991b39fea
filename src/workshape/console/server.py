"""The console's port: static pages, what they read and what they do. Nothing of it is for anybody but this machine.

It has a port of its own, because a page of the front door's (an object in a bucket, an API's answer) is somebody else's
and would be of the same origin.
"""

import logging
import socket
from collections.abc import Callable, Sequence
from importlib.resources import files

import msgspec

from workshape.console.guard import JSON_TYPE, refusal
from workshape.console.view import View
from workshape.errors import BackendUnavailable, CallerError, NotFound
from workshape.http1.message import Request, Response
from workshape.http1.origins import THIS_MACHINE
from workshape.http1.server import HttpServer, Limits, serve_socket

BODY_BYTES_MAX = 16 * 1024  # an order is a few words
API_PREFIX = "/api/"
STATIC_PREFIX = "/static/"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
)
"""No script but ours, in nobody's frame, read by nobody else.

Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
"""

_log = logging.getLogger(__name__)


class Console:
    """Answers the console's browsers."""

    def __init__(self, views: Sequence[View], admits: Callable[[socket.socket], bool] | None = None) -> None:
        """The first of the views is what comes up. `admits` is shown each new connection: functions have none here."""
        self._admits = admits
        self._first = f"/{views[0].name}"
        self._reads = {f"{API_PREFIX}{view.name}/{name}": read for view in views for name, read in view.reads.items()}
        self._does = {f"{API_PREFIX}{view.name}/{name}": do for view in views for name, do in view.does.items()}
        self._static = _static_files([view.name for view in views])
        self._hosts = THIS_MACHINE

    def __repr__(self) -> str:
        return f"<Console {self._first} reads={len(self._reads)} does={len(self._does)}>"

    async def start(self, host: str, port: int) -> HttpServer:
        """Listen; the server is the caller's to close.

        Raises:
            OSError: the address is in use or not ours.
        """
        self._hosts = THIS_MACHINE | {host}
        listening = socket.create_server((host, port))
        listening.setblocking(False)
        return await serve_socket(self.answer, listening, Limits(body_bytes_max=BODY_BYTES_MAX), admits=self._admits)

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        refused = refusal(request, self._hosts)
        if refused is not None:
            return _problem(refused.status, refused.message)
        if request.method == "POST":
            return await self._do(request)
        if request.path == "/":
            return Response(302, (*_HEADERS, ("location", self._first)))
        if request.path in self._static:
            kind, content = self._static[request.path]
            return Response(200, (*_HEADERS, ("content-type", kind)), content)
        read = self._reads.get(request.path)
        if read is None:
            return _problem(404, f"there is nothing at {request.path}: the console begins at {self._first}")
        return _json(200, msgspec.json.encode(await read()))

    async def _do(self, request: Request) -> Response:
        do = self._does.get(request.path)
        if do is None:
            return _problem(404, f"nothing can be done at {request.path}")
        try:
            done = await do(request.body)
        except msgspec.DecodeError as error:
            return _problem(400, f"this is not what {request.path} takes: {error}")
        except NotFound as error:
            return _problem(404, str(error))
        except CallerError as error:
            return _problem(409, str(error))
        except BackendUnavailable as error:
            return _problem(503, str(error))
        _log.info("console_did", extra={"path": request.path, "order": request.body.decode(errors="replace")})
        return _json(200, msgspec.json.encode(done))


def _static_files(views: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """Read what browsers get: a view's page by the view's name, everything else below `/static/`."""
    found = {}
    for file in files("workshape.console").joinpath("static").iterdir():
        name, _, suffix = file.name.rpartition(".")
        path = f"/{name}" if suffix == "html" else f"{STATIC_PREFIX}{file.name}"
        found[path] = (_TYPES[suffix], file.read_bytes())
    missing = [name for name in views if f"/{name}" not in found]
    assert not missing, f"these views have no page: {missing}"
    return found


def _json(status: int, body: bytes) -> Response:
    return Response(status, (*_HEADERS, ("content-type", JSON_TYPE)), body)


def _problem(status: int, message: str) -> Response:
    return _json(status, msgspec.json.encode({"message": message}))
