"""SnapStart where a machine lets nobody have user namespaces."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.usefixtures("needs_sandbox")
def test_a_machine_that_refuses_user_namespaces_initialises_each_environment(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.fakes.refused_user_namespaces", str(tmp_path)]

    played = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=90)

    assert played.stdout == 'Active "served"\n', played.stderr
