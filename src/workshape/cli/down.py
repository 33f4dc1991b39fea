"""`workshape down`: end the running one, in order."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from workshape.cli.admin import NotRunning, running_from
from workshape.cli.errors import reported
from workshape.errors import PlatformError
from workshape.run import is_running

STOP_S_MAX = 90.0  # every part within its own bound, one after the other
POLL_S = 0.05


class StillRunning(PlatformError):
    """workshape (process {pid}) did not end within {wait_s:g} s; its parts' logs are in {logs}"""

    pid: int
    wait_s: float
    logs: str


@reported
def down(folder: Annotated[Path, typer.Argument(help="Where it was started from.")] = Path()) -> None:
    """Stop what runs in a folder. What it stores stays."""
    run = running_from(folder)
    if run is None:
        raise NotRunning(folder=str(folder.resolve()))
    os.kill(run.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S_MAX
    while is_running(run.supervisor):
        if time.monotonic() > deadline:
            logs = str(run.state.part_logs)
            raise StillRunning(pid=run.supervisor.pid, wait_s=STOP_S_MAX, logs=logs)
        time.sleep(POLL_S)
    sys.stdout.write(f"stopped (process {run.supervisor.pid})\n")
