"""TLS in front of a PostgreSQL server that was built without it, as a process of its own.

A client that asks for TLS gets it here; what it says afterwards goes to the server as it is, and a client that does
not ask is passed on plainly, as `host` lines of pg_hba.conf would. One connection of a client is one connection of the
server, so the server's own limits (max_connections) are met as they would be without this.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
"""

import argparse
import asyncio
import signal
import ssl
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import uvloop

from workshape.errors import PortInUse
from workshape.parts.process import Program, Server
from workshape.parts.readiness import Readiness, names_taken_port

REQUEST_BYTES = 8  # an SSLRequest: length and code
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
HANDSHAKE_S_MAX = 10.0  # a client that connects and then says nothing does not keep its place
BACKLOG = 1024
READY_S_MAX = 15.0


def tls_front(
    *, listen: tuple[str, int], server: tuple[str, int], certificate: Path, key: Path, folder: Path, log_file: Path
) -> Server:
    """Make the part that takes TLS on `listen` and speaks plainly to `server`."""
    arguments = [sys.executable, "-m", "workshape.parts.tls_front"]
    arguments += [*(listen[0], str(listen[1])), *(server[0], str(server[1])), str(certificate), str(key)]
    program = Program(name="postgres-tls", arguments=arguments, folder=folder, log_file=log_file)
    return Server(program, None, READY_S_MAX)


class _ServerSide(asyncio.Protocol):
    """The connection to the server; what it says goes to the client."""

    def __init__(self, client: "_ClientSide") -> None:
        self._client = client
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.transport.close()

    def pause_writing(self) -> None:
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        self._client.transport.resume_reading()


class _ClientSide(asyncio.Protocol):
    """A client's connection, from its first bytes on."""

    def __init__(self, front: "_Front") -> None:
        self._front = front
        self._first = b""
        self._encrypted = False
        self._server: _ServerSide | None = None
        self._opening: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_S_MAX, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._server is not None:
            self._server.transport.write(data)
            return
        self._first += data
        if self._opening is None and len(self._first) >= REQUEST_BYTES:
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._opening is not None:
            self._opening.cancel()
        if self._server is not None:
            self._server.transport.close()

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None:
            self._server.transport.resume_reading()

    def _begin(self) -> None:
        _, code = struct.unpack("!ii", self._first[:REQUEST_BYTES])
        if code == SSL_REQUEST and not self._encrypted:
            if len(self._first) > REQUEST_BYTES:  # sent before the handshake: somebody in between may have put it there
                self.transport.abort()
                return
            self._first = b""
            self._start(self._encrypt())
        elif code == GSSENC_REQUEST:
            self._first = self._first[REQUEST_BYTES:]
            self.transport.write(b"N")
        else:
            self.transport.pause_reading()
            self._start(self._connect())

    def _start(self, opening: "asyncio._CoroutineLike[None]") -> None:
        self._opening = asyncio.get_running_loop().create_task(opening)

    async def _encrypt(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport.write(b"S")
        try:
            encrypted = await loop.start_tls(
                self.transport, self, self._front.context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S_MAX
            )
        except (OSError, ssl.SSLError):  # the client turned away: a wrong CA, a port scan
            self.transport.abort()
            return
        if encrypted is None:
            return
        self.transport = encrypted
        self._encrypted = True
        self._opening = None
        if len(self._first) >= REQUEST_BYTES:
            self._begin()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(lambda: _ServerSide(self), *self._front.server)
        except OSError:  # the server restarts; the client sees a connection that ended, as it would without us
            self.transport.abort()
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._server = server
        server.transport.write(self._first)
        self._first = b""
        self.transport.resume_reading()


class _Front:
    """What all connections share."""

    def __init__(self, server: tuple[str, int], context: ssl.SSLContext) -> None:
        self.server = server
        self.context = context


async def serve(
    listen: tuple[str, int], server: tuple[str, int], context: ssl.SSLContext, ready: Callable[[], None]
) -> None:
    """Listen until SIGTERM or SIGINT.

    Raises:
        PortInUse: somebody else does.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ended.set)
    front = _Front(server, context)
    with names_taken_port(*listen, "database"):
        listener = await loop.create_server(lambda: _ClientSide(front), *listen, backlog=BACKLOG)
    ready()
    await ended.wait()
    listener.close()


def main(arguments: Sequence[str]) -> None:
    """Run the front as the arguments say."""
    readiness = Readiness.inherited()
    parser = argparse.ArgumentParser(prog="python -m workshape.parts.tls_front")
    for name in ("host", "port", "server_host", "server_port", "certificate", "key"):
        parser.add_argument(name, type=int if name.endswith("port") else str)
    parsed = parser.parse_args(arguments)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # as PostgreSQL's ssl_min_protocol_version
    context.load_cert_chain(parsed.certificate, parsed.key)
    listen, server = (parsed.host, parsed.port), (parsed.server_host, parsed.server_port)
    try:
        uvloop.run(serve(listen, server, context, readiness.tell))
    except KeyboardInterrupt:
        pass
    except (PortInUse, OSError) as error:
        readiness.fail(str(error))
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
