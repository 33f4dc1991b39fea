"""What the first instructions of every child see to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workshape.parts.process import SHIM, account_named


@pytest.mark.usefixtures("needs_other_users")
def test_a_program_that_asks_access_of_a_closed_folder_is_let_in(tmp_path: Path) -> None:
    account = account_named("postgres", "nobody")
    assert account is not None
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("")
    asks = "import os, sys; print(os.access(sys.argv[1], os.R_OK), os.geteuid())"
    shim = [sys.executable, "-I", "-S", str(SHIM), str(os.getpid()), "15", str(account.user), str(account.group), "--"]

    done = subprocess.run(
        [*shim, sys.executable, "-c", asks, str(closed / "file")],
        cwd=closed,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"True {account.user}\n"


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="takes root, and setpriv (util-linux)")
def test_root_who_may_become_nobody_else_is_told_so(tmp_path: Path) -> None:
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    shim = [sys.executable, "-I", "-S", str(SHIM), str(os.getpid()), "15", "65534", "65534", "--"]

    done = subprocess.run(
        [*bare, *shim, sys.executable, "-c", "print(1)"], cwd=tmp_path, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == ("root here may not become user 65534 (Operation not permitted); run as an ordinary user\n")
