"""Finding control groups in what /proc says, and what is written to them; folders stand for the kernel's."""

from pathlib import Path

import pytest

from workshape.functions.launch.cgroups import CgroupFolders, EnvironmentCgroup, limit_cpu, ran_out_of_memory

LEGACY = "cgroup {} cgroup rw,relatime,memory 0 0\n"
UNIFIED = "cgroup2 {} cgroup2 rw,relatime 0 0\n"
MEMBERSHIPS = "4:memory:/a/b\n3:cpuset:/\n0::/\n"


@pytest.mark.parametrize("mounted_at", ["a/b", "."])
def test_a_version_1_hierarchy_serves_when_its_limit_can_be_written(tmp_path: Path, mounted_at: str) -> None:
    folder = tmp_path / mounted_at / "engine"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").touch()  # the kernel makes it with the folder

    found = CgroupFolders.open(LEGACY.format(tmp_path), MEMBERSHIPS, "engine")

    assert found.folders == {"memory": str(folder)}
    assert set(found.missing) == {"cpu", "pids", "freezer"}


def test_a_version_2_hierarchy_serves_for_what_its_parent_hands_down(tmp_path: Path) -> None:
    _offer(tmp_path, "engine", limits=True)

    found = CgroupFolders.open(UNIFIED.format(tmp_path), "0::/\n", "engine")

    assert found.folders == dict.fromkeys(("memory", "cpu", "pids", "freezer"), str(tmp_path / "engine"))
    assert found.missing == {}


def test_version_2_is_taken_above_a_cgroup_whose_own_processes_forbid_limits_below_it(tmp_path: Path) -> None:
    session = tmp_path / "user.slice" / "session.scope"
    session.mkdir(parents=True)
    _offer(session, "engine", limits=False)
    _offer(tmp_path / "user.slice", "engine", limits=True)

    found = CgroupFolders.open(UNIFIED.format(tmp_path), "0::/user.slice/session.scope\n", "engine")

    above = str(tmp_path / "user.slice" / "engine")
    assert found.folders == dict.fromkeys(("memory", "cpu", "pids", "freezer"), above)  # a process can be in one alone
    assert found.missing == {}


def test_version_2_is_taken_in_our_own_cgroup_where_none_above_it_offers_more(tmp_path: Path) -> None:
    session = tmp_path / "user.slice" / "session.scope"
    session.mkdir(parents=True)
    for parent in (session, tmp_path / "user.slice"):
        _offer(parent, "engine", limits=False)

    found = CgroupFolders.open(UNIFIED.format(tmp_path), "0::/user.slice/session.scope\n", "engine")

    assert found.folders == {"freezer": str(session / "engine")}
    assert {name: str(session) in reason for name, reason in found.missing.items()} == {
        "memory": True,
        "cpu": True,
        "pids": True,
    }


def test_no_cgroup_is_looked_for_above_what_is_mounted(tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    _offer(mounted, "engine", limits=False)
    _offer(tmp_path, "engine", limits=True)

    found = CgroupFolders.open(UNIFIED.format(mounted), "0::/\n", "engine")

    assert set(found.missing) == {"memory", "cpu", "pids"}


def test_a_folder_that_turns_out_to_limit_nothing_is_removed_and_said_to_be_missing(tmp_path: Path) -> None:
    found = CgroupFolders.open(LEGACY.format(tmp_path), "4:memory:/\n0::/\n", "engine")

    assert found.folders == {}
    assert "cannot be written" in found.missing["memory"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mounts", "memberships"),
    [("", ""), ("proc /proc proc rw 0 0\n", "4:memory:/a\n"), (UNIFIED.format("/nowhere"), "0::/\n")],
)
def test_a_machine_without_such_cgroups_has_no_limits(mounts: str, memberships: str) -> None:
    assert CgroupFolders.open(mounts, memberships, "engine").folders == {}


def test_a_version_1_freezer_is_not_taken_since_what_it_freezes_cannot_be_killed(tmp_path: Path) -> None:
    mounts = f"cgroup {tmp_path} cgroup rw,relatime,freezer 0 0\n"

    assert "freezer" in CgroupFolders.open(mounts, "6:freezer:/\n0::/\n", "engine").missing


@pytest.mark.parametrize(("memory_mb", "quota_us"), [(1_769, 20_000), (10_240, 115_771), (128, 1_447), (64, 1_000)])
def test_processor_time_is_in_proportion_to_memory(tmp_path: Path, memory_mb: int, quota_us: int) -> None:
    (tmp_path / "cpu.cfs_quota_us").touch()

    limit_cpu(str(tmp_path), memory_mb)

    assert int((tmp_path / "cpu.cfs_quota_us").read_text()) == quota_us


def test_version_2_has_quota_and_period_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").touch()

    limit_cpu(str(tmp_path), 1_769)

    assert (tmp_path / "cpu.max").read_text() == "20000 20000"


def test_an_environments_cgroups_are_made_in_every_hierarchy_or_in_none(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    parents = {"memory": str(tmp_path / "memory"), "pids": str(tmp_path / "absent")}

    with pytest.raises(FileNotFoundError):
        EnvironmentCgroup(parents, "7")

    assert list((tmp_path / "memory").iterdir()) == []


def test_a_cgroup_of_version_2_is_made_and_removed_once_for_all_its_controllers(tmp_path: Path) -> None:
    parents = dict.fromkeys(("memory", "pids", "freezer"), str(tmp_path))

    cgroup = EnvironmentCgroup(parents, "7")

    assert [each.name for each in tmp_path.iterdir()] == ["7"]
    assert cgroup.folders["memory"] == cgroup.folders["freezer"] == f"{tmp_path}/7"
    assert cgroup.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n", True),
        ("memory.events", "max 7\noom 0\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", False),  # kernels before 4.13 do not count
    ],
)
def test_whether_memory_ran_out_is_read_from_either_version(
    tmp_path: Path, name: str, text: str, expected: bool
) -> None:
    (tmp_path / name).write_text(text)

    assert ran_out_of_memory(str(tmp_path)) is expected
    assert ran_out_of_memory(str(tmp_path / "gone")) is False


def _offer(parent: Path, name: str, *, limits: bool) -> None:
    """Lay out what the kernel has in a cgroup of version 2 and in one below it; `limits`: it hands controllers down."""
    (parent / "cgroup.procs").touch()
    (parent / name).mkdir()
    for control in (parent / "cgroup.subtree_control", parent / name / "cgroup.subtree_control"):
        control.touch() if limits else control.mkdir()  # a folder refuses to be written, even by root
    (parent / name / "cgroup.freeze").touch()
