"""What a function can see and do from inside its sandbox: everything it tries here is tried for real."""

import asyncio
import contextlib
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import entering
from tests.fakes.runtime_owner import FUNCTION, RuntimeOwner
from tests.integration.launch.test_environment_process import HERE
from workshape.functions.launch.process import EnvironmentStartFailed
from workshape.settings import FunctionSettings

WAIT_S = 15.0
PLACES = 3  # of each process that waits: its task root, /opt and /tmp
PROBES = """
import ctypes, errno, os, signal, socket, subprocess, sys, tempfile

libc = ctypes.CDLL(None, use_errno=True)

def attempt(act):
    try:
        return act()
    except OSError as error:
        return errno.errorcode[error.errno]

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
    return "done"

def status(key):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return lines[key].strip()

def write(path):
    with open(path, "w") as file:
        file.write("x")
    return "written"

def fill(path, mib):
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(b"x" * (1 << 20))
            file.flush()
    return "filled"

def fork_many(count):
    children = []
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
        return "forked"
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

def connect(address):
    with socket.create_connection((address.split(":")[0], int(address.split(":")[1])), timeout=5) as connection:
        connection.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        return "answered" if connection.recv(1) else "closed"

def handler(event, context):
    return attempt(lambda: eval(event))
"""
pytestmark = pytest.mark.usefixtures("needs_sandbox")


@pytest.fixture
async def inside(owner: RuntimeOwner, code: Path) -> "Inside":
    (code / "index.py").write_text(PROBES)
    return Inside(owner, code)


class Inside:
    """Evaluates an expression in a function."""

    def __init__(self, owner: RuntimeOwner, code: Path) -> None:
        self.owner = owner
        self.code = code
        self.environment: Any = None
        self.process: Any = None

    async def __call__(self, expression: str) -> Any:
        if self.environment is None:
            self.environment, self.process = await self.owner.started(self.code, runtime=HERE, memory_mb=256)
        error, value = await self.owner.invoke(self.environment, textwrap.dedent(expression))
        return error or value


async def test_it_has_no_privileges_and_no_way_to_any(inside: Inside) -> None:
    assert await inside("[status(key) for key in ('CapEff', 'CapPrm', 'CapBnd')]") == ["0" * 16] * 3
    assert await inside("(status('NoNewPrivs'), status('Seccomp'))") == ["1", "2"]
    assert await inside("os.getuid()") != 0
    assert await inside("os.setuid(0)") == "EPERM"


@pytest.mark.parametrize(
    "call",
    [
        "call('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
        "call('umount2', b'/tmp', 2)",
        "call('unshare', 0x10000000)",
        "call('unshare', 0x00020000)",
        "call('ptrace', 0, 0, 0, 0)",
        "call('chroot', b'/tmp')",
        "call('sethostname', b'x', 1)",
        "call('syscall', 321, 0, 0, 0)",
        "call('syscall', 56, 0x10000000 | 17, 0, 0, 0, 0)",
    ],
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are x86-64's")
async def test_system_calls_that_reach_out_are_refused(inside: Inside, call: str) -> None:
    assert await inside(call) == "EPERM"


async def test_what_the_c_library_starts_processes_with_still_works(inside: Inside) -> None:
    assert (
        await inside("subprocess.run(['/bin/sh', '-c', 'echo $((1 + 1))'], capture_output=True).stdout.decode()")
        == "2\n"
    )
    assert await inside("__import__('threading').Thread(target=print).start()") is None


@pytest.mark.parametrize("path", ["/var/task/x", "/usr/x", "/etc/x", "/x", "/opt/x", "/var/runtime/x", "/dev/x"])
async def test_everything_but_tmp_is_read_only(inside: Inside, path: str) -> None:
    assert await inside(f"write({path!r})") in ("EROFS", "EACCES")
    assert await inside("write('/tmp/x')") == "written"


async def test_the_functions_code_is_read_only_whoever_may_write_to_it(
    inside: Inside, owner: RuntimeOwner, code: Path
) -> None:
    code.chmod(0o777)
    await inside("None")
    async with asyncio.timeout(WAIT_S):
        while not any(len(owner.forked(pid)) > FunctionSettings().stems for pid in owner.launcher.spawners()):
            await asyncio.sleep(0.01)

    environment, _ = await owner.started(code, runtime=HERE)  # a stem that had its places before it had its function

    assert await inside("write('/var/task/x')") == "EROFS"
    assert await owner.invoke(environment, "write('/var/task/x')") == ("", "EROFS")
    assert [path.name for path in code.iterdir()] == ["index.py"]


async def test_it_sees_what_is_mounted_just_as_it_enters(tmp_path: Path, code: Path) -> None:
    """Of a process that enters while its function is shown to it, whichever of the two is first, and at every step."""
    (code / "index.py").touch()
    (tmp_path / "root").mkdir()

    racing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", entering.__name__, str(tmp_path / "root"), str(code)), stdout=asyncio.subprocess.PIPE
    )
    blind, _ = await racing.communicate()

    assert blind == b"0", "so many saw nothing of their code or layers"


