"""What is true of an environment's processes, seen from the machine."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.fakes.runtime_owner import RuntimeOwner
from workshape.functions.launch import process_tree
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.process import EnvironmentStartFailed
from workshape.functions.launch.spawn_channel import Spawned
from workshape.settings import FunctionSettings

HERE = f"python3.{sys.version_info.minor}"
WAIT_S = 15.0


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(textwrap.dedent(text))


def running(marker: str) -> list[int]:
    """List the processes whose command line holds a marker; zombies have none."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def runs(pid: int) -> bool:
    """Tell whether there is such a process, and it is more than a zombie."""
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def until_none(marker: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while running(marker):
            await asyncio.sleep(0.01)


async def test_a_function_sees_lambdas_variables_and_none_of_the_hosts(
    owner: RuntimeOwner, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "s")
    write(code, "index.py", "import os\ndef handler(event, context): return dict(os.environ), os.getcwd()")

    environment, _ = await owner.started(code, runtime=HERE, MINE="yes", _HANDLER="stolen")
    _, (variables, folder) = await owner.invoke(environment)
    sandboxed = not await owner.launcher.why_no_sandbox()

    assert "HOST_SECRET" not in variables
    assert (variables["MINE"], variables["_HANDLER"]) == ("yes", "index.handler")
    assert folder == variables["LAMBDA_TASK_ROOT"] == ("/var/task" if sandboxed else str(code))
    assert variables["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{HERE}"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/f"
    assert variables["AWS_REGION"] == "us-east-1"
    if sandboxed:
        assert not {"TMPDIR", "HOME"} & variables.keys()
    else:
        assert Path(variables["TMPDIR"]).name.endswith(f"-{environment}")
        assert variables["HOME"] == variables["TMPDIR"]


@pytest.mark.skipif(sys.platform != "linux", reason="daemons escape where there is no child subreaper")
async def test_a_kill_ends_daemons_of_their_own_session_too(owner: RuntimeOwner, code: Path) -> None:
    write(
        code,
        "index.py",
        """
        import subprocess, sys
        DAEMON = '''
        import os, sys, time
        if os.fork(): os._exit(0)
        os.setsid()
        if os.fork(): os._exit(0)
        os.environ.clear()
        os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(600)", sys.argv[1]], {})
        '''
        def handler(event, context):
            for _ in range(3):
                subprocess.run([sys.executable, "-S", "-c", DAEMON, event], check=True)
            return "spawned"
        """,
    )
    marker = f"daemon-of-{os.getpid()}-{time.monotonic_ns()}"
    environment, process = await owner.started(code, runtime=HERE)
    assert await owner.invoke(environment, marker) == ("", "spawned")
    async with asyncio.timeout(WAIT_S):
        while len(running(marker)) < 3:
            await asyncio.sleep(0.01)

    await process.kill()

    assert running(marker) == []
    heard = await owner.until(environment, lambda heard: heard.exit)
    assert heard.exit == "signal: killed"


@pytest.mark.skipif(sys.platform != "linux", reason="daemons escape where there is no child subreaper")
async def test_daemons_end_when_the_runtime_crashes(owner: RuntimeOwner, code: Path) -> None:
    write(
        code,
        "index.py",
        """
        import os, subprocess, sys
        def handler(event, context):
            arguments = [sys.executable, "-S", "-c", "import time; time.sleep(600)", event]
            subprocess.Popen(arguments, start_new_session=True, stdout=subprocess.DEVNULL)
            os._exit(7)
        """,
    )
    marker = f"orphan-of-{os.getpid()}-{time.monotonic_ns()}"
    environment, process = await owner.started(code, runtime=HERE)

    owner.dispatch(environment, marker)
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.exit == "exit status 7"
    assert running(marker) == []
    await process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to see the processes")
@pytest.mark.parametrize("frozen", [False, True])
async def test_no_environment_outlives_a_killed_engine(tmp_path: Path, code: Path, frozen: bool) -> None:
    marker = f"engine-of-{os.getpid()}-{time.monotonic_ns()}"
    write(
        code,
        "index.py",
        f"""
        import subprocess, sys
        # It has told that it runs before it is looked for: Popen returns before /proc knows a command line.
        runs = "import time; print(flush=True); time.sleep(600)"
        arguments = [sys.executable, "-S", "-c", runs, "{marker}"]
        subprocess.Popen(arguments, start_new_session=True, stdout=subprocess.PIPE).stdout.readline()
        def handler(event, context): return "up"
        """,
    )
    write(
        tmp_path,
        "engine.py",
        f"""
        import asyncio, sys
        from pathlib import Path
        import uvloop
        from tests.fakes.runtime_owner import RuntimeOwner

        async def main():
            owner = RuntimeOwner(Path({str(tmp_path / "environments")!r}))
            processes = [await owner.started(Path({str(code)!r}), runtime={HERE!r}) for _ in range(2)]
            for _, process in processes:
                if {frozen}: process.freeze()
            print("up", *[process.pid for _, process in processes], flush=True)
            await asyncio.sleep(600)

        uvloop.run(main())
        """,
    )
    arguments = [sys.executable, str(tmp_path / "engine.py"), marker]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    engine = subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment, text=True)
    assert engine.stdout is not None
    words = engine.stdout.readline().split()
    below = process_tree.descendants(engine.pid)
    assert words[0] == "up"
    assert {int(pid) for pid in words[1:]} < set(below)
    async with asyncio.timeout(WAIT_S):
        while len(running(marker)) != 3:
            await asyncio.sleep(0.01)

    engine.kill()
    engine.wait()
    engine.stdout.close()

    await until_none(marker)
    async with asyncio.timeout(WAIT_S):
        while any(Path(f"/proc/{pid}/cmdline").exists() for pid in below):
            await asyncio.sleep(0.01)
    # Walked, not globbed: the groups of other tests' environments come and go meanwhile.
    left = [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if folder.endswith(f"/workshape-{engine.pid}")]
    assert left == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to find the spawner")
async def test_environments_end_and_are_told_of_when_their_spawner_is_killed(owner: RuntimeOwner, code: Path) -> None:
    write(code, "index.py", "def handler(event, context): return event")
    environment, process = await owner.started(code, runtime=HERE)
    status = Path(f"/proc/{process.pid}/status").read_text()
    spawner = int(status.partition("PPid:")[2].split()[0])

    os.kill(spawner, signal.SIGKILL)
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.exit == "signal: killed"
    async with asyncio.timeout(WAIT_S):
        while runs(process.pid):
            await asyncio.sleep(0.01)
    another, _ = await owner.started(code, runtime=HERE)
    assert await owner.invoke(another, 5) == ("", 5)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_both_ways_to_list_children_agree() -> None:
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        assert sleeper.pid in process_tree.children(os.getpid())
        assert sleeper.pid in process_tree._children_by_scan(os.getpid())
        assert process_tree.children(sleeper.pid) == process_tree._children_by_scan(sleeper.pid) == []
    finally:
        sleeper.kill()
        sleeper.wait()
    assert process_tree.peak_memory_kib(sleeper.pid) == 0


async def test_a_frozen_environment_runs_nothing_and_thawed_it_goes_on(owner: RuntimeOwner, code: Path) -> None:
    write(
        code,
        "index.py",
        """
        import subprocess, sys, threading, time
        ticks = []
        def tick():
            while True:
                ticks.append(time.monotonic())
                time.sleep(0.002)
        threading.Thread(target=tick, daemon=True).start()
        TICK = "import time\\nwhile True: print(time.monotonic(), flush=True); time.sleep(0.002)"
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", TICK], stdout=subprocess.PIPE, start_new_session=True)
        child_ticks = []
        def count():
            for line in child.stdout:
                child_ticks.append(float(line))
        threading.Thread(target=count, daemon=True).start()
        def handler(event, context):
            seen = len(ticks), len(child_ticks)
            while len(ticks) < seen[0] + 5 or len(child_ticks) < seen[1] + 5:
                time.sleep(0.002)
            return [max(b - a for a, b in zip(times, times[1:])) for times in (ticks[:], child_ticks[:])]
        """,
    )
    environment, process = await owner.started(code, runtime=HERE)
    await owner.invoke(environment)

    process.freeze()
    process.freeze()
    await asyncio.sleep(1.0)
    process.thaw()
    _, pauses_s = await owner.invoke(environment)

    assert min(pauses_s) > 0.5, "neither its threads nor its processes ran for most of that second"
    assert repr(process) == f"<EnvironmentProcess {process.pid} running>"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to find what waits")
async def test_a_start_does_not_depend_on_the_process_that_waits_for_it(owner: RuntimeOwner, code: Path) -> None:
    write(code, "index.py", "def handler(event, context): return event")
    _, process = await owner.started(code, runtime=HERE)
    status = Path(f"/proc/{process.pid}/status").read_text()
    spawner = int(status.partition("PPid:")[2].split()[0])
    waiting: set[int] = set()
    async with asyncio.timeout(WAIT_S):
        while len(waiting := owner.forked(spawner) - {process.pid}) < FunctionSettings().stems:
            await asyncio.sleep(0.01)

    for pid in waiting:
        os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        while any(Path(f"/proc/{pid}").exists() for pid in waiting):
            await asyncio.sleep(0.01)
    another, _ = await owner.started(code, runtime=HERE)

    assert await owner.invoke(another, 1) == ("", 1)


async def test_many_environments_started_and_killed_at_once_all_end(owner: RuntimeOwner, code: Path) -> None:
    write(code, "bootstrap", "#!/bin/sh\nsleep 600 & sleep 600\n")
    (code / "bootstrap").chmod(0o755)

    started = await asyncio.gather(*(owner.start(code, runtime="provided.al2023") for _ in range(40)))
    async with asyncio.timeout(30):
        await asyncio.gather(*(process.kill() for _, process in started))

    for environment, process in started:
        assert not Path(f"/proc/{process.pid}").exists()
        assert (await owner.until(environment, lambda heard: heard.exit)).exit == "signal: killed"


async def test_a_frozen_environment_can_be_killed(owner: RuntimeOwner, code: Path) -> None:
    write(code, "index.py", "def handler(event, context): return event")
    environment, process = await owner.started(code, runtime=HERE)
    process.freeze()

    await process.kill()
    await process.kill()

    heard = await owner.until(environment, lambda heard: heard.exit)
    assert heard.exit == "signal: killed"
    process.thaw()
    process.freeze()
    assert process.max_memory_mb() >= 0


async def test_output_comes_line_by_line_and_before_the_exit(owner: RuntimeOwner, code: Path) -> None:
    write(
        code,
        "bootstrap",
        """\
        #!/bin/sh
        echo one
        echo two >&2
        printf 'three, unended'
        exit 3
        """,
    )
    (code / "bootstrap").chmod(0o755)

    environment, _ = await owner.start(code, runtime="provided.al2023")
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.exit == "exit status 3"
    assert heard.output == ["one", "two", "three, unended"]


async def test_a_flood_of_output_without_newlines_is_cut(owner: RuntimeOwner, code: Path) -> None:
    write(code, "bootstrap", "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x\n")
    (code / "bootstrap").chmod(0o755)

    environment, _ = await owner.start(code, runtime="provided.al2023")
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert "".join(heard.output) == "x" * 1_000_000
    assert max(len(line) for line in heard.output) == 256 * 1024


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", "exit status 0"),
        ("kill -SEGV $$", "signal: segmentation fault"),
        ("kill -TERM $$", "signal: terminated"),
    ],
)
async def test_an_exit_is_told_in_lambdas_words(owner: RuntimeOwner, code: Path, script: str, words: str) -> None:
    write(code, "bootstrap", f"#!/bin/sh\n{script}\n")
    (code / "bootstrap").chmod(0o755)

    environment, _ = await owner.start(code, runtime="provided.al2023")
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.exit == words


