"""`workshape doctor`: which parts of the sandbox hold on this machine, why others do not, and which runtimes run."""

import asyncio
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.text import Text

from workshape.cli.table import plain_table
from workshape.errors import PlatformError
from workshape.functions.launch import seccomp
from workshape.functions.launch.cgroups import CONTROLLERS
from workshape.functions.launch.interpreters import Interpreters
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.launch.user_namespaces import why_no_user_namespaces
from workshape.settings import FunctionSettings

RUNTIMES = (
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
)
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html (supported runtimes we can run)"""
_SANDBOX = {
    "namespaces of its own": "it sees and signals its own processes only",
    "read-only root": "it sees the system's programs, its code and layers, and nothing else of this machine",
    "private /tmp": "with the function's quota, to the block",
    "user of its own": "no capabilities, no way to new privileges; nobody else can speak to its Runtime API",
}
_TAKES_A_SANDBOX = "takes the sandbox"
_LIMITS = {
    "memory": ("the function's memory; over it, the function is killed", "nothing limits a function's memory"),
    "cpu": (
        "a share of the processors in proportion to the memory: 1,769 MB is one core",
        "a function has all processors, whatever its memory",
    ),
    "pids": ("1,024 processes and threads", "in a sandbox its user's processes are limited instead"),
    "freezer": ("nothing of it runs between invocations", "SIGSTOP to each of its processes does that instead"),
}
"""What each gives, and what is without it."""
_DELEGATE = "as an ordinary user on systemd: systemd-run --user --scope workshape up"
"""Source: https://www.freedesktop.org/software/systemd/man/latest/systemd-run.html"""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the answer."""

    part: str
    holds: bool
    detail: str
    """What it gives, or why it is missing."""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Tell which parts of the sandbox hold here, why others do not, and which runtimes this machine has."""
    checks = uvloop.run(examine())
    if as_json:
        sys.stdout.write(
            f"{msgspec.json.format(msgspec.json.encode([asdict(each) for each in checks]), indent=2).decode()}\n"
        )
        return
    table = plain_table("Execution environments on this machine", "part", "", "what it gives, or why not")
    for check in checks:
        table.add_row(check.part, "[green]yes[/]" if check.holds else "[red]no[/]", Text(check.detail))
    Console().print(table)


async def examine() -> list[Check]:
    """Try everything; nothing of it stays."""
    with tempfile.TemporaryDirectory() as folder:
        launcher = ProcessLauncher(Path(folder), FunctionSettings())
        try:
            reason = await launcher.why_no_sandbox()
            checks = [Check("sandbox", not reason, reason or "each environment has one: what follows")]
            missing = _TAKES_A_SANDBOX if reason else ""
            checks += [Check(part, not missing, missing or what) for part, what in _SANDBOX.items()]
            checks.append(_disks(missing, "" if missing else await launcher.why_no_disks()))
            checks += [_seccomp(missing), _snapshots(missing)]
            checks += [_limit(each, launcher.cgroups().missing.get(each, "")) for each in CONTROLLERS]
        finally:
            await launcher.close()
    interpreters = Interpreters(allow_substitute=False)
    return [*checks, *await asyncio.gather(*(_runtime(interpreters, runtime) for runtime in RUNTIMES))]


def _disks(missing: str, reason: str) -> Check:
    if missing:
        reason = f"{missing}; without, /tmp is this machine's"
    elif reason:
        reason = f"{reason}; it is memory of the function's"
    what = "each environment's is a file system of its own on this machine's disk, beside the function's memory"
    return Check("ephemeral storage on disk", not reason, reason or what)


def _seccomp(reason: str) -> Check:
    if not reason and not seccomp.available():
        reason = "there is no filter for this processor"
    return Check("seccomp", not reason, reason or "system calls that reach out of a sandbox are refused")


def _snapshots(reason: str) -> Check:
    reason = reason or why_no_user_namespaces()
    what = "SnapStart: environments of Python are forked of one that is initialised; without, each initialises itself"
    return Check("copies of snapshots", not reason, reason or what)


def _limit(controller: str, reason: str) -> Check:
    gives, without = _LIMITS[controller]
    if reason and controller == CONTROLLERS[0] and os.geteuid() != 0:
        reason = f"{reason}; {_DELEGATE}"
    return Check(controller, not reason, f"{without}: {reason}" if reason else gives)


async def _runtime(interpreters: Interpreters, runtime: str) -> Check:
    try:
        found = await interpreters.find(runtime)
    except PlatformError as error:
        return Check(runtime, holds=False, detail=str(error))
    return Check(runtime, holds=True, detail=f"{found.path} ({'.'.join(map(str, found.version))})")
