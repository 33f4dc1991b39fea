"""A request on its way to its answer, and what it is answered when somebody has failed."""

import logging

import msgspec

from workshape.http1.message import Request, Response

_log = logging.getLogger(__name__)
_FAILED = Response(500, (("content-type", "text/plain"),), b"internal failure; the log has the details\n")


class Exchange(msgspec.Struct):
    """A request that was read and not yet answered, or only its answer is left to be sent in its turn."""

    request: Request
    keep_alive: bool
    chunks_allowed: bool = True
    """HTTP/1.0 knows no chunked coding: a stream to it ends with the connection."""
    answer: Response | None = None
    """Of a request whose body somebody took, or of what could not be read as a request."""


def failed(request: Request) -> Response:
    """Log what is being handled just now, and answer for it."""
    _log.exception("request_failed", extra={"method": request.method, "path": request.raw_path})
    return _FAILED
