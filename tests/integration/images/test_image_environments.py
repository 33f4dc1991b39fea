"""What is true of an image's environment, seen from inside it and from the machine."""

import asyncio
import os
import signal
import sys
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.image_programs import program_layer, python_layer, static_image
from tests.fakes.images import BuiltImage, file, folder, layer, link, write_layout
from tests.fakes.runtime_owner import RuntimeOwner
from workshape.functions.images.model import ImageProcess, ImageSettings, image_process
from workshape.functions.images.store import ImageStore
from workshape.functions.launch.environment_process import EnvironmentProcess
from workshape.functions.launch.process import EnvironmentStartFailed
from workshape.functions.launch.process_tree import descendants
from workshape.functions.model import EnvironmentId

WAIT_S = 15.0


async def unpacked(
    tmp_path: Path, image: BuiltImage, settings: ImageSettings | None = None
) -> tuple[Path, ImageProcess]:
    store = ImageStore(tmp_path / "images")
    resolved = await store.resolve(f"oci:{write_layout(tmp_path / 'layout', latest=image)}", "x86_64")
    await store.prepare(resolved)
    process = image_process(resolved, settings)
    assert process is not None
    return store.root(resolved), process


async def started(
    owner: RuntimeOwner, tmp_path: Path, image: BuiltImage, settings: ImageSettings | None = None, **options: Any
) -> tuple[EnvironmentId, EnvironmentProcess]:
    root, process = await unpacked(tmp_path, image, settings)
    return await owner.started(root, image=process, **options)


async def test_a_static_program_that_speaks_the_runtime_api_is_a_function(
    owner: RuntimeOwner, tmp_path: Path, image: BuiltImage
) -> None:
    environment, process = await started(owner, tmp_path, image, ASKED="well")

    assert await owner.invoke(environment, "anything") == ("", f"user {process.user} asked well")
    heard = await owner.until(environment, lambda heard: heard.output)
    assert heard.output == ["started with 3 arguments, last two"]


async def test_its_root_is_the_images_and_read_only(owner: RuntimeOwner, tmp_path: Path, image: BuiltImage) -> None:
    environment, _ = await started(owner, tmp_path, image)

    assert set((await owner.invoke(environment, "root"))[1].split()) == {"dev", "etc", "proc", "runtime", "tmp"}
    assert await owner.invoke(environment, "write root") == ("", "Read-only file system")
    assert await owner.invoke(environment, "devices") == ("", "there")
    assert await owner.invoke(environment, "mount") == ("", "Operation not permitted")
    assert await owner.invoke(environment, "become root") == ("", "Operation not permitted")


@pytest.mark.usefixtures("needs_sandbox")
@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["a folder of all", "a folder of root's"])
async def test_a_file_that_functions_may_read_is_where_it_is_on_the_host(
    tmp_path: Path, program: bytes, mode: int
) -> None:
    image = BuiltImage(
        [layer(folder("var", mode), file("runtime", program, 0o755))], {"Entrypoint": ["/runtime"], "Cmd": ["x"]}
    )
    with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
        authorities = [Path(elsewhere, "state", "ca.pem"), tmp_path / "ca.pem"]
        for authority in authorities:
            authority.parent.mkdir(exist_ok=True)
            authority.write_text(f"certificate of {authority}")
        owner = RuntimeOwner(tmp_path / "environments", show=[str(authority) for authority in authorities])
        try:
            environment, _ = await started(owner, tmp_path, image)
            told = [await owner.invoke(environment, f"show {authority}") for authority in authorities]
            assert await owner.invoke(environment, "write root") == ("", "Read-only file system")
        finally:
            await owner.close()

    assert told == [("", f"certificate of {authority}") for authority in authorities]