async def test_it_sees_nothing_of_the_hosts_files(inside: Inside, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0o644)

    assert await inside(f"open({str(secret)!r}).read()") == "ENOENT"
    assert await inside("open('/etc/shadow').read()") == "ENOENT"
    assert await inside(f"os.listdir({str(Path(__file__).parent)!r})") == "ENOENT"
    for folder in (str(Path.home() / ".ssh"), "/sys", "/boot", "/mnt", "/srv"):
        assert await inside(f"os.listdir({folder!r})") in ("ENOENT", "EACCES")
    assert await inside("(os.listdir('/.host'), os.listdir('/.slots'))") in ([[], []], "EACCES")
    assert await inside("'shm' in os.listdir('/dev')") is False


async def test_it_sees_and_signals_its_own_processes_only(inside: Inside) -> None:
    seen = await inside("sorted(int(name) for name in os.listdir('/proc') if name.isdigit())")

    assert seen == [1, 2]
    assert await inside(f"os.kill({os.getpid()}, 0)") == "ESRCH"
    assert await inside("os.kill(-1, 0)") == "ESRCH"  # nobody, but itself
    assert await inside("os.getpid()") == 2


async def test_tmp_is_its_own_and_has_a_quota(inside: Inside, owner: RuntimeOwner, code: Path) -> None:
    room = await inside("os.statvfs('/tmp').f_bavail * os.statvfs('/tmp').f_frsize")
    await inside("write('/tmp/mine')")
    other, _ = await owner.started(code, runtime=HERE)

    assert await owner.invoke(other, "os.listdir('/tmp')") == ("", [])
    assert 0 <= room - (512 << 20) < 64 * 1024
    assert not Path("/tmp/mine").exists()


async def test_a_disk_filler_gets_no_space_left_and_the_environment_lives_on(owner: RuntimeOwner, code: Path) -> None:
    (code / "index.py").write_text(PROBES)
    environment, _ = await owner.started(code, runtime=HERE, memory_mb=1024)

    assert await owner.invoke(environment, "fill('/tmp/big', 600)") == ("", "ENOSPC")
    assert await owner.invoke(environment, "os.unlink('/tmp/big')") == ("", None)
    assert await owner.invoke(environment, "fill('/tmp/big', 10)") == ("", "filled")


async def test_a_fork_bomb_meets_lambdas_limit_of_processes(owner: RuntimeOwner, code: Path) -> None:
    (code / "index.py").write_text(PROBES)
    environment, _ = await owner.started(code, runtime=HERE, memory_mb=3_008)
    if "pids" in owner.launcher.cgroups().missing:
        pytest.skip("no pids cgroup can be made")

    assert await owner.invoke(environment, "attempt(lambda: fork_many(1100))") == ("", "EAGAIN")
    assert await owner.invoke(environment, "fork_many(50)") == ("", "forked")


async def test_its_share_of_the_processors_is_in_proportion_to_its_memory(inside: Inside) -> None:
    await inside("1")
    folder = inside.process._cgroups.get("cpu")
    if folder is None:
        pytest.skip("no cpu cgroup can be made")

    inside.process.limit_cpu(256)

    quota = Path(folder, "cpu.max") if Path(folder, "cpu.max").exists() else Path(folder, "cpu.cfs_quota_us")
    assert int(quota.read_text().split()[0]) == 20_000 * 256 // 1_769


