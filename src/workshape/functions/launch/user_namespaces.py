"""Whether this machine lets a process that was root's have a user namespace, which copies of snapshots need.

A limit (/proc/sys/user/max_user_namespaces) is one way to refuse them; security profiles are others. So it is tried, by
a process of its own:

    python -m workshape.functions.launch.user_namespaces
"""

import subprocess
import sys

from workshape.functions.launch.copy_sandbox import move_to_user_namespace
from workshape.functions.launch.users import ZYGOTE_USERS_FROM

_TRIAL_S_MAX = 30.0  # an interpreter's start, on a machine that is busy


def why_no_user_namespaces() -> str:
    """Say why root's processes may have none; empty: they may."""
    program = [sys.executable, "-m", __name__]
    trial = subprocess.run(program, capture_output=True, text=True, timeout=_TRIAL_S_MAX, check=False)
    return trial.stdout.strip() if trial.returncode == 0 else trial.stderr.strip().rpartition("\n")[2]


def main() -> None:
    """Try it, and write why it cannot be."""
    try:
        move_to_user_namespace(ZYGOTE_USERS_FROM)
    except OSError as error:
        sys.stdout.write(f"this machine lets nobody have user namespaces ({error.strerror})\n")


if __name__ == "__main__":
    main()
