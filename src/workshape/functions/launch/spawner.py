"""The process that forks every environment: small and single-threaded, so that forking is cheap and safe.

It runs as `python -m workshape.functions.launch.spawner DESCRIPTOR`, one for each engine, and lives exactly as long
as the other end of that socket is open. What holds where:

- Linux, any user: an environment's main process is a child subreaper, so whatever it starts, daemons of their own
  session included, stays below it and ends with it. Should the main process end first, its orphans come to the
  spawner, which ends them. When the engine dies (kill -9 included) the spawner ends every environment and itself;
  when the spawner dies the kernel kills the main processes (PR_SET_PDEATHSIG).
- Linux, where a memory cgroup may be made (root, cgroup v1 or v2): the function's memory limit, kept by the kernel.
  Elsewhere there is no limit.
- macOS: an environment's process group ends with it; a process that made a session of its own does not.

Source: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html,
https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workshape.functions.launch.process_tree import (
    children,
    descendants,
    send_group_signal,
    send_signal,
    stop_tree,
)

HEADER_BYTES = 4
LAST_WAIT_S = 10.0
"""How long the spawner waits for killed processes before it leaves them to the kernel."""
OPEN_FILES_MAX = 1024  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (file descriptors)

_READY = b"\0"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def write_message(control: socket.socket, message: dict[str, Any]) -> None:
    """Send one message; blocks while the other side does not read."""
    control.sendall(pack(message))


def pack(message: dict[str, Any]) -> bytes:
    """Frame a message: its length in four bytes, then JSON."""
    body = json.dumps(message).encode()
    return len(body).to_bytes(HEADER_BYTES, "big") + body


@dataclass(slots=True)
class _Environment:
    """One environment's processes, until the last is gone."""

    pid: int
    cgroup: str
    status: int | None = None
    """Of the main process, once it has ended."""
    remains: set[int] = field(default_factory=set)
    """Processes that were killed and have not been seen dead."""


class Spawner:
    """Obeys the engine's messages; tells it when an environment has wholly ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._environments: dict[int, _Environment] = {}
        self._engine_alive = True
        self._cgroups = ""
        self._prepared = 0
        self._embryo: _Embryo | None = None

    def run(self) -> None:
        """Serve until the engine closes its end; then end everything."""
        child_ended = _wake_on_child()
        while self._engine_alive:
            control = self._control.fileno()
            readable, _, _ = select.select([control, child_ended], [], [])
            if child_ended in readable:
                os.read(child_ended, 4096)
                self._reap()
            if control in readable:
                self._obey()
        for environment in list(self._environments.values()):
            self._kill(environment)
        deadline = time.monotonic() + LAST_WAIT_S
        while self._environments and time.monotonic() < deadline:
            select.select([child_ended], [], [], 0.05)
            self._reap()
        if self._embryo is not None:
            _discard(self._embryo)
        _remove_cgroup(self._cgroups)

    def _obey(self) -> None:
        received = _read_message(self._control)
        if received is None:
            self._engine_alive = False
            return
        message, descriptor = received
        if message["do"] == "start":
            self._start(message, descriptor)
        elif (environment := self._environments.get(message["pid"])) is not None:
            self._kill(environment)

    def _start(self, message: dict[str, Any], output: int) -> None:
        self._cgroups = message["cgroups"]
        try:
            environment = self._hatch(message, output)
        except OSError as error:
            self._tell({"done": message["id"], "error": str(error)})
        else:
            self._environments[environment.pid] = environment
            self._tell({"done": message["id"], "pid": environment.pid})
        finally:
            os.close(output)
        with contextlib.suppress(OSError):  # the next start tries again, and tells
            self._embryo = self._prepare()

    def _hatch(self, message: dict[str, Any], output: int) -> _Environment:
        prepared, self._embryo = self._embryo, None
        if prepared is not None:
            try:
                return _hatch(prepared, message, output)
            except BrokenPipeError:
                pass  # somebody has killed it while it waited; a new one serves as well
        return _hatch(self._prepare(), message, output)

    def _prepare(self) -> "_Embryo":
        self._prepared += 1
        return _fork(f"{self._cgroups}/{os.getpid()}-{self._prepared}" if self._cgroups else "")

    def _kill(self, environment: _Environment) -> None:
        if environment.status is None:
            environment.remains |= _kill_tree(environment.pid)
            send_group_signal(environment.pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid, status in _ended_children():
            if self._embryo is not None and pid == self._embryo.pid:
                self._embryo.close()
                _remove_cgroup(self._embryo.cgroup)
                self._embryo = None
            if pid in self._environments:
                self._environments[pid].status = status
        ended = [environment for environment in self._environments.values() if environment.status is not None]
        if ended:
            self._kill_orphans(ended[0])
        alive = set(descendants(os.getpid())) if ended else set()
        for environment in ended:
            environment.remains &= alive  # a main process may have buried its own children even as it died
            if not environment.remains:
                del self._environments[environment.pid]
                _remove_cgroup(environment.cgroup)
                self._tell({"ended": environment.pid, "status": environment.status})

    def _kill_orphans(self, ended: _Environment) -> None:
        # Living main processes adopt their own orphans, so whoever is our child and no main process has lost its own.
        known = set[int]().union(*(environment.remains for environment in self._environments.values()))
        known |= self._environments.keys()
        if self._embryo is not None:
            known.add(self._embryo.pid)
        for orphan in set(children(os.getpid())) - known:
            ended.remains |= _kill_tree(orphan)

    def _tell(self, message: dict[str, Any]) -> None:
        if self._engine_alive:
            try:
                write_message(self._control, message)
            except OSError:
                self._engine_alive = False


def _kill_tree(pid: int) -> set[int]:
    found = stop_tree(pid)
    for each in found:
        send_signal(each, signal.SIGKILL)
    return found


@dataclass(slots=True)
class _Embryo:
    """A process that waits to become an environment's: so nobody waits while it joins a cgroup (up to 25 ms)."""

    pid: int
    cgroup: str
    control: socket.socket
    failed: int
    """Readable end of a pipe that says `_READY`, then, if it cannot become what it should, why; closed when it has."""

    def close(self) -> None:
        self.control.close()
        os.close(self.failed)


