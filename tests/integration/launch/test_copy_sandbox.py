"""What a machine does that lets nobody have user namespaces."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a sandbox needs Linux, and root")

# Source: https://man7.org/linux/man-pages/man2/unshare.2.html (EPERM: whose root is not its mount namespace's)
IN_A_CHROOT = """
import os, sys
from workshape.functions.launch import copy_sandbox, linux

linux.unshare(linux.CLONE_NEWPID)
if os.fork() == 0:
    os.chroot(sys.argv[1])
    try:
        copy_sandbox.enter_user_namespace(70_000)
    except OSError as error:
        print(error.strerror, flush=True)
    os._exit(0)
os.wait()
"""


def test_what_is_refused_a_user_namespace_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_CHROOT, str(tmp_path)], capture_output=True, text=True, timeout=30, check=True
    )

    assert ran.stdout == "unshare: Operation not permitted\n"
