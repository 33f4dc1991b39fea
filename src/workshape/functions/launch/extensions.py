"""Starts an environment's external extensions, and watches over them and the runtime.

`supervise` is called in the process that was made for an environment, before it becomes the runtime. That process stays
what it is: the parent of everything in the environment. It tells the platform who has ended, through the environment's
own API (see `SUPERVISOR_PATH`; whoever else speaks to that can only end its own environment).

Standard library only, Python 3.10.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from workshape.functions.launch import linux, sandbox

SUPERVISOR_PATH = "/_workshape/supervisor/"
REGISTERED = "registered"
"""GET: answered once every extension has registered: then the runtime may start."""
EXITED = "exited"
"""POST `{"name": NAME, "status": WAIT STATUS}` (the runtime has no name), or `{"name": NAME, "error": WHY}`."""
OUTPUT = "output/"
"""POST to it with an extension's name behind: what that has written."""
TELL_S_MAX = 5.0
OUTPUT_BYTES_MAX = 64 * 1024  # at once
_FOLDER = "extensions"  # of /opt
_NOT_FOR_EXTENSIONS = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_AWS_XRAY_DAEMON_ADDRESS",
        "_AWS_XRAY_DAEMON_PORT",
        "_HANDLER",
    }
)


def extension_names(opt_folder: str) -> list[str]:
    """List the external extensions of an /opt: the full file names by which they must register."""
    if not opt_folder:
        return []
    try:
        with os.scandir(os.path.join(opt_folder, _FOLDER)) as entries:
            return sorted(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []


def supervise(opt_folder: str, variables: Mapping[str, str], keep: Iterable[int] = ()) -> None:
    """Start the extensions; return, in a child process, when the runtime may start. The caller's process never returns.

    Every descriptor but the standard ones and those in `keep` is closed. SIGTERM ends the runtime alone: the first one
    is passed on to it, a second one kills it. When all have ended, this process ends as the runtime did.
    """
    sandbox.close_all_but(list(keep))
    _Supervisor(variables["AWS_LAMBDA_RUNTIME_API"]).run(opt_folder, variables)


class _Supervisor:
    """The parent. `run` returns in the runtime's process only."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._extensions: dict[int, str] = {}
        self._outputs: dict[int, str] = {}
        self._runtime = 0
        self._runtime_status: int | None = None
        self._terminations = 0

    def run(self, opt_folder: str, variables: Mapping[str, str]) -> None:
        signals = _wake_on_signals()
        own = {name: value for name, value in variables.items() if name not in _NOT_FOR_EXTENSIONS}
        for name in extension_names(opt_folder):
            self._start(name, os.path.join(opt_folder, _FOLDER, name), own)
        gate: socket.socket | None = self._ask_to_start()
        while self._runtime_status is None or self._extensions:
            waiting_for = [signals, *self._outputs] if gate is None else [signals, *self._outputs, gate.fileno()]
            readable, _, _ = select.select(waiting_for, [], [])
            if gate is not None and gate.fileno() in readable:
                allowed = gate.recv(4096).startswith(b"HTTP/1.1 200 ")
                gate.close()
                gate = None
                if not allowed:
                    os._exit(1)  # the platform gives this environment up; whoever is left is killed as our orphan
                if self._fork_runtime(signals):
                    return
            for output in self._outputs.keys() & set(readable):
                self._hand_on(output)
            if signals in readable:
                if asked := os.read(signals, 4096).count(signal.SIGTERM):
                    self._terminations += asked
                    self._pass_on_termination()
                self._reap()
        _end_as(self._runtime_status)

    def _start(self, name: str, path: str, variables: Mapping[str, str]) -> None:
        failed_read, failed_write = os.pipe()
        output_read, output_write = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                _become_child(parent)
                os.dup2(output_write, 1)
                os.dup2(output_write, 2)
                os.execve(path, [path], dict(variables))  # noqa: S606 - no shell is wanted
            except BaseException as error:  # noqa: BLE001 - a forked child must not return into its parent's code
                os.write(failed_write, str(error).encode()[:4096])
            os._exit(127)
        os.close(failed_write)
        os.close(output_write)
        failure = os.read(failed_read, 4096).decode(errors="replace")
        os.close(failed_read)
        if failure:
            os.close(output_read)
            self._tell({"name": name, "error": failure})
        else:
            os.set_blocking(output_read, False)
            self._extensions[pid], self._outputs[output_read] = name, name

    def _fork_runtime(self, signals: int) -> bool:
        parent = os.getpid()
        self._runtime = os.fork()
        if self._runtime == 0:
            os.close(signals)
            _become_child(parent)
            return True
        self._pass_on_termination()
        return False

    def _pass_on_termination(self) -> None:
        if self._terminations and self._runtime and self._runtime_status is None:
            os.kill(self._runtime, signal.SIGTERM if self._terminations == 1 else signal.SIGKILL)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._runtime:
                self._runtime_status = status
                self._tell({"name": "", "status": status})
            elif pid in self._extensions:
                name = self._extensions.pop(pid)
                for output in [output for output, whose in self._outputs.items() if whose == name]:
                    self._hand_on(output)
                self._tell({"name": name, "status": status})

    def _ask_to_start(self) -> socket.socket:
        connection = self._connect()
        connection.sendall(f"GET {SUPERVISOR_PATH}{REGISTERED} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection

    def _hand_on(self, output: int) -> None:
        """Tell the platform what an extension has written so far."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(output, OUTPUT_BYTES_MAX):
                self._post(OUTPUT + quote(self._outputs[output], safe=""), data)
            os.close(output)
            del self._outputs[output]

    def _tell(self, what: dict[str, object]) -> None:
        self._post(EXITED, json.dumps(what).encode())

    def _post(self, verb: str, body: bytes) -> None:
        head = f"POST {SUPERVISOR_PATH}{verb} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        # Should the platform have gone, nobody is left to be told.
        with contextlib.suppress(OSError), self._connect() as connection:
            connection.sendall(head.encode() + body)
            connection.recv(4096)

    def _connect(self) -> socket.socket:
        host, _, port = self._address.rpartition(":")
        connection = socket.socket()  # to look a name up would load what a sandbox does not show
        connection.settimeout(TELL_S_MAX)
        connection.connect((host, int(port)))
        return connection


def _become_child(parent: int) -> None:
    """Be as a process is that nobody has prepared, and end with the parent."""
    sandbox.reset_signals()
    if sys.platform == "linux":
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)  # it died before the kernel knew that we should die with it


def _wake_on_signals() -> int:
    """Return a descriptor from which the numbers of the signals that came can be read."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    return readable


def _end_as(status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)
