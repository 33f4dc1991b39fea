"""Runs one part of a workshape as a process of its own."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from workshape.errors import WorkshapeError
from workshape.event_log import log_events_to_stderr
from workshape.parts.readiness import Readiness
from workshape.run import RunFile, read_run_file

EXIT_USAGE = 2
EXIT_FAILED = 1

_log = logging.getLogger(__name__)


Ready = Callable[[], None]
"""Told once, when the part is ready."""


def run_part(name: str, part: Callable[[RunFile, Ready], Awaitable[None]], arguments: Sequence[str]) -> int:
    """Run a part until it is told to end; return the exit code."""
    if len(arguments) != 1:
        print(f"usage: python -m workshape.serve.{name} RUNFILE", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    readiness = Readiness.inherited()
    log_events_to_stderr()
    try:
        uvloop.run(_until_told(part(read_run_file(Path(arguments[0])), readiness.tell)))
    except (WorkshapeError, OSError) as error:
        readiness.fail(str(error))
        _log.critical("part_failed", extra={"part": name, "reason": str(error)})
        return EXIT_FAILED
    return 0


async def _until_told(work: Awaitable[None]) -> None:
    """Run until SIGTERM or SIGINT, which cancel the work and so let it end in order."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        _log.info("part_ended")
