"""Environments that are copied of a snapshot: what they share, what they do not, and what becomes of them."""

import asyncio
import ctypes
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.live_functions import Gate, LiveFunctions, live_functions
from workshape.functions.launch import linux
from workshape.functions.launch.process_tree import descendants

pytestmark = pytest.mark.usefixtures("needs_copies")

KEPT = sum(1 << each for each in (linux.CAP_SYS_ADMIN, linux.CAP_SETUID, linux.CAP_SETPCAP))
CODE = """
import os, random, socket, threading, time, uuid
from snapshot_restore_py import register_after_restore

SHARED = str(uuid.uuid4())
RESTORED = []
with open("/tmp/kept", "w") as kept:
    kept.write("of the snapshot")
os.mkdir("/tmp/folder", 0o750)
os.symlink("/tmp/kept", "/tmp/folder/link")
FILE = open("/tmp/kept", "r+")
FILE.read(2)
FILE.seek(2)
if "PORT" in os.environ:
    CONNECTION = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
if "DAEMON" in os.environ:  # left now, or as it is copied for the first time
    LEFT = []
    def leave_one():
        if not LEFT:
            LEFT.append(True)
            if os.fork() == 0:
                if os.fork() == 0:
                    os.closerange(3, 64)
                    time.sleep(600)
                os._exit(0)
            os.wait()
    if os.environ["DAEMON"] == "now":
        leave_one()
    else:
        os.register_at_fork(before=leave_one)
if "FOLDER" in os.environ:
    os.chdir(os.environ["FOLDER"])
    FOLDER = os.open(os.environ["FOLDER"], os.O_RDONLY)
if "THREAD" in os.environ:
    threading.Thread(target=threading.Event().wait, daemon=True).start()

@register_after_restore
def restored():
    RESTORED.append(random.random())

def handler(event, context):
    scope = dict(globals())
    exec(event["run"], scope)
    if "gate" in event:
        with socket.create_connection(("127.0.0.1", event["gate"])) as gate:
            gate.recv(1)
    return scope["result"]
"""
LOOK = """
open("/tmp/mine", "w").close()
result = {
    "shared": SHARED, "random": RESTORED[0], "user": os.getuid(), "tmp": sorted(os.listdir("/tmp")),
    "folder": [oct(os.stat("/tmp/folder").st_mode & 0o777), os.readlink("/tmp/folder/link")],
    "owner": os.stat("/tmp/kept").st_uid,
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "file": [FILE.read(), FILE.seek(0), FILE.write("my"), FILE.flush(), FILE.seek(0), FILE.read()][::5],
    "status": dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line),
}
"""
TRY = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def attempt(function, *arguments):
    return ctypes.get_errno() if function(*arguments) < 0 else 0
try:
    os.setuid(os.getuid() + 1)
    changed = 0
except OSError as error:
    changed = error.errno
result = [
    attempt(libc.unshare, 0x2c020000), attempt(libc.unshare, 0x20000000), attempt(libc.unshare, 0x10000000),
    attempt(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None), attempt(libc.setns, 0, 0), changed,
]
"""


WATCH = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
WATCHES = [libc.inotify_init() for _ in range(COUNT)]
result = min(WATCHES)
"""


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveFunctions]:
    async with live_functions(tmp_path) as live:
        yield live


