"""The engine's side of the spawner: messages to it, answers from it, without ever blocking the event loop."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from workshape.functions.launch.spawner import HEADER_BYTES, pack

_log = logging.getLogger(__name__)
_KILLED = 9  # a wait status: ended by signal 9


@dataclass(frozen=True, slots=True)
class SpawnOrder:
    """What to execute, and how."""

    arguments: Sequence[str]
    """The first is the program's absolute path."""
    variables: Mapping[str, str]
    """The whole environment: nothing is inherited."""
    folder: str
    """Working directory."""
    cgroups: str = ""
    """Folder in which a memory cgroup is made for it; empty: none."""
    memory_bytes: int = 0


class SpawnChannel:
    """One spawner process. `start` once, then `spawn` and `kill` as often as needed, then `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket
        self._received = b""
        # Bounded by what callers have under way: a start for each environment being made, a kill for each ending.
        self._unsent: deque[tuple[bytes, int]] = deque()
        self._starting: dict[int, tuple[asyncio.Future[int], Callable[[int], None]]] = {}
        self._ended: dict[int, Callable[[int], None]] = {}
        self._count = 0
        self._closing = False

    @property
    def alive(self) -> bool:
        """False before `start`, and once the spawner has ended."""
        return self._process is not None

    def start(self) -> None:
        """Start the spawner process."""
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "workshape.functions.launch.spawner", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._received = b""
        self._loop.add_reader(ours.fileno(), self._receive)

    async def spawn(self, order: SpawnOrder, output: int, ended: Callable[[int], None]) -> int:
        """Start a process whose output goes to the descriptor `output` (closed here); return its pid.

        `ended` is called once with its wait status, when it and everything below it is gone.

        Raises:
            OSError: it could not be executed, or the spawner is gone.
        """
        if not self.alive:
            os.close(output)
            raise OSError("the process that starts environments is not there")
        self._count += 1
        answer: asyncio.Future[int] = self._loop.create_future()
        self._starting[self._count] = (answer, ended)
        message = {
            "do": "start",
            "id": self._count,
            "arguments": list(order.arguments),
            "variables": dict(order.variables),
            "folder": order.folder,
            "cgroups": order.cgroups,
            "memory_bytes": order.memory_bytes,
        }
        self._send(pack(message), output)
        return await answer

    def kill(self, pid: int) -> None:
        """End a spawned process and everything below it; its `ended` tells when that is done."""
        if self.alive:
            self._send(pack({"do": "kill", "pid": pid}), -1)

    async def close(self) -> None:
        """End every process still there, and the spawner."""
        process = self._process
        if process is not None:
            self._closing = True
            self._socket.shutdown(socket.SHUT_WR)
            await self._loop.run_in_executor(None, process.wait)
            self._lost()

    def _send(self, data: bytes, descriptor: int) -> None:
        self._unsent.append((data, descriptor))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data, descriptor = self._unsent[0]
            try:
                count = socket.send_fds(self._socket, [data], [descriptor] if descriptor >= 0 else [])
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._flush)
                return
            except OSError:
                self._lost()
                return
            if descriptor >= 0:
                os.close(descriptor)
            if count < len(data):
                self._unsent[0] = (data[count:], -1)
            else:
                self._unsent.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        self._received += data
        while len(self._received) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(self._received[:HEADER_BYTES], "big")
            if len(self._received) < end:
                break
            message = msgspec.json.decode(self._received[HEADER_BYTES:end])
            self._received = self._received[end:]
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        if "ended" in message:
            self._ended.pop(message["ended"])(message["status"])
            return
        answer, ended = self._starting.pop(message["done"])
        if "error" in message:
            if not answer.done():
                answer.set_exception(OSError(message["error"]))
            return
        self._ended[message["pid"]] = ended
        if answer.done():  # whoever wanted it has given up: it must not live on unowned
            self.kill(message["pid"])
        else:
            answer.set_result(message["pid"])

    def _lost(self) -> None:
        """The spawner has ended, and with it, by the kernel's hand, every process it started."""
        if self._process is None:
            return
        process, self._process = self._process, None
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        if not self._closing:
            _log.warning("spawner_lost", extra={"pid": process.pid, "environments": len(self._ended)})
        process.poll()
        while self._unsent:
            _, descriptor = self._unsent.popleft()
            if descriptor >= 0:
                os.close(descriptor)
        for answer, _ in self._starting.values():
            if not answer.done():
                answer.set_exception(OSError("the process that starts environments has ended"))
        self._starting.clear()
        for ended in list(self._ended.values()):
            ended(_KILLED)
        self._ended.clear()
