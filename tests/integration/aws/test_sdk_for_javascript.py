"""The AWS SDK for JavaScript v3 with nothing but an endpoint."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.javascript import javascript_project, javascript_tool
from tests.fakes.live_door import LiveDoor

RUN_S_MAX = 60


@pytest.fixture(scope="session")
def project() -> Path:
    return javascript_project()


def test_a_function_is_created_and_invoked_and_a_queue_is_used(
    door: LiveDoor, project: Path, archive: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "code.zip").write_bytes(archive())
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": door.url}
    command = [javascript_tool("node"), "use_aws.mjs", str(tmp_path / "code.zip")]

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
