"""`workshape doctor`: which parts of the sandbox hold on this machine, why others do not, and which runtimes run."""

import asyncio
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
from workshape.functions.launch.copy_sandbox import user_namespaces
from workshape.functions.launch.interpreters import Interpreters
from workshape.functions.launch.process import ProcessLauncher
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
_NEEDS_NAMESPACES = (
    ("namespaces of its own", "it sees and signals its own processes only"),
    ("read-only root", "it sees the system's programs, its code and layers, and nothing else of this machine"),
    ("private /tmp", "with the function's quota, to the block"),
    ("user of its own", "no capabilities, no way to new privileges; nobody else can speak to its Runtime API"),
)
_LIMITS = {
    "memory": "the function's memory; over it, the function is killed",
    "cpu": "a share of the processors in proportion to the memory: 1,769 MB is one core",
    "pids": "1,024 processes and threads",
    "freezer": "nothing of it runs between invocations; without, by SIGSTOP to each process",
}


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
            checks = [Check(part, not reason, reason or what) for part, what in _NEEDS_NAMESPACES]
            checks.append(_disks(reason or await launcher.why_no_disks()))
            checks.append(_seccomp(reason))
            checks.append(_snapshots(reason))
            missing = launcher.cgroups().missing
            checks += [Check(each, each not in missing, missing.get(each, _LIMITS[each])) for each in CONTROLLERS]
        finally:
            await launcher.close()
    interpreters = Interpreters(allow_substitute=False)
    return [*checks, *await asyncio.gather(*(_runtime(interpreters, runtime) for runtime in RUNTIMES))]


def _disks(reason: str) -> Check:
    what = "each environment's is a file system of its own on this machine's disk, beside the function's memory"
    return Check(
        "ephemeral storage on disk", not reason, f"{reason}; it is memory of the function's" if reason else what
    )


def _seccomp(reason: str) -> Check:
    if not reason and not seccomp.available():
        reason = "there is no filter for this processor"
    return Check("seccomp", not reason, reason or "system calls that reach out of a sandbox are refused")


def _snapshots(reason: str) -> Check:
    if not reason and not user_namespaces():
        reason = "this machine lets nobody have user namespaces (/proc/sys/user/max_user_namespaces)"
    what = "SnapStart: environments of Python are forked of one that is initialised; without, each initialises itself"
    return Check("copies of snapshots", not reason, reason or what)


async def _runtime(interpreters: Interpreters, runtime: str) -> Check:
    try:
        found = await interpreters.find(runtime)
    except PlatformError as error:
        return Check(runtime, holds=False, detail=str(error))
    return Check(runtime, holds=True, detail=f"{found.path} ({'.'.join(map(str, found.version))})")
