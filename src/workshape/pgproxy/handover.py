"""How one proxy process follows another at the same addresses, without a client noticing.

A running proxy waits at a UNIX socket in its state folder. Its successor asks there for the listening sockets
themselves (SCM_RIGHTS): both then hold the same queue of arriving connections, so none is lost when the older one lets
go. The older one serves its clients until they leave; meanwhile the successor passes cancel requests on to it that are
not for its own.

    successor -> proxy    {"take_over": true}
    proxy -> successor    {"endpoints": [{"host", "port"}, ...]} and the sockets, in this order
    successor -> proxy    {"listening": true}          it has them in use
    proxy -> successor    {"let_go": true}             the status port is free, and this path
    successor -> proxy    {"cancel": "HEX"}            as often as wanted

A message is a line of JSON. Only processes of the same user (or root) are heard.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workshape.errors import Conflict
from workshape.http1.server import HttpServer
from workshape.pgproxy.config import Endpoint
from workshape.pgproxy.server import ProxyServer

WAIT_S_MAX = 10.0  # for each word of the other: it has nothing to do but answer
LINE_BYTES_MAX = 64 * 1024  # some hundred endpoints
SOCKETS_MAX = 253  # that one message may carry. Source: https://man7.org/linux/man-pages/man7/unix.7.html (SCM_RIGHTS)
ACCEPT_AGAIN_S = 1.0  # after a failure to accept
SUCCESSORS_MAX = 4  # at once: one is the rule

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Inheritance:
    """What a predecessor left: its listening sockets, and a line to it."""

    sockets: list[tuple[Endpoint, socket.socket]]
    line: socket.socket

    def of(self, endpoint: Endpoint) -> list[socket.socket]:
        """Take the sockets of an endpoint: of that address, whatever it was called."""
        found = [sock for one, sock in self.sockets if (one.host, one.port) == (endpoint.host, endpoint.port)]
        self.sockets = [(one, sock) for one, sock in self.sockets if sock not in found]
        return found

    async def confirm(self) -> None:
        """Say that the sockets are in use; return when the predecessor has let go of everything.

        Raises:
            Conflict: it does not answer.
        """
        for _, unused in self.sockets:
            unused.close()
        self.line.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await loop.sock_sendall(self.line, _line({"listening": True}))
                if not (await loop.sock_recv(self.line, LINE_BYTES_MAX)).endswith(b"\n"):
                    raise ConnectionError("it hung up")
        except (TimeoutError, OSError) as error:
            raise Conflict(reason=f"the proxy that is being replaced did not let go: {error}") from error

    async def wait_ended(self) -> None:
        """Return when the predecessor has ended: until then cancel requests for its clients come this way."""
        with contextlib.suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(self.line, 1):
                pass

    def close(self) -> None:
        """Forget the predecessor."""
        self.line.close()

    async def cancel(self, session_key: bytes) -> None:
        """Pass a cancel request on; it may be for one of the predecessor's clients, or for nobody's."""
        with contextlib.suppress(OSError):  # the predecessor has ended, and with it its clients
            await asyncio.get_running_loop().sock_sendall(self.line, _line({"cancel": session_key.hex()}))


def inherit(path: Path) -> Inheritance | None:
    """Ask the proxy that waits at this path for its sockets; None: there is none.

    Raises:
        Conflict: it is somebody else's, or it does not answer.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(WAIT_S_MAX)
    try:
        line.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        line.close()
        return None
    except OSError as error:
        line.close()
        raise Conflict(reason=f"{path}: {error.strerror}") from error
    try:
        if not _is_ours(line):
            raise Conflict(reason=f"{path}: the proxy there is another user's")
        line.sendall(_line({"take_over": True}))
        said, descriptors = _receive(line)
        endpoints = [Endpoint(one["host"], one["port"]) for one in json.loads(said)["endpoints"]]
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        return Inheritance(list(zip(endpoints, sockets, strict=True)), line)
    except (OSError, ValueError, LookupError) as error:
        line.close()
        raise Conflict(reason=f"{path}: the proxy there did not hand its sockets over: {error}") from error
    except Conflict:
        line.close()
        raise