async def test_peak_memory_counts_every_process_and_never_falls(owner: RuntimeOwner, code: Path) -> None:
    write(
        code,
        "index.py",
        """
        import subprocess, sys
        HOG = "b = bytearray(40 << 20); print('full', flush=True); input()"
        def handler(event, context):
            child = subprocess.Popen([sys.executable, "-S", "-c", HOG], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            child.stdout.readline()
            handler.child = child
        """,
    )
    environment, process = await owner.started(code, runtime=HERE)
    before = process.max_memory_mb()
    await owner.invoke(environment)
    await asyncio.sleep(0.11)

    during = process.max_memory_mb()
    await process.kill()

    assert 5 < before < 100
    assert during > before + 40
    assert process.max_memory_mb() == during


async def test_what_cannot_be_started_says_why(owner: RuntimeOwner, code: Path, tmp_path: Path) -> None:
    cases = {
        "the code folder": {"code": tmp_path / "absent", "runtime": HERE},
        "Python 3.99": {"code": code, "runtime": "python3.99"},
        "Node.js 98": {"code": code, "runtime": "nodejs98.x"},
        "cobol is not a runtime": {"code": code, "runtime": "cobol"},
    }
    for words, options in cases.items():
        with pytest.raises(EnvironmentStartFailed, match=words):
            await owner.start(**options)  # type: ignore[arg-type]  # a table of keyword arguments
    with pytest.raises(EnvironmentStartFailed, match="allow_substitute"):
        await owner.start(code, runtime="nodejs98.x")