async def publish(live: LiveFunctions, **variables: str) -> None:
    settings = {"Runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}, "Timeout": 60}
    await live.create("f", {"index.py": CODE}, **settings, Environment={"Variables": variables}, Publish=True)
    assert (await live.until_snapshot("f"))["State"] == "Active"


async def run(live: LiveFunctions, source: str, gate: Gate | None = None) -> Any:
    event = {"run": source, **({"gate": gate.port} if gate is not None else {})}
    result = await live.invoke("f", "1", json.dumps(event).encode(), "api")
    assert result.function_error is None, result.payload
    return json.loads(result.payload)


async def start_anew(live: LiveFunctions) -> str:
    """Begin a new environment; return what tells its memory from that of others."""
    live.invoker.retire(live.name, ())
    return str(await run(live, "result = SHARED"))


async def until(condition: Any) -> Any:
    async with asyncio.timeout(30):
        while not (found := condition()):
            await asyncio.sleep(0.01)
        return found


def copied() -> list[int]:
    """The processes that are copied: they and their first processes alone have these capabilities."""
    found = {pid: facts for pid in descendants(os.getpid()) if (facts := facts_of(pid))}
    able = {pid: int(facts["PPid"]) for pid, facts in found.items() if int(facts["CapEff"], 16) == KEPT}
    firsts = [pid for pid, above in able.items() if above not in able]
    # Copies that have not given theirs up yet are its later children, too.
    return [min(below) for first in firsts if (below := [pid for pid, above in able.items() if above == first])]


def facts_of(pid: int) -> dict[str, str]:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {}


async def test_copies_share_the_snapshots_memory_and_nothing_else(live: LiveFunctions) -> None:
    async with Gate() as gate:
        await publish(live)
        calls = [asyncio.create_task(run(live, LOOK, gate)) for _ in range(4)]
        await until(lambda: len([each for each in live.invoker.environments() if each.state == "busy"]) == 4)
        gate.open()
        looked = await asyncio.gather(*calls)

    assert len({each["shared"] for each in looked}) == 1, "what the init phase made is the snapshot's"
    assert len({each["random"] for each in looked}) == len({each["user"] for each in looked}) == 4
    for each in looked:
        assert each["tmp"] == ["folder", "kept", "mine"]
        assert each["folder"] == ["0o750", "/tmp/kept"]
        assert each["owner"] == each["user"]
        assert each["processes"] == 2
        assert each["file"] == [" the snapshot", "my the snapshot"], "its own position, its own file"
        assert {each["status"][name] for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
        assert (each["status"]["NoNewPrivs"], each["status"]["Seccomp"]) == ("1", "2")


async def test_a_copy_may_do_no_more_than_any_environment_and_finds_its_connections_ended(
    live: LiveFunctions,
) -> None:
    async with Gate() as peer:
        await publish(live, PORT=str(peer.port))

        refused = await run(live, TRY)
        received = await run(live, "result = CONNECTION.recv(1).decode()")

    assert refused == [1, 1, 1, 1, 1, 1], "EPERM"
    assert received == ""


@pytest.mark.parametrize("killed", ["runtime", "first process"])
async def test_a_snapshot_that_is_killed_is_made_again(live: LiveFunctions, killed: str) -> None:
    await publish(live)
    [zygote] = copied()
    before = await run(live, "result = SHARED")
    async with Gate() as gate:
        busy = asyncio.create_task(run(live, "result = SHARED", gate)) if killed == "runtime" else None
        if busy is not None:
            await until(lambda: any(each.state == "busy" for each in live.invoker.environments()))

        os.kill(zygote if killed == "runtime" else int(facts_of(zygote)["PPid"]), signal.SIGKILL)
        await until(lambda: zygote not in copied())
        async with asyncio.timeout(30):
            while (beside := await start_anew(live)) == before:
                pass  # a copy was there already
        gate.open()

        assert busy is None or await busy == before, "an environment outlives what it was copied of"
    async with asyncio.timeout(30):
        previous = beside
        while (again := await start_anew(live)) != previous:
            previous = again
    assert again not in (before, beside), "its environments are copies again, of another snapshot"


async def test_nobody_hears_of_it_when_a_snapshot_is_killed_while_copies_are_made(live: LiveFunctions) -> None:
    await publish(live)
    [zygote] = copied()

    calls = [asyncio.create_task(run(live, "result = SHARED")) for _ in range(6)]
    await until(lambda: len(live.invoker.environments()) == 6)
    os.kill(zygote, signal.SIGKILL)

    assert len(await asyncio.gather(*calls)) == 6


async def test_what_has_threads_is_initialised_each_time_and_the_log_says_so(
    live: LiveFunctions, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await publish(live, THREAD="yes")

    first, second = await start_anew(live), await start_anew(live)

    assert first != second
    assert copied() == []
    [record] = [each for each in caplog.records if each.message == "snapshot_not_copied"]
    assert vars(record)["reason"] == "its init phase has left 2 threads"


async def test_what_has_left_a_daemon_is_initialised_each_time(
    live: LiveFunctions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    await publish(live, DAEMON="now")

    [record] = [each for each in caplog.records if each.message == "snapshot_not_copied"]
    assert vars(record)["reason"] == "its init phase has left a process running"


async def test_nothing_that_a_snapshot_starts_outlives_it(live: LiveFunctions) -> None:
    """It holds the capability to become any user of its version's, and those are another version's users later."""
    await publish(live, DAEMON="as it is copied")
    [snapshot] = copied()
    user = facts_of(snapshot)["Uid"]

    def left() -> list[int]:
        found = [(pid, facts_of(pid)) for pid in descendants(os.getpid())]
        return [pid for pid, facts in found if facts.get("Uid") == user and not facts["State"].startswith("Z")]

    await until(lambda: len(left()) == 3)  # the first process, what is copied, and the daemon
    await live.client("delete_function", FunctionName="f", Qualifier="1")

    await until(lambda: not left())


async def test_a_copy_is_in_its_own_tmp_where_the_snapshot_was_in_its(live: LiveFunctions) -> None:
    await publish(live, FOLDER="/tmp")
    write = "open('by path', 'w').close(); os.close(os.open('by folder', os.O_CREAT, dir_fd=FOLDER)); "

    wrote = await run(live, write + "result = sorted(os.listdir('/tmp'))")
    await start_anew(live)
    seen = await run(live, "result = [sorted(os.listdir('.')), sorted(os.listdir(FOLDER))]")

    assert wrote == ["by folder", "by path", "folder", "kept"]
    assert seen == [["folder", "kept"]] * 2


async def test_what_a_copy_uses_up_is_not_roots(live: LiveFunctions) -> None:
    """A user namespace's uses count as its maker's, too: of some things no user has more than 128."""
    each_user = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    await publish(live)

    assert await run(live, WATCH.replace("COUNT", str(each_user + 1))) == -1, "it has them all"

    ours = ctypes.CDLL(None).inotify_init()
    assert ours >= 0
    os.close(ours)


async def test_a_snapshot_goes_with_its_version(live: LiveFunctions) -> None:
    await publish(live)
    assert len(copied()) == 1

    await live.client("delete_function", FunctionName="f", Qualifier="1")

    await until(lambda: not copied())
