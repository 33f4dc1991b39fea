"""Serves a WSGI application, each request in a thread, over connections that are kept.

Source: https://peps.python.org/pep-3333/
"""

import asyncio
import io
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes

from workshape.http1.message import Request, Response

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

THREADS_MAX = 64  # requests at once: more than a machine works on, and room for an application that asks itself
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})  # the server's, both ways


class WsgiHandler:
    """A handler for `http1.server` that asks the application."""

    def __init__(
        self, application: Application, host: str, port: int, describe: Callable[[Request], Environ] | None = None
    ) -> None:
        """`host` and `port` are where it is served; `describe` is `read_environ`, or more."""
        self._application = application
        self._describe = describe or read_environ
        self._here = {"SERVER_NAME": host, "SERVER_PORT": str(port)}
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="wsgi")

    def __repr__(self) -> str:
        return f"<WsgiHandler {self._here['SERVER_NAME']}:{self._here['SERVER_PORT']}>"

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        environ = {**self._describe(request), **self._here}
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, environ)

    def close(self) -> None:
        """Take no more requests; those under way go on in their threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, environ: Environ) -> Response:
        said: list[tuple[str, list[tuple[str, str]]]] = []
        written: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], _failure: object = None) -> Any:
            said.append((status, headers))  # a second time after a failure: the last one counts, nothing has left yet
            return written.append

        body = self._application(environ, start_response)
        try:
            written.extend(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        status, headers = said[-1]
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        kept = [
            (name.lower(), value)
            for name, value in headers
            if name.lower() not in _FRAMING or (is_head and name.lower() == "content-length")
        ]
        return Response(int(status.split(None, 1)[0]), tuple(kept), b"".join(written))


def read_environ(request: Request) -> Environ:
    """Describe a request as WSGI does; the body is whole, whatever coding it came in.

    A header whose name has an underscore is left out, as servers do: it cannot be told from one with a hyphen.
    """
    path, _, query = request.target.partition("?")
    environ: Environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": request.target,  # not WSGI's own, but what applications read to see what decoding hides
        "RAW_URI": request.target,
        "REMOTE_ADDR": request.peer,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **_headers(request),
    }
    return environ


def _headers(request: Request) -> Mapping[str, str]:
    read: dict[str, str] = {}
    for name, value in request.headers:
        if "_" in name or name in _FRAMING:
            continue
        key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
        read[key] = f"{read[key]},{value}" if key in read else value
    return read