async def test_another_version_takes_the_place_of_a_missing_one_when_allowed(tmp_path: Path, code: Path) -> None:
    write(code, "index.py", "import sys\ndef handler(event, context): return list(sys.version_info[:2])")
    owner = RuntimeOwner(tmp_path / "environments", FunctionSettings(allow_substitute=True))
    try:
        environment, _ = await owner.started(code, runtime="python3.99")
        _, version = await owner.invoke(environment)
        await owner.started(code, runtime="python3.99")

        assert version[0] == 3
        [note] = owner.notes
        assert note.startswith("python3.99 runs on Python 3.")
    finally:
        await owner.close()


@pytest.mark.skipif(not os.access("/sys/fs/cgroup", os.W_OK) or os.getuid() != 0, reason="no memory cgroup can be made")
async def test_a_function_over_its_memory_is_killed_where_cgroups_can_be_made(owner: RuntimeOwner, code: Path) -> None:
    write(code, "index.py", "def handler(event, context): return len(bytearray(event << 20))")
    environment, process = await owner.started(code, runtime=HERE, memory_mb=128)
    if "memory" in owner.launcher.cgroups().missing:
        pytest.skip("no memory cgroup can be made")

    assert await owner.invoke(environment, 20) == ("", 20 << 20)
    owner.dispatch(environment, 500)
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.exit == "signal: killed"
    assert process.ran_out_of_memory
    await process.kill()