@pytest.mark.usefixtures("needs_sandbox")
async def test_a_file_behind_a_link_of_the_image_is_not_shown_and_nothing_is_made_there(
    tmp_path: Path, program: bytes
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    image = BuiltImage(
        [layer(link("var", f"/.host{outside}"), file("runtime", program, 0o755))], {"Entrypoint": ["/runtime"]}
    )
    with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
        authority = Path(elsewhere, "ca.pem")
        authority.write_text("certificate")
        owner = RuntimeOwner(tmp_path / "environments", show=[str(authority)])
        try:
            environment, _ = await started(owner, tmp_path, image)
            told = await owner.invoke(environment, f"show {authority}")
        finally:
            await owner.close()

    assert told == ("", "No such file or directory")
    assert list(outside.iterdir()) == []


async def test_its_tmp_is_its_own_and_has_the_size_it_is_given(
    owner: RuntimeOwner, tmp_path: Path, image: BuiltImage
) -> None:
    environment, _ = await started(owner, tmp_path, image, ephemeral_storage_mb=16)

    assert await owner.invoke(environment, "fill tmp") == ("", "16")
    assert await owner.invoke(environment, "write tmp") == ("", "done")
    assert not Path("/tmp/new").exists()


async def test_it_sees_no_other_processes(owner: RuntimeOwner, tmp_path: Path, image: BuiltImage) -> None:
    root, process = await unpacked(tmp_path, image)
    await owner.started(root, image=process)
    second, _ = await owner.started(root, image=process)

    assert await owner.invoke(second, "processes") == ("", "2 of which I am 2")


async def test_it_has_no_privileges_and_no_way_to_any(owner: RuntimeOwner, tmp_path: Path, image: BuiltImage) -> None:
    environment, _ = await started(owner, tmp_path, image)

    _, told = await owner.invoke(environment, "privileges")

    found = dict(each.split("=") for each in told.split())
    assert {found.pop("NoNewPrivs"), found.pop("Seccomp")} == {"1", "2"}
    assert set(found.values()) == {"0" * 16}
    assert found.keys() >= {"CapEff", "CapPrm", "CapBnd"}


async def test_it_has_namespaces_control_groups_and_a_user_of_its_own(
    owner: RuntimeOwner, tmp_path: Path, image: BuiltImage
) -> None:
    root, process = await unpacked(tmp_path, image)
    _, first = await owner.started(root, image=process)
    _, second = await owner.started(root, image=process)

    pids = ("self", first.pid, second.pid)
    for kind in ("pid_for_children", "mnt", "ipc", "uts"):
        assert len({os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}) == len(pids)
    assert len({os.geteuid(), first.user, second.user}) == len(pids)
    for place in owner.launcher.cgroups().folders.values():
        for each in (first, second):
            [group] = [
                group for group in Path(place).glob("*/cgroup.procs") if str(each.pid) in group.read_text().split()
            ]
            assert set(map(str, descendants(each.pid))) < set(group.read_text().split())


async def test_it_cannot_speak_to_anothers_runtime_api(owner: RuntimeOwner, tmp_path: Path, image: BuiltImage) -> None:
    root, process = await unpacked(tmp_path, image)
    first, _ = await owner.started(root, image=process)
    second, _ = await owner.started(root, image=process)
    address = owner.addresses[first]

    assert await owner.invoke(second, f"reach {address.rpartition(':')[2]}") == ("", "closed")
    assert await owner.invoke(first, "where") == ("", "/")


async def test_nothing_of_it_is_seen_or_left_on_the_machine(
    owner: RuntimeOwner, tmp_path: Path, image: BuiltImage
) -> None:
    environment, process = await started(owner, tmp_path, image)
    await owner.invoke(environment, "spawn")
    below = descendants(process.pid)
    assert len(below) == len(("the runtime", "what it has started"))

    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    await process.kill()

    assert not [pid for pid in (process.pid, *below) if Path(f"/proc/{pid}").exists()]
    assert (await owner.until(environment, lambda heard: heard.exit)).exit == "signal: killed"
    names = {path.name for path in (tmp_path / "images" / "roots").glob("*/root/*")}
    assert names == {"dev", "etc", "proc", "runtime", "tmp"}


async def test_what_it_has_started_ends_when_it_crashes(owner: RuntimeOwner, tmp_path: Path, image: BuiltImage) -> None:
    environment, process = await started(owner, tmp_path, image)
    await owner.invoke(environment, "spawn")
    below = descendants(process.pid)

    owner.dispatch(environment, "crash")

    heard = await owner.until(environment, lambda heard: heard.exit)
    assert heard.exit == "exit status 9"
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


async def test_it_ends_with_the_spawner_however_that_ends(
    owner: RuntimeOwner, tmp_path: Path, image: BuiltImage
) -> None:
    environment, process = await started(owner, tmp_path, image)
    await owner.invoke(environment, "spawn")
    pids = [process.pid, *descendants(process.pid)]
    spawner = int(stat(process.pid)[1])

    os.kill(spawner, signal.SIGKILL)

    async with asyncio.timeout(WAIT_S):
        while any(runs(pid) for pid in pids):
            await asyncio.sleep(0.01)
    assert (await owner.until(environment, lambda heard: heard.exit)).exit == "signal: killed"


def runs(pid: int) -> bool:
    try:
        return stat(pid)[0] != "Z"
    except OSError:
        return False


def stat(pid: int) -> list[str]:
    """Everything of /proc/PID/stat after the name: the state, the parent ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def is_frozen(owner: RuntimeOwner, process: EnvironmentProcess) -> bool:
    freezer = owner.launcher.cgroups().folders.get("freezer")
    if freezer is None:
        return all(stat(pid)[0] == "T" for pid in (process.pid, *descendants(process.pid)))
    groups = [
        path.parent for path in Path(freezer).glob("*/cgroup.procs") if str(process.pid) in path.read_text().split()
    ]
    return any("frozen 1" in (group / "cgroup.events").read_text() for group in groups)


async def test_it_freezes_and_thaws(owner: RuntimeOwner, tmp_path: Path, image: BuiltImage) -> None:
    environment, process = await started(owner, tmp_path, image)

    process.freeze()
    async with asyncio.timeout(WAIT_S):
        while not is_frozen(owner, process):  # it takes its time
            await asyncio.sleep(0.01)
    process.thaw()

    assert await owner.invoke(environment, "where") == ("", "/")
    assert process.max_memory_mb() >= 1


async def test_a_functions_settings_go_before_the_images(owner: RuntimeOwner, tmp_path: Path, program: bytes) -> None:
    image = BuiltImage(
        [layer(folder("work"), folder("other"), file("bin/runtime", program, 0o755))],
        {"Entrypoint": ["/none"], "Cmd": ["a"], "WorkingDir": "/work", "Env": ["ASKED=image", "PATH=/bin"]},
    )

    environment, process = await started(owner, tmp_path, image, ImageSettings(("runtime",), ("b", "c", "d"), "/other"))

    assert await owner.invoke(environment, "where") == ("", "/other")
    assert await owner.invoke(environment) == ("", f"user {process.user} asked image")
    heard = await owner.until(environment, lambda heard: heard.output)
    assert heard.output == ["started with 4 arguments, last d"]


@pytest.mark.parametrize(
    ("config", "kind", "reason"),
    [
        ({"Entrypoint": ["/no"]}, "Runtime.InvalidEntrypoint", "Error: fork/exec /no: no such file or directory"),
        ({"Entrypoint": ["/etc"]}, "Runtime.InvalidEntrypoint", "Error: fork/exec /etc: permission denied"),
        ({"WorkingDir": "/no"}, "Runtime.InvalidWorkingDir", "Error: chdir /no: no such file or directory"),
    ],
)
async def test_an_image_that_cannot_be_executed_fails_its_init_phase(
    owner: RuntimeOwner, tmp_path: Path, program: bytes, config: dict[str, Any], kind: str, reason: str
) -> None:
    root, process = await unpacked(tmp_path, static_image(program, **config))

    environment, _ = await owner.start(root, image=process)

    heard = await owner.until(environment, lambda heard: heard.exit)
    assert heard.init_error == (kind, {"errorType": kind, "errorMessage": reason})
    assert heard.exit == "exit status 1"


async def test_an_image_with_nothing_to_execute_is_refused(owner: RuntimeOwner, tmp_path: Path, program: bytes) -> None:
    root, process = await unpacked(tmp_path, static_image(program, Entrypoint=[]))

    with pytest.raises(EnvironmentStartFailed, match="the image has neither ENTRYPOINT nor CMD"):
        await owner.start(root, image=process)


async def test_an_image_for_another_processor_is_refused_by_name(
    owner: RuntimeOwner, tmp_path: Path, image: BuiltImage
) -> None:
    root, process = await unpacked(tmp_path, image)

    with pytest.raises(EnvironmentStartFailed, match="the image is for s390x processors, and this machine's is"):
        await owner.start(root, image=replace(process, architecture="s390x"))


async def test_without_root_an_image_is_refused_with_what_is_missing(
    owner: RuntimeOwner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)

    with pytest.raises(
        EnvironmentStartFailed, match="need a sandbox, and there can be none here: only root may make one"
    ):
        await owner.start(tmp_path / "root", image=ImageProcess(("/x",), "/", {}, "amd64"))


ENTRYPOINT = """#!/bin/sh
if [ -z "${AWS_LAMBDA_RUNTIME_API}" ]; then echo "no Runtime API"; exit 1; fi
export _HANDLER="$1"
exec /bin-python -m awslambdaric "$_HANDLER"
"""
HANDLER = """
import os, tempfile
def handler(event, context):
    with tempfile.TemporaryFile() as opened:
        opened.write(b"x")
    return [event, os.getcwd(), context.function_name, os.environ["LAMBDA_TASK_ROOT"]]
"""


@pytest.mark.usefixtures("needs_sandbox")
async def test_an_image_like_awss_own_runs_a_python_handler(owner: RuntimeOwner, tmp_path: Path) -> None:
    pytest.importorskip("awslambdaric", reason="AWS's runtime client is not installed")
    packages = Path(sysconfig.get_path("purelib"))
    names = ("awslambdaric*", "runtime_client*", "simplejson", "snapshot_restore_py")
    image = BuiltImage(
        [
            program_layer("/bin/sh"),
            python_layer(*(path for name in names for path in sorted(packages.glob(name)))),
            layer(file("var/task/app.py", HANDLER), file("lambda-entrypoint.sh", ENTRYPOINT, 0o755)),
        ],
        {
            "Entrypoint": ["/lambda-entrypoint.sh"],
            "Cmd": ["app.handler"],
            "WorkingDir": "/var/task",
            "Env": [f"PYTHONHOME={sys.base_prefix}", "PYTHONPATH=/packages", "LAMBDA_TASK_ROOT=/var/task"],
        },
        compression="",
    )

    environment, _ = await started(owner, tmp_path, image)

    assert await owner.invoke(environment, {"a": 1}) == ("", [{"a": 1}, "/var/task", "f", "/var/task"])
