"""The program of the part `moto`: its application, served by our own server.

moto's own program closes each connection after one answer, and looks through its folders twice a request for which of
its services a host belongs to: more than half of what an upload took.

    python -m workshape.parts.moto_program HOST PORT

Source: https://docs.getmoto.org/en/latest/docs/server_mode.html
"""

import asyncio
import os
import signal
import sys
from functools import lru_cache
from typing import Any

import uvloop
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from workshape.http1.message import Request
from workshape.http1.server import Limits, serve_tcp
from workshape.parts.wsgi import Environ, WsgiHandler, read_environ

BODY_BYTES_MAX = 256 * 1024 * 1024  # as the front door, from which these requests come
HOSTS_KEPT_MAX = 1_024  # hosts are services and regions; those of buckets and queues by name are looked up anew
_NAMES_AS_SENT = "moto.preserved_header_names"  # by the keys of the environ they stand under; moto's own server sets it
_METADATA = "x-amz-meta-"


class _Dispatcher(DomainDispatcherApplication):
    """Remembers which of moto's services a host belongs to."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self.debug = True  # what fails is answered with its traceback, as moto's own server does
        self._service_of = lru_cache(HOSTS_KEPT_MAX)(super().get_backend_for_host)

    def get_backend_for_host(self, host: str | None) -> Any:
        """Return the name of the service."""
        return self._service_of(host)


def describe(request: Request) -> Environ:
    """Describe a request as moto wants it: with the metadata of objects under the names they were sent by.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    environ = read_environ(request)
    names: dict[str, str] = {}
    for name, value in request.headers:
        if "_" not in name or not name.startswith(_METADATA):
            continue
        key = f"HTTP_{name.upper().replace('-', '_')}"
        if key in names:
            environ[key] = f"{environ[key]},{value}"
        elif key not in environ:  # one with hyphens alone has it already
            environ[key] = value
            names[key] = name
    environ[_NAMES_AS_SENT] = names
    return environ


async def serve(host: str, port: int) -> None:
    """Answer until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    handler = WsgiHandler(_Dispatcher(), host, port, describe)
    server = await serve_tcp(handler.answer, host, port, Limits(body_bytes_max=BODY_BYTES_MAX))
    await ended.wait()
    await server.close()
    handler.close()


def main(arguments: list[str]) -> None:
    """Serve as the arguments say."""
    host, port = arguments[0], int(arguments[1])
    os.environ["MOTO_PORT"] = str(port)  # by which it finds itself
    try:
        uvloop.run(serve(host, port))
    except OSError as error:
        sys.exit(f"{host}:{port} cannot be listened on: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