async def test_closing_the_launcher_leaves_neither_processes_nor_scratch_space(tmp_path: Path, code: Path) -> None:
    write(code, "index.py", "import tempfile\ndef handler(event, context): tempfile.mkstemp()")
    owner = RuntimeOwner(tmp_path / "environments")
    environments = [await owner.started(code, runtime=HERE) for _ in range(3)]
    for environment, _ in environments:
        await owner.invoke(environment)
    pids = [process.pid for _, process in environments]

    await owner.close()

    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not (tmp_path / "environments" / "tmp").exists()
    assert json.dumps([owner.heard[environment].exit for environment, _ in environments]).count("killed") == 3


def test_memory_is_read_again_at_once_when_there_was_nothing_to_read_yet() -> None:
    process = EnvironmentProcess(lambda _pid: None)
    with (
        subprocess.Popen(["sh", "-c", "read line; sleep 600"], stdin=subprocess.PIPE, text=True) as shell,
        socket.socket() as unused,
    ):
        assert shell.stdin is not None
        process.began(Spawned(shell.pid, -1, {}, -1, unused))
        too_early = process.max_memory_mb()

        shell.stdin.write("go\n")
        shell.stdin.flush()
        deadline = time.monotonic() + 30
        while not process_tree.children(shell.pid):
            assert time.monotonic() < deadline
        there = process.max_memory_mb()

        for pid in (*process_tree.children(shell.pid), shell.pid):
            os.kill(pid, signal.SIGKILL)
    assert (too_early, there > 0) == (0, True)
