"""One child process: started through the shim, watched until ready, its output in a file, stopped within a bound."""

import asyncio
import contextlib
import os
import pwd
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workshape.errors import PlatformError
from workshape.parts.readiness import VARIABLE, Told

SHIM = Path(__file__).with_name("shim.py")
LOG_BYTES_MAX = 8 * 1024 * 1024  # a part's log is set aside (once) when it is over this at a start
LOG_EXCERPT_LINES = 8  # enough for a reason, short enough for a terminal
READY_POLL_S = 0.02
STOP_WAIT_S = 10.0
KILL_WAIT_S = 5.0  # SIGKILL takes effect at once unless the kernel itself is stuck


class PartFailed(PlatformError):
    """{part} did not start: {reason}"""

    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system, by its numbers."""

    user: int
    group: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how."""

    name: str
    arguments: Sequence[str]
    """The first is the program's absolute path."""
    folder: Path
    log_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to ours."""
    account: Account | None = None
    """Whom to run as; None: as ourselves."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks the program to end in order. It gets the same one when the supervisor dies (on Linux)."""
    stop_wait_s: float = STOP_WAIT_S


class ChildProcess:
    """A running program and its process group."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, told: Told | None = None) -> None:
        self.program = program
        self._process = process
        self._told = told

    def __repr__(self) -> str:
        state = "running" if self._process.returncode is None else describe_exit(self._process.returncode)
        return f"<ChildProcess {self.program.name} pid={self.pid} {state}>"

    @property
    def pid(self) -> int:
        """Process id, also the id of its process group."""
        return self._process.pid

    @classmethod
    async def start(cls, program: Program, *, tells: bool = False) -> "ChildProcess":
        """Start it in a process group of its own (a Ctrl-C in the terminal is ours to pass on, in order).

        `tells`: it says by itself when it is ready (`readiness.py`).
        """
        account = program.account or Account(-1, -1)
        shim = (sys.executable, "-I", "-S", str(SHIM), str(os.getpid()), str(int(program.stop_signal)))
        told = Told() if tells else None
        environment = {**os.environ, **program.environment}
        if told is not None:
            environment[VARIABLE] = str(told.descriptor)
        _set_aside(program.log_file)
        log = os.open(program.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            process = await asyncio.create_subprocess_exec(
                *shim,
                *(str(account.user), str(account.group), "--", *program.arguments),
                cwd=program.folder,
                env=environment,
                pass_fds=() if told is None else (told.descriptor,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except BaseException:
            if told is not None:
                told.close()
            raise
        finally:
            os.close(log)
            if told is not None:
                told.started()
        return cls(program, process, told)

    async def wait(self) -> str:
        """Wait until it ends; tell how, in words."""
        return describe_exit(await self._process.wait())

    async def ready(self, check: Callable[[], Awaitable[bool]] | None, wait_s_max: float) -> None:
        """Wait until `check` says so; None: until the program does.

        Raises:
            PartFailed: it ended first, or `wait_s_max` passed; the reason is its own, or holds the end of its log.
        """
        try:
            async with asyncio.timeout(wait_s_max):
                while not await (self._has_told() if check is None else check()):
                    self._check_alive()
                    await asyncio.sleep(READY_POLL_S)
                self._check_alive()  # what answered may be somebody else
        except TimeoutError as error:
            raise self.failed(f"not ready after {wait_s_max:g} s") from error
        finally:
            if self._told is not None:
                self._told.close()
                self._told = None

    async def _has_told(self) -> bool:
        assert self._told is not None, "it was not started to tell"
        return self._told.is_ready

    def _check_alive(self) -> None:
        if self._process.returncode is None:
            return
        reason = "" if self._told is None else self._told.reason
        if reason:
            raise PartFailed(part=self.program.name, reason=f"{reason} (its log is {self.program.log_file})")
        raise self.failed(describe_exit(self._process.returncode))

    def failed(self, what: str) -> PartFailed:
        """Make the error that tells what happened, with the end of the log."""
        log_file = self.program.log_file
        excerpt = log_excerpt(log_file)
        return PartFailed(part=self.program.name, reason=f"{what} (its log is {log_file}){excerpt}")

    async def stop(self) -> None:
        """Ask it to end, wait a while, then kill what is left of its process group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.program.stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.program.stop_wait_s):
                    await self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        async with asyncio.timeout(KILL_WAIT_S):
            await self._process.wait()


