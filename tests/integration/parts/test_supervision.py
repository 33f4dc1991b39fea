"""A supervisor in a process of its own, its children real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from workshape.clock import Clock
from workshape.parts.process import Program, Server
from workshape.parts.supervisor import Supervisor

async def at_once():
    return True

async def main(folder):
    supervisor = Supervisor(Clock(), lambda event: print(type(event).__name__, event.part, getattr(event, "pid", ""), flush=True))
    for name in ("first", "second"):
        arguments = [sys.executable, "-c", "import time; time.sleep(600)"]
        await supervisor.start(Server(Program(name, arguments, folder, folder / (name + ".log")), at_once, 10.0))
    await supervisor.run()

asyncio.run(main(Path(sys.argv[1])))
"""  # noqa: E501
WAIT_S_MAX = 10.0


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_words(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def gone(pid: int) -> bool:
    deadline = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_child_is_started_again(supervisor: subprocess.Popen[str]) -> None:
    first, _second = (int(next_words(supervisor)[2]) for _ in range(2))

    os.kill(first, signal.SIGKILL)

    assert next_words(supervisor) == ["Died", "first"]
    word, name, pid = next_words(supervisor)
    assert (word, name) == ("Started", "first")
    assert int(pid) != first
    os.kill(int(pid), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_no_child_outlives_a_killed_supervisor(supervisor: subprocess.Popen[str]) -> None:
    children = [int(next_words(supervisor)[2]) for _ in range(2)]

    supervisor.kill()

    assert all(gone(pid) for pid in children)
