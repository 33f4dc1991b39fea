"""What a function could learn of others, or do in their name: everything it tries here is tried for real."""

import asyncio
import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.fakes import fork_bomb
from tests.fakes.runtime_owner import RuntimeOwner
from tests.integration.launch.test_environment_process import HERE
from workshape.functions.launch import linux, sandbox
from workshape.functions.launch.cgroups import PROCESSES_MAX

pytestmark = pytest.mark.usefixtures("needs_sandbox")
SECRET = "correct-horse-battery"
PROBES = """
import errno, os, re, socket

def secrets(process):
    found = set()
    with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end = (int(each, 16) for each in line.split()[0].split("-"))
            if line.split()[1].startswith("r") and "[v" not in line:
                memory.seek(begin)
                found.update(re.findall(rb"correct-hors[e]-battery-[0-9]+", memory.read(end - begin)))
    return sorted(each.decode() for each in found)

def connect(family, address):
    try:
        with socket.socket(family) as connection:
            connection.connect(address)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "connected"

def writable(places):
    return [each for each in places if not os.statvfs(each).f_flag & os.ST_RDONLY]

def handler(event, context):
    return eval(event)
"""


@pytest.fixture
async def probes(owner: RuntimeOwner, code: Path) -> Path:
    (code / "index.py").write_text(PROBES)
    return code


async def test_the_variables_of_one_function_are_nowhere_in_the_memory_of_another(
    owner: RuntimeOwner, probes: Path
) -> None:
    """Every process is forked from the spawner, by which all orders go."""
    for number in range(4):
        await owner.started(probes, runtime=HERE, revision="r", PASSWORD=f"{SECRET}-{number}")

    other, _ = await owner.started(probes, runtime=HERE, PASSWORD=f"{SECRET}-9")

    assert await owner.invoke(other, "secrets('self')") == ("", [f"{SECRET}-9"]), "it can look, and finds its own"
    assert await owner.invoke(other, "secrets(1)") == ("", [])


async def test_whoever_knocks_at_anothers_runtime_api_does_not_fill_the_log(
    owner: RuntimeOwner, probes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other, _ = await owner.started(probes, runtime=HERE)
    environment, _ = await owner.started(probes, runtime=HERE)
    host, port = owner.addresses[other].split(":")

    knock = f"[connect(socket.AF_INET, ({host!r}, {port})) for _ in range(100)][0]"
    assert await owner.invoke(environment, knock) == ("", "connected"), "and closed unread"
    async with asyncio.timeout(10):
        while 64 not in (counts := [vars(each).get("count") for each in caplog.records if "stranger" in each.message]):
            await asyncio.sleep(0.01)

    assert counts == [1, 2, 4, 8, 16, 32, 64]


async def test_no_socket_leads_past_the_network(owner: RuntimeOwner, probes: Path) -> None:
    """To the hypervisor, or into modules that the kernel would load."""
    environment, _ = await owner.started(probes, runtime=HERE)

    for family in ("AF_VSOCK", "AF_ALG", "AF_PACKET"):
        asked = f"connect(socket.{family}, None)"
        assert await owner.invoke(environment, asked) == ("", "EAFNOSUPPORT")
    assert await owner.invoke(environment, "connect(socket.AF_UNIX, '/tmp/none')") == ("", "ENOENT")


async def test_an_abstract_socket_of_the_machines_is_out_of_reach(owner: RuntimeOwner, probes: Path) -> None:
    if not _scopes_abstract_sockets():
        pytest.skip("this kernel cannot: Linux 6.12 can, with Landlock")
    environment, _ = await owner.started(probes, runtime=HERE)
    name = f"\0workshape-{os.getpid()}"

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen()
        assert await owner.invoke(environment, f"connect(socket.AF_UNIX, {name!r})") == ("", "EPERM")


def _scopes_abstract_sockets() -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
            linux.keep_to_own_abstract_sockets()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


async def test_a_place_that_nothing_is_mounted_at_is_read_only(owner: RuntimeOwner, probes: Path) -> None:
    environment, _ = await owner.started(probes, runtime=HERE)

    assert await owner.invoke(environment, "writable(['/', '/opt', '/var/task', '/usr', '/tmp'])") == ("", ["/tmp"])


async def test_the_platforms_state_beside_a_functions_code_is_none_of_its_own(
    owner: RuntimeOwner, probes: Path
) -> None:
    """Of an app that is one folder."""
    (probes / ".workshape").mkdir()
    (probes / ".workshape" / "of others").touch()
    environment, _ = await owner.started(probes, runtime=HERE)

    assert await owner.invoke(environment, "sorted(os.listdir('.'))") == ("", [".workshape", "index.py"])
    assert await owner.invoke(environment, "os.listdir('.workshape')") == ("", [])
    assert await owner.invoke(environment, "writable(['.workshape'])") == ("", [])


async def test_a_fork_bomb_ends_at_lambdas_limit_also_where_there_is_no_cgroup_for_it() -> None:
    bomb = await asyncio.create_subprocess_exec(
        sys.executable, "-m", fork_bomb.__name__, stdout=asyncio.subprocess.PIPE
    )
    forked, _ = await bomb.communicate()

    assert int(forked) == PROCESSES_MAX - 1, "itself is one, too"


async def test_what_is_mounted_below_the_systems_folders_is_read_only_too(tmp_path: Path) -> None:
    """A file system of its own at /usr/local, say, or a developer's folder in a container's /usr/src."""
    (tmp_path / "root").mkdir()
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(_written_below_usr(tmp_path / "root"))
        finally:
            os._exit(255)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == errno.EROFS


def _written_below_usr(root: Path) -> int:
    """Return the number of the error that a sandboxed process meets there; 0: it could write."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("more", "/usr/share", "tmpfs", 0, "mode=1777")
    os.mkdir("/usr/share/with space", 0o777)
    linux.mount("more", "/usr/share/with space", "tmpfs", 0, "mode=1777")
    made = sandbox.Root(str(root))
    made.enter()
    slot = sandbox.Slot(0, 70_000)
    slot.enter()
    slot.drop()
    numbers = set()
    for folder in ("/usr/share", "/usr/share/with space"):
        try:
            os.close(os.open(f"{folder}/x", os.O_WRONLY | os.O_CREAT, 0o600))
            return 0
        except OSError as error:
            numbers.add(error.errno or 0)
    return max(numbers) if len(numbers) == 1 else 0
