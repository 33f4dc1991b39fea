"""A program whose processes enter sandboxes while their functions are shown to them: it prints how many saw nothing.

    python -m tests.fakes.entering ROOT CODE

ROOT is an empty folder to mount the sandboxes' root at, CODE a folder with an `index.py`. In a process of its own: a
fork of one that has run tests for a while takes a hundred times as long.
"""

import os
import sys
import time

from workshape.functions.launch import sandbox

RACES = 1_500
RACING_S_MAX = 20.0  # where others load the machine, fewer have to do
RACE_S = 0.0006  # longer than it takes to enter a sandbox
STEPS = 100


def blind(root: str, code: str) -> int:
    """Count the processes that have entered and do not see what was mounted for them."""
    made = sandbox.Root(root)
    made.enter()
    found = 0
    end = time.monotonic() + RACING_S_MAX
    for number in range(RACES):
        if time.monotonic() > end:
            break
        found += _is_blind(number, code)
    return found


def _is_blind(number: int, code: str) -> bool:
    slot = sandbox.Slot(number, 70_000 + number)
    entering, enters = os.pipe()
    filled, fills = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(enters, b"x")
            slot.enter()
            os.read(filled, 1)
            os._exit(not all(os.path.exists(f"{place}/index.py") for place in (sandbox.TASK, sandbox.LAYERS)))
        finally:
            os._exit(2)
    os.read(entering, 1)
    begin = time.perf_counter() + RACE_S * (number * 7 % STEPS) / STEPS
    while time.perf_counter() < begin:
        pass
    slot.fill(code, code, sandbox.TMP_MB)
    os.write(fills, b"x")
    status = os.waitpid(pid, 0)[1]
    for descriptor in (entering, enters, filled, fills):
        os.close(descriptor)
    slot.remove()
    return status != 0


if __name__ == "__main__":
    sys.stdout.write(str(blind(*sys.argv[1:])))
