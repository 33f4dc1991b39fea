"""Ctrl-C before the command has begun."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def test_an_interrupt_while_the_program_is_still_read_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nprint('reading', flush=True)\ntime.sleep(60)\n")

    process = subprocess.Popen(
        [sys.executable, "-m", "workshape", "doctor"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == -signal.SIGINT
    assert errors == ""