async def run_to_end(program: Program, seconds_max: float) -> str:
    """Run a program that ends by itself; say how it failed, with the end of its log. Empty: it did not.

    Raises:
        PartFailed: it was not done in time.
    """
    child = await ChildProcess.start(program)
    try:
        async with asyncio.timeout(seconds_max):
            how = await child.wait()
    except TimeoutError as error:
        raise child.failed(f"not done after {seconds_max:g} s") from error
    finally:
        await child.stop()
    return "" if how == describe_exit(0) else f"{how}{log_excerpt(program.log_file)}"


def write_password(file: Path, text: str) -> None:
    """Write a file that is not there yet, and that nobody else can read from the first byte on."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)


class ChildPart:
    """A part that is one child process, whatever has to be done before it starts."""

    _child: ChildProcess | None = None

    @property
    def pid(self) -> int:
        """Process id of the last start; 0 before the first."""
        return self._child.pid if self._child is not None else 0

    async def wait(self) -> str:
        """Wait until it dies; tell how."""
        assert self._child is not None, "not started"
        return await self._child.wait()

    async def stop(self) -> None:
        """End it, as its program wants to be ended."""
        if self._child is not None:
            await self._child.stop()

    async def _begin(
        self,
        program: Program,
        check: Callable[[], Awaitable[bool]] | None,
        ready_s_max: float,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Start it, wait until it is ready, and then `prepare` it.

        Raises:
            PartFailed: it ended, or was not ready in time. And what `prepare` raises.
        """
        child = self._child = await ChildProcess.start(program, tells=check is None)
        try:
            await child.ready(check, ready_s_max)
            if prepare is not None:
                await prepare()
        except BaseException:  # cancelled or failed alike: it must not stay
            await child.stop()
            raise


class Server(ChildPart):
    """A program that is a part: started again as it was, ready when its check says so, or by itself."""

    def __init__(self, program: Program, check: Callable[[], Awaitable[bool]] | None, ready_s_max: float) -> None:
        """`check` None: the program is one of ours, which tell (`readiness.py`)."""
        self._program = program
        self._check = check
        self._ready_s_max = ready_s_max

    def __repr__(self) -> str:
        return f"<Server {self.name} {self._child}>"

    @property
    def name(self) -> str:
        """The program's name."""
        return self._program.name

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            PartFailed: it ended, or was not ready in time.
        """
        await self._begin(self._program, self._check, self._ready_s_max)

    def failed(self, what: str) -> PartFailed:
        """Make the error that tells what happened, with the end of the log."""
        assert self._child is not None, "not started"
        return self._child.failed(what)


def describe_exit(status: int) -> str:
    """Say how a process ended: `exit status 1`, `killed by SIGKILL`."""
    if status >= 0:
        return f"exit status {status}"
    return f"killed by {signal.Signals(-status).name}"


def log_excerpt(log_file: Path) -> str:
    """The last lines of a log, indented below a message; empty when there are none."""
    try:
        lines = log_file.read_text(errors="replace").splitlines()[-LOG_EXCERPT_LINES:]
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in lines if line.strip())


async def accepts(host: str, port: int) -> bool:
    """Tell whether something listens there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def answers(host: str, port: int, path: str) -> bool:
    """Tell whether a GET of that path is answered with status 200."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n".encode())
        status_line = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return status_line.split()[1:2] == [b"200"]


def account_named(*names: str) -> Account | None:
    """The first of these users that this machine has."""
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    return None


def _set_aside(log_file: Path) -> None:
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if log_file.stat().st_size > LOG_BYTES_MAX:
            log_file.replace(log_file.with_suffix(".log.1"))
