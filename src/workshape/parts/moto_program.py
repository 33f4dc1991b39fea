"""The program of the part `moto`: moto's server, which remembers which of its services a host belongs to.

moto's own program looks through its folders for that, twice a request: about half of what an upload took. And it
answers whoever finds its port, and lets pages of any origin read the answers; here browsers come in by the front door
alone, which knows whose pages it is for. What that passes on names the door in `Host`, and not this port.

    python -m workshape.parts.moto_program HOST PORT

Source: https://docs.getmoto.org/en/latest/docs/server_mode.html
"""

import logging
import os
import signal
import sys
from functools import lru_cache
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

OWN_NAMES = ("127.0.0.1", "localhost")
SIGNS_OF_A_PAGE = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE")
"""Headers that pages cannot leave out, by their names in WSGI.

Source: https://peps.python.org/pep-3333/#environ-variables
"""
HOSTS_KEPT_MAX = 1_024  # hosts are services and regions; those of buckets and queues by name are looked up anew


class _Dispatcher(DomainDispatcherApplication):
    """Remembers which of moto's services a host belongs to."""

    def __init__(self, port: int) -> None:
        super().__init__(create_backend_app)
        self.debug = True  # what fails is answered with its traceback, as moto's own program does
        self._port = str(port)
        self._service_of = lru_cache(HOSTS_KEPT_MAX)(super().get_backend_for_host)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request, unless a browser was sent here past the front door."""
        name, _, port = environ.get("HTTP_HOST", "").rpartition(":")
        if port == self._port and (name not in OWN_NAMES or any(sign in environ for sign in SIGNS_OF_A_PAGE)):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"browsers come in by the front door\n"]
        return super().__call__(environ, start_response)

    def get_backend_for_host(self, host: str | None) -> Any:
        """Return the name of the service."""
        return self._service_of(host)


class _RequestHandler(MotoRequestHandler):
    """Sends an answer's parts as they come."""

    disable_nagle_algorithm = True


def main(arguments: list[str]) -> None:
    """Serve, until SIGTERM or SIGINT."""
    host, port = arguments[0], int(arguments[1])
    os.environ["MOTO_PORT"] = str(port)  # by which it finds itself
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: sys.exit(0))
    run_simple(host, port, _Dispatcher(port), threaded=True, request_handler=_RequestHandler)


if __name__ == "__main__":
    main(sys.argv[1:])
