"""Scene 4, the shape: `workshape verdict` on what the run itself recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.demo.platform import STAGE, DemoError

ANSWERED = (0, 2)  # a verdict for every function; deciding facts missing for some, and named


def play(width: int) -> tuple[str, dict[str, Any]]:
    """Run the command as anyone would; return what it printed and its JSON."""
    path = Path(STAGE, ".workshape", "verdict.json")
    command = [sys.executable, "-m", "workshape", "verdict", str(STAGE), "--brief", "--json", str(path)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": str(width), "FORCE_COLOR": "1"},
    )
    if done.returncode not in ANSWERED:
        raise DemoError(f"workshape verdict ended with {done.returncode}:\n{done.stderr}")
    verdict: dict[str, Any] = json.loads(path.read_text())
    return done.stdout, verdict