async def test_it_cannot_speak_to_anothers_runtime_api(inside: Inside, owner: RuntimeOwner, code: Path) -> None:
    other, _ = await owner.started(code, runtime=HERE)

    assert await inside(f"connect({owner.addresses[other]!r})") in ("closed", "ECONNRESET")
    assert await owner.invoke(other, "1 + 1") == ("", 2)
    own = owner.addresses[inside.environment]
    assert await inside(f"connect({own!r})") == "answered"


async def test_a_runtime_that_is_executed_speaks_over_tcp_from_its_own_user(owner: RuntimeOwner, code: Path) -> None:
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("there is no bash")
    (code / "bootstrap").write_text(
        "#!/bin/bash\n"
        "exec 9<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}\n"
        "printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&9\nread -u 9 line\n"
    )
    (code / "bootstrap").chmod(0o755)

    environment, process = await owner.start(code, runtime="provided.al2023")
    await owner.until(environment, lambda heard: heard.ready > 0)

    assert process.user > 0
    await process.kill()


async def test_a_file_that_functions_may_read_is_where_it_is_on_the_host(tmp_path: Path, code: Path) -> None:
    (code / "index.py").write_text(PROBES)
    authority = tmp_path / "ca.pem"
    authority.write_text("certificate")
    owner = RuntimeOwner(tmp_path / "environments", show=[str(authority)])
    try:
        environment, _ = await owner.started(code, runtime=HERE)

        assert await owner.invoke(environment, f"open({str(authority)!r}).read()") == ("", "certificate")
    finally:
        await owner.close()


async def test_the_programs_of_the_system_are_there(inside: Inside) -> None:
    assert await inside("subprocess.run(['ls', '/'], capture_output=True).returncode") == 0
    assert await inside("__import__('pwd').getpwuid(os.getuid()).pw_name") == "sbx_user1051"
    assert await inside("bool(__import__('ssl').create_default_context().get_ca_certs())") in (True, False)
    assert await inside("socket.gethostname()") == "localhost"


@pytest.mark.parametrize("victim", ["init", "runtime"])
async def test_a_killed_process_of_a_sandbox_ends_it_all(inside: Inside, victim: str) -> None:
    await inside("subprocess.Popen(['sleep', '600'], start_new_session=True) and None")
    first = inside.process.pid
    children = [int(pid) for pid in Path(f"/proc/{first}/task/{first}/children").read_text().split()]

    os.kill(first if victim == "init" else children[0], 9)
    heard = await inside.owner.until(inside.environment, lambda heard: heard.exit)

    assert heard.exit == "signal: killed"
    async with asyncio.timeout(WAIT_S):
        while any(Path(f"/proc/{pid}").exists() for pid in (first, *children)):
            await asyncio.sleep(0.01)


async def test_nothing_is_left_mounted_or_in_cgroups_when_environments_have_ended(
    owner: RuntimeOwner, code: Path
) -> None:
    before = oct(Path("/").stat().st_mode & 0o777)
    (code / "index.py").write_text(PROBES)
    started = [await owner.started(code, runtime=HERE) for _ in range(3)]
    spawner = int(Path(f"/proc/{started[0][1].pid}/status").read_text().partition("PPid:")[2].split()[0])

    for _, process in started:
        await process.kill()
    owner.launcher.retire(FUNCTION.name, ())

    def name_of(pid: str) -> str:
        with contextlib.suppress(OSError):  # it has just ended
            return Path(f"/proc/{pid}/comm").read_text().strip()
        return ""

    def stray() -> int:
        mounts = Path(f"/proc/{spawner}/mounts").read_text().splitlines()
        children = Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split()
        waiting = [pid for pid in children if name_of(pid) != "disk-maker"]
        return sum("/.slots/" in line for line in mounts) - PLACES * len(waiting)

    async with asyncio.timeout(WAIT_S):
        while stray():
            await asyncio.sleep(0.02)
    assert oct(Path("/").stat().st_mode & 0o777) == before, "the host's own root is left as it is"


async def test_code_that_its_owner_alone_may_read_is_told_with_the_remedy(owner: RuntimeOwner, code: Path) -> None:
    (code / "index.py").write_text(PROBES)
    code.chmod(0o700)

    with pytest.raises(EnvironmentStartFailed, match=f"{code} may be read by its owner alone: chmod -R a\\+rX"):
        await owner.start(code, runtime=HERE)
