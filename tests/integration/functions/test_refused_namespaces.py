"""Functions, one with SnapStart, where a machine lets root have some of what a sandbox takes, and not the rest."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workshape.functions.launch.sandbox import HOST

ROOT = Path(__file__).parents[3]
SERVED = 'Active "served"\n'


def play(folder: Path, *more: str, before: tuple[str, ...] = ()) -> str:
    program = [*before, sys.executable, "-m", "tests.fakes.snap_started_program", str(folder), *more]
    played = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert played.returncode == 0, played.stderr
    return played.stdout


@pytest.mark.usefixtures("needs_sandbox")
def test_a_machine_that_refuses_user_namespaces_initialises_each_environment(tmp_path: Path) -> None:
    assert play(tmp_path, "refuse") == SERVED


@pytest.mark.usefixtures("needs_copies")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare (util-linux)")
def test_root_of_a_user_namespace_without_users_for_environments_runs_functions(tmp_path: Path) -> None:
    """As in a container without root: the sandbox's root can be made, and then nobody can live there."""
    rootless = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc")
    was_there = Path(HOST).exists()

    assert play(tmp_path, before=rootless) == SERVED
    assert Path(HOST).exists() == was_there  # what is made there late is made on the host
