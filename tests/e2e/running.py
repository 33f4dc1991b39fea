"""`workshape up` as a process of its own, and what its tests ask of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import boto3
import httpx
import msgspec
from botocore.config import Config

from tests.fakes.archives import readable
from workshape.run import ProcessMark, RunFile, StateFolder, is_running, mark_process, read_run_file
from workshape.status import EngineStatus

WORKSHAPE: Sequence[str] = (sys.executable, "-m", "workshape")
LAST_LINE_OF_START = "AWS_SECRET_ACCESS_KEY"
START_S_MAX = 60.0
STOP_S_MAX = 30.0
COMMAND_S_MAX = 30.0
POLL_S = 0.05
ROLE = "arn:aws:iam::123456789012:role/r"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The one that every machine with these tests has."""


class Running:
    """One `workshape up`. Made by `bring_up`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._said = ""
        self._over = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        return f"<Running {self.folder} pid={self.process.pid}>"

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self._said

    @property
    def run(self) -> RunFile:
        """Its run file, as it is now."""
        return read_run_file(StateFolder.of(self.folder).run_file)

    def wait_until_said(self, text: str, *, times: int = 1, within_s: float = START_S_MAX) -> None:
        """Wait until it has written a text that often."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._said.count(text) >= times, within_s)
        assert self._said.count(text) >= times, f"{text!r} is not {times} times in:\n{self._said}"

    def part(self, name: str) -> ProcessMark:
        """A part's process."""
        return next(mark for mark in self.run.children if mark.name == name)

    def status(self) -> EngineStatus:
        """The engine's answer."""
        answer = httpx.get(f"{self.run.endpoint}/_workshape/status", trust_env=False).raise_for_status()
        return msgspec.json.decode(answer.content, type=EngineStatus)

    def depth(self, queue: str) -> int:
        """All messages of a queue, wherever they are in their life."""
        status = next(status for status in self.status().queues if status.name == queue)
        return status.visible + status.in_flight + status.delayed

    def client(self, service: str, **config: Any) -> Any:
        """Make a boto3 client that knows nothing but the endpoint."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service by its name
            endpoint_url=self.run.endpoint,
            region_name="us-east-1",
            aws_access_key_id=config.pop("access_key", "any"),
            aws_secret_access_key=config.pop("secret_key", "any"),
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it if it still runs; return its exit status and all it has written."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(STOP_S_MAX)
        return status, self._said

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._changed:
                    self._said += line
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


@contextmanager
def bring_up(
    folder: Path,
    *arguments: str,
    command: Sequence[str] = WORKSHAPE,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run `workshape up` on free ports until it has said where everything is; end it and look for survivors."""
    process = start(["up", str(folder), "--port", "0", *arguments], command=command, variables=variables)
    running = Running(process, folder)
    try:
        running.wait_until_said(LAST_LINE_OF_START)
        yield running
    finally:
        # Those that were forked tell of no folder: they are known by their parents, as long as these live.
        family = [mark_process("", pid) for pid in _descendants(process.pid)]
        running.stop()
        survivors = {*processes_under(folder), *(mark.pid for mark in family if is_running(mark))}
        for pid in survivors:
            os.kill(pid, signal.SIGKILL)
    assert not survivors


def start(
    arguments: Sequence[str], *, command: Sequence[str] = WORKSHAPE, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a workshape command."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**ours, "COLUMNS": "200", "TERM": "dumb", **(variables or {})},
    )


def workshape(*arguments: str, command: Sequence[str] = WORKSHAPE) -> tuple[int, str]:
    """Run a workshape command to its end; return its exit status and all it wrote."""
    process = start(arguments, command=command)
    try:
        output, _ = process.communicate(timeout=COMMAND_S_MAX)
    finally:
        process.kill()
    return process.returncode, output


def archive(**files: str) -> bytes:
    """Make a zip archive; a name's double underscore is its dot (`index__mjs`)."""
    made = BytesIO()
    with ZipFile(made, "w") as packed:
        for name, text in files.items():
            packed.writestr(readable(name.replace("__", ".")), text)
    return made.getvalue()


def eventually(condition: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Wait for what only asking again can tell."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(POLL_S)


def processes_under(folder: Path) -> dict[int, str]:
    """Find the living processes that work in a folder, or were told of it: their ids and command lines."""
    found = {}
    for pid in _other_processes():
        command = _read(pid, "cmdline")
        here = os.fsencode(folder)
        if here in command or here in _read(pid, "environ") or here in _working_folder(pid):
            found[pid] = command.replace(b"\0", b" ").decode(errors="replace")
    return {pid: command for pid, command in found.items() if mark_process("", pid).started}


def environment_processes(running: Running) -> list[ProcessMark]:
    """Mark the processes of its execution environments: they work where a function's code is, or know the runtime API.

    They are found among the engine's descendants: those that were forked tell of no folder of the machine's. The code
    is at /var/task in a sandbox, and where `make_app` has put it without one.
    """
    code = (b"/var/task", os.fsencode(os.path.realpath(running.folder / "code")))
    return [
        mark_process("environment", pid)
        for pid in _descendants(running.part("engine").pid)
        if _working_folder(pid) in code or b"AWS_LAMBDA_RUNTIME_API=" in _read(pid, "environ")
    ]


def _descendants(pid: int) -> list[int]:
    """Find a process's children, theirs, and so on."""
    children: dict[int, list[int]] = {}
    for one in _other_processes():
        with suppress(ValueError, IndexError):  # it is gone: there is nothing to read
            children.setdefault(int(_read(one, "stat").rpartition(b")")[2].split()[1]), []).append(one)
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found[1:]


def _other_processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            yield int(entry.name)


def _read(pid: int, name: str) -> bytes:
    """Read a file of a process; empty when it has just ended, or is not ours to look at."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _working_folder(pid: int) -> bytes:
    try:
        return os.fsencode(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return b""
