"""A program that forks as often as a sandbox lets it, little more than that should be, and prints how often it was.

In a process of its own: a fork of one that has run tests for a while takes a hundred times as long.
"""

import os
import sys

from workshape.functions.launch import sandbox
from workshape.functions.launch.cgroups import PROCESSES_MAX

NOBODYS_FROM = 0x60000000
"""Users that nobody is: the kernel counts the processes of one on the whole machine, where other tests may run."""


def bomb() -> int:
    """Fork, let them all end, and return how many there were."""
    ends, end = os.pipe()
    children: list[int] = []
    try:
        while len(children) < PROCESSES_MAX + 16:
            children.append(os.fork())
            if children[-1] == 0:
                os.close(end)
                os.read(ends, 1)
                os._exit(0)
    except BlockingIOError:
        pass
    os.close(end)
    for child in children:
        os.waitpid(child, 0)
    return len(children)


if __name__ == "__main__":
    sandbox.drop(NOBODYS_FROM + os.getpid())
    sys.stdout.write(str(bomb()))
