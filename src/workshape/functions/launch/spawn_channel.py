"""The engine's side of a spawner: messages to it, answers from it, without ever blocking the event loop."""

import array
import asyncio
import logging
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import workshape
from workshape.functions.launch.refused_sandbox import explain
from workshape.functions.launch.sealed import seal
from workshape.functions.launch.wire import DESCRIPTORS_MAX, HEADER_BYTES, pack

_log = logging.getLogger(__name__)
_KILLED = 9  # a wait status: ended by signal 9
_SOURCES = str(Path(workshape.__file__).parents[1])
_PROGRAM = (
    f"import sys; sys.path.insert(0, {_SOURCES!r}); from workshape.functions.launch.spawner import main; "
    f"sys.path.remove({_SOURCES!r}); main(int(sys.argv[1]))"
)
"""What a spawner's interpreter runs. It finds workshape's standard-library-only files, and functions do not."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a spawner forks."""

    interpreter: str
    """The program it runs in: for a Python runtime's zygote, that runtime's Python."""
    python_folder: str = ""
    """Where that Python finds AWS's runtime client, to load before forking; empty: it executes programs."""
    root: str = ""
    """An empty folder to mount the sandbox's root at; empty: no sandbox."""
    why_no_root: str = ""
    disks: str = ""
    """A folder of the machine's, for what /tmp of environments is on."""
    show: Sequence[tuple[str, str]] = ()
    """Files and folders of the host's that the sandbox shows, and where."""
    cgroups: Mapping[str, str] = field(default_factory=dict)
    """By controller, the folder in which each environment gets a cgroup."""
    stems: int = 2
    """The least to keep in stock, of each kind in use."""


@dataclass(frozen=True, slots=True)
class StemKind:
    """What a stem is before it has a function. Paths are without symbolic links."""

    boot: Sequence[str] = ()
    """The program that is started ahead and reads the order by itself; empty: the spawner's own way."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What that program looks at as it starts."""
    show: Sequence[tuple[str, str]] = ()
    """Files and folders of the host's that the sandbox shows, and where."""

    def message(self) -> dict[str, Any]:
        """Write it for the spawner."""
        return {
            "boot": list(self.boot),
            "boot_variables": dict(self.variables),
            "show": [list(pair) for pair in self.show],
        }