def _fork(cgroup: str) -> _Embryo:
    """Fork an embryo; it prepares itself and then waits.

    Raises:
        OSError: the machine refuses a process.
    """
    ours, theirs = socket.socketpair()
    failed_read, failed_write = os.pipe()
    spawner_pid = os.getpid()
    if cgroup:
        Path(cgroup).mkdir(parents=True)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _lead(cgroup, spawner_pid)
            order = _read_message(theirs)
            if order is not None:
                os.write(failed_write, _READY)
                _become(*order)
        except BaseException as error:  # noqa: BLE001 - a forked child must not return into its parent's code
            os.write(failed_write, (str(error) or type(error).__name__).encode()[:4096])
        os._exit(127)
    theirs.close()
    os.close(failed_write)
    return _Embryo(pid, cgroup, ours, failed_read)


def _hatch(embryo: _Embryo, message: dict[str, Any], output: int) -> _Environment:
    """Make an embryo an environment's main process; return when it has become the interpreter.

    Raises:
        BrokenPipeError: the embryo has died.
        OSError: it could not become what it should, and says why.
    """
    try:
        if embryo.cgroup:
            _limit_memory(Path(embryo.cgroup), message["memory_bytes"])
        data = pack(message)
        with contextlib.suppress(BrokenPipeError):  # what it has said, if anything, tells why
            sent = socket.send_fds(embryo.control, [data], [output])
            if sent < len(data):
                embryo.control.sendall(data[sent:])
        said = b""
        while part := os.read(embryo.failed, 4096):
            said += part
        if said != _READY:
            reason = said.removeprefix(_READY).decode(errors="replace")
            raise OSError(reason) if reason else BrokenPipeError("the new process ended as it started")
    except OSError:
        _discard(embryo)
        raise
    embryo.close()
    return _Environment(embryo.pid, embryo.cgroup)


def _discard(embryo: _Embryo) -> None:
    embryo.close()
    send_signal(embryo.pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(embryo.pid, 0)
    _remove_cgroup(embryo.cgroup)


def _lead(cgroup: str, spawner_pid: int) -> None:
    """Become the leader of an environment's processes: everything but the program itself."""
    os.setsid()
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if os.getppid() != spawner_pid:
            os._exit(127)  # the spawner died before the kernel knew that we should die with it
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if cgroup:
        Path(cgroup, "cgroup.procs").write_text("0")


def _become(message: dict[str, Any], output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(message["folder"])
    os.execve(message["arguments"][0], message["arguments"], message["variables"])  # noqa: S606 - no shell is wanted


def _read_message(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    """Receive one message with its descriptor (-1: none came along); None when the other end is closed."""
    try:
        header, descriptors, _, _ = socket.recv_fds(control, HEADER_BYTES, 1)
        length_missing = HEADER_BYTES - len(header)
        if not header:
            return None
        header += _read_exactly(control, length_missing)
        body = _read_exactly(control, int.from_bytes(header, "big"))
    except (OSError, EOFError):
        return None
    return json.loads(body), descriptors[0] if descriptors else -1


def _read_exactly(control: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = control.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received


def _wake_on_child() -> int:
    """Return a descriptor that becomes readable whenever a child has ended."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return readable


def _ended_children() -> list[tuple[int, int]]:
    ended = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended.append((pid, status))
    return ended


def _limit_memory(folder: Path, memory_bytes: int) -> None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        if (folder / name).exists():
            (folder / name).write_text(str(memory_bytes))
    if (folder / "memory.swap.max").exists():
        (folder / "memory.swap.max").write_text("0")


def _remove_cgroup(path: str) -> None:
    # The kernel may still hold on to the last task for a moment; what is left then, the engine removes when it closes.
    if path:
        with contextlib.suppress(OSError):
            Path(path).rmdir()


def main() -> None:
    """Run as a process of its own; the argument is the control socket's descriptor."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the engine's end is our end; nothing else is
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Spawner(control).run()
    for pid in descendants(os.getpid()):
        send_signal(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
