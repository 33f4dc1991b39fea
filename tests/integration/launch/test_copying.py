"""What of a process can be copied by a fork, and what keeps it from being: each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import workshape

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")

PROGRAM = """
import json, mmap, os, select, socket, subprocess, sys, tempfile, threading
sys.path.insert(0, sys.argv[1])
from workshape.functions.launch.copying import why_not_copied

for place in (3, 4):  # where ours are
    os.dup2(os.open(os.devnull, os.O_RDWR), place)

def connected():
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
    listener.close()
    return client, server

CASES = {
    "nothing": lambda: None,
    "a file": lambda: open(sys.executable, "rb"),
    "a connection": connected,
    "a thread": lambda: threading.Thread(target=threading.Event().wait, daemon=True).start(),
    "a process": lambda: subprocess.Popen(["sleep", "60"]),
    "memory": lambda: mmap.mmap(-1, 4096),
    "a pipe": os.pipe,
    "a pair": socket.socketpair,
    "a listener": lambda: socket.create_server(("127.0.0.1", 0)),
    "a datagram socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "a loop": select.epoll,
}
found = {}
for name, make in CASES.items():
    answer = tempfile.TemporaryFile()
    if os.fork() == 0:
        made = make()
        why = why_not_copied()
        if name == "a connection":
            why = [why, made[0].recv(1).decode(), made[1].recv(1).decode()]
        os.write(answer.fileno(), json.dumps(why).encode())
        if name == "a process":
            made.kill()
        os._exit(0)
    os.wait()
    answer.seek(0)
    found[name] = json.load(answer)
    answer.close()
print(json.dumps(found))
"""


def test_what_two_processes_would_share_as_two_machines_do_not_is_named() -> None:
    sources = str(Path(workshape.__file__).parents[1])

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, sources], check=True, stdout=subprocess.PIPE, env={**os.environ, "LANG": "C"}
    )

    assert json.loads(done.stdout) == {
        "nothing": "",
        "a file": "",
        "a connection": ["", "", ""],
        "a thread": "its init phase has left 2 threads",
        "a process": "its init phase has left a process running",
        "memory": "its init phase has made memory that is shared between processes",
        "a pipe": "its init phase has left a pipe open",
        "a pair": "its init phase has left a socket that is no connection open",
        "a listener": "its init phase has left a socket that is no connection open",
        "a datagram socket": "its init phase has left a socket that is no connection open",
        "a loop": "its init phase has left an event loop open",
    }