@dataclass(frozen=True, slots=True)
class SpawnOrder:
    """What to become, and how. Paths are without symbolic links."""

    kind: StemKind
    order: str
    """For the new process, in JSON: `arguments`, `variables`, `folder` of a program, or what its runtime reads. May be
    empty when it is not whole."""
    code: str = ""
    """What the sandbox shows as the task root."""
    layers: str = ""
    image: str = ""
    """A folder that is the sandbox's root instead, code and all: an image's."""
    tmp_mb: int = 512
    memory_bytes: int = 0
    is_whole: bool = True
    """Else it is shown its function, and waits to be told the rest over `Spawned.control`."""
    waiting: int = 0
    """How many more are about to be ordered."""
    copied: bool = False
    """It is to be kept where its snapshot is taken, and copied."""
    restore: int = 0
    """The first process of what it is to be a copy of; 0: it begins from the start."""

    def message(self) -> dict[str, Any]:
        """Write it for the spawner, but for the `order`, which that must not read (`sealed.py`)."""
        return {
            **self.kind.message(),
            "code": self.code,
            "layers": self.layers,
            "image": self.image,
            "tmp_mb": self.tmp_mb,
            "memory_bytes": self.memory_bytes,
            "is_whole": self.is_whole,
            "waiting": self.waiting,
            "copied": self.copied,
            "restore": self.restore,
        }


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that has begun to become what it was told to."""

    pid: int
    """Of the first of its processes."""
    user: int
    """The user id it runs as, and nobody else; -1: ours."""
    cgroups: Mapping[str, str]
    """By controller, its own cgroup."""
    output: int
    """A descriptor: what its processes write."""
    connection: socket.socket
    """To the runtime in it, if that uses it."""
    control: socket.socket | None = None
    """Where it waits for the rest of its order; None: it has been told all."""

    def close(self) -> None:
        """Close what it is held by, when nobody has taken that over."""
        os.close(self.output)
        self.connection.close()
        if self.control is not None:
            self.control.close()


class SpawnerFailed(OSError):
    """The process that starts environments cannot do its work, and says why."""


class SpawnChannel:
    """One spawner process. `start` it, then `spawn` and `kill` as often as needed, then `close`."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket
        self._received = b""
        self._descriptors: deque[int] = deque()
        # Bounded by what callers have under way: a start for each environment being made, a kill for each ending.
        self._unsent: deque[tuple[bytes, int]] = deque()
        """And a descriptor that goes with it, or -1."""
        self._starting: dict[int, tuple[asyncio.Future[Spawned], Callable[[int], None]]] = {}
        self._ended: dict[int, Callable[[int], None]] = {}
        self._keeping: dict[int, asyncio.Future[str]] = {}
        self._lost_by_pid: dict[int, Callable[[], None]] = {}
        self._count = 0
        self._closing = False
        self._failure = ""
        self.sandbox: asyncio.Future[str] = self._loop.create_future()
        """Why its environments have no sandbox; empty: they have."""
        self._disks: asyncio.Future[str] | None = None

    def __repr__(self) -> str:
        return f"<SpawnChannel {self._configuration.interpreter} {'alive' if self.alive else 'ended'}>"

    @property
    def alive(self) -> bool:
        """False before `start`, and once the spawner has ended."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The spawner's process id."""
        assert self._process is not None, "not started, or ended"
        return self._process.pid

    def start(self) -> None:
        """Start the spawner process."""
        ours, theirs = socket.socketpair()
        configuration = self._configuration
        self._process = subprocess.Popen(
            [configuration.interpreter, "-c", _PROGRAM, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            # The functions' own variables come with each start; what the interpreter reads at its start is this.
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": ":UTC", "PYTHONNOUSERSITE": "1"},
        )
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._received = b""
        self._loop.add_reader(ours.fileno(), self._receive)
        self._send(
            {
                "root": configuration.root,
                "why_no_root": configuration.why_no_root,
                "disks": configuration.disks,
                "show": [list(pair) for pair in configuration.show],
                "python": configuration.python_folder,
                "cgroups": dict(configuration.cgroups),
                "stems": configuration.stems,
            }
        )

    async def why_no_disks(self) -> str:
        """Say why /tmp of its environments is not on disk; empty: it is. Ask once at a time.

        Raises:
            OSError: the spawner is gone.
        """
        if not self.alive:
            raise OSError(self._failure or "the process that starts environments is not there")
        self._disks = self._loop.create_future()
        self._send({"do": "try disks"})
        return await self._disks

    async def spawn(self, order: SpawnOrder, ended: Callable[[int], None]) -> Spawned:
        """Start a process.

        `ended` is called once with its wait status, when it and everything below it is gone.

        Raises:
            OSError: it could not be executed, or the spawner is gone.
        """
        if not self.alive:
            raise OSError(self._failure or "the process that starts environments is not there")
        self._count += 1
        answer: asyncio.Future[Spawned] = self._loop.create_future()
        self._starting[self._count] = (answer, ended)
        sealed = seal(order.order) if order.order else -1
        self._send({"do": "start", "id": self._count, **order.message()}, sealed)
        return await answer

    def stock(self, kind: StemKind) -> None:
        """Keep stems of a kind in stock from now on."""
        if self.alive:
            self._send({"do": "stock", **kind.message()})

    def kill(self, pid: int) -> None:
        """End a spawned process and everything below it; its `ended` tells when that is done."""
        if self.alive:
            self._send({"do": "kill", "pid": pid})

    async def keep(self, pid: int, lost: Callable[[], None]) -> str:
        """Keep a process that has come to its snapshot, to be copied; return why it cannot be, if so.

        `lost` is called once if it ends all the same.
        """
        if not self.alive:
            return self._failure or "the process that starts environments has ended"
        answer = self._keeping[pid] = self._loop.create_future()
        self._lost_by_pid[pid] = lost
        self._send({"do": "keep", "pid": pid})
        reason: str = await answer
        if reason:
            self._lost_by_pid.pop(pid, None)
        return reason

    def drop(self, pid: int) -> None:
        """Make no more copies of a process that is kept; it ends."""
        self._lost_by_pid.pop(pid, None)
        if self.alive:
            self._send({"do": "drop", "pid": pid})

    async def close(self) -> None:
        """End every process still there, and the spawner."""
        process = self._process
        if process is not None:
            self._closing = True
            self._socket.shutdown(socket.SHUT_WR)
            await self._loop.run_in_executor(None, process.wait)
            self._lost()

    def _send(self, message: dict[str, Any], descriptor: int = -1) -> None:
        self._unsent.append((pack(message), descriptor))
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
                self._unsent[0] = data[count:], -1
            else:
                self._unsent.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _receive(self) -> None:
        try:
            data = self._receive_with_descriptors()
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

    def _why_no_sandbox(self, said: str) -> str:
        """Explain what the spawner says; what it has not tried it was told itself."""
        if not said or not self._configuration.root:
            return said
        return explain(said, Path("/proc/self/status").read_text(), Path("/proc/self/uid_map").read_text())

    def _receive_with_descriptors(self) -> bytes:
        # One read ends where the next descriptors begin, so they are never more than a message's.
        room = socket.CMSG_LEN(DESCRIPTORS_MAX * array.array("i").itemsize)
        data, ancillary, _, _ = self._socket.recvmsg(1 << 16, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
                self._descriptors += descriptors
        return data

    def _hear(self, message: dict[str, Any]) -> None:
        if "ended" in message:
            self._ended.pop(message["ended"])(message["status"])
        elif "kept" in message:
            self._was_kept(message["kept"], message["reason"])
        elif "lost" in message:
            self._lost_by_pid.pop(message["lost"], _nothing)()
        elif "sandbox" in message:
            self.sandbox.set_result(self._why_no_sandbox(message["sandbox"]))
        elif "disks" in message:
            assert self._disks is not None, "it was asked"
            self._disks.set_result(message["disks"])
        elif "failed" in message:
            self._failure = message["failed"]
        else:
            self._started(message)

    def _was_kept(self, pid: int, reason: str) -> None:
        answer = self._keeping.pop(pid)
        if not answer.done():  # whoever wanted it has given up
            answer.set_result(reason)

    def _started(self, message: dict[str, Any]) -> None:
        answer, ended = self._starting.pop(message["done"])
        if "error" in message:
            if not answer.done():
                answer.set_exception(OSError(message["error"]))
            return
        spawned = Spawned(
            message["pid"],
            message["user"],
            message["cgroups"],
            self._descriptors.popleft(),
            socket.socket(fileno=self._descriptors.popleft()),
            None if message["is_whole"] else socket.socket(fileno=self._descriptors.popleft()),
        )
        self._ended[spawned.pid] = ended
        if answer.done():  # whoever wanted it has given up: it must not live on unowned
            spawned.close()
            self.kill(spawned.pid)
        else:
            answer.set_result(spawned)

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
        self._close_descriptors()
        reason = self._failure or "the process that starts environments has ended"
        for answer in (self.sandbox, self._disks):
            if answer is not None and not answer.done():
                answer.set_exception(SpawnerFailed(reason))
                answer.exception()  # whoever waits is told; that nobody does is no fault
        self._fail_starts(reason)
        for pid in list(self._keeping):
            self._was_kept(pid, reason)
        for lost in list(self._lost_by_pid.values()):
            lost()
        self._lost_by_pid.clear()
        for ended in list(self._ended.values()):
            ended(_KILLED)
        self._ended.clear()

    def _close_descriptors(self) -> None:
        """Close those on their way there, and those that came and nobody took."""
        for descriptor in (*(sealed for _, sealed in self._unsent if sealed >= 0), *self._descriptors):
            os.close(descriptor)
        self._unsent.clear()
        self._descriptors.clear()

    def _fail_starts(self, reason: str) -> None:
        for answer, _ in self._starting.values():
            if not answer.done():
                answer.set_exception(OSError(reason))
        self._starting.clear()


def _nothing() -> None:
    """Nobody wants to know."""