class HandoverPoint:
    """Where a running proxy waits for its successor. `open`, then `close`."""

    def __init__(self, path: Path, proxy: ProxyServer, status: HttpServer | None) -> None:
        """`status` answers at the status port, which the successor wants, too."""
        self._path = path
        self._proxy = proxy
        self._status = status
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._accepting: asyncio.Task[None] | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.is_taken_over = False

    def __repr__(self) -> str:
        return f"<HandoverPoint {self._path} taken_over={self.is_taken_over}>"

    def open(self) -> None:
        """Wait at the path, in the place of whoever waited there before.

        Raises:
            OSError: it cannot be made.
        """
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(self._path))
        finally:
            os.umask(before)
        self._listener.listen(SUCCESSORS_MAX)
        self._listener.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Wait no longer."""
        tasks = [task for task in (self._accepting, *self._lines) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._leave()

    def _leave(self) -> None:
        if not self.is_taken_over and self._accepting is not None:
            self._path.unlink(missing_ok=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                line, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # no descriptors left, say
                _log.warning("handover_failed", extra={"reason": str(error)})
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            if len(self._lines) >= SUCCESSORS_MAX or not _is_ours(line):
                _log.warning("handover_refused", extra={"path": str(self._path)})
                line.close()
                continue
            task = loop.create_task(self._talk(line))
            self._lines.add(task)
            task.add_done_callback(self._lines.discard)

    async def _talk(self, line: socket.socket) -> None:
        """Hand over to one successor, then cancel for it what it asks for."""
        line.setblocking(False)
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await self._hand_over(line)
            await self._cancel_for(line)
        except (OSError, TimeoutError, ValueError) as error:
            _log.warning("handover_failed", extra={"reason": str(error) or type(error).__name__})
        finally:
            line.close()

    async def _hand_over(self, line: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if "take_over" not in json.loads(await _read_line(line)):
            raise ValueError("it did not ask for a take-over")
        listening = self._proxy.listening()[:SOCKETS_MAX]
        said = [{"host": endpoint.host, "port": port} for endpoint, port, _ in listening]
        socket.send_fds(line, [_line({"endpoints": said})], [descriptor for _, _, descriptor in listening])
        if "listening" not in json.loads(await _read_line(line)):
            raise ValueError("it does not listen")
        self.is_taken_over = True
        self._proxy.drain()
        if self._status is not None:
            await self._status.close()
        self._path.unlink(missing_ok=True)
        await loop.sock_sendall(line, _line({"let_go": True}))
        _log.info("handed_over", extra={"endpoints": len(said)})

    async def _cancel_for(self, line: socket.socket) -> None:
        while (said := await _read_line(line)) != b"":
            await self._proxy.cancel(bytes.fromhex(json.loads(said)["cancel"]))


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def _read_line(line: socket.socket) -> bytes:
    """Read up to a newline, a byte at a time: lines are short and few. Empty at the end."""
    read = bytearray()
    loop = asyncio.get_running_loop()
    while not read.endswith(b"\n"):
        data = await loop.sock_recv(line, 1)
        if not data or len(read) > LINE_BYTES_MAX:
            return b""
        read += data
    return bytes(read)


def _receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """Receive a line and the descriptors that come with its first byte."""
    said, descriptors, _, _ = socket.recv_fds(line, LINE_BYTES_MAX, SOCKETS_MAX)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    while said and not said.endswith(b"\n"):
        said += line.recv(LINE_BYTES_MAX)
    return said, descriptors


def _is_ours(line: socket.socket) -> bool:
    """Whether the other end runs as we do, or as root. Where the system does not say, the file's mode has kept others
    out.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in (0, os.geteuid())
