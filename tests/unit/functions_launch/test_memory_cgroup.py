"""Finding the memory cgroup in what /proc says; folders stand for the kernel's."""

import os
from pathlib import Path

import pytest

from workshape.functions.launch.memory_cgroup import MemoryCgroups

LEGACY = "cgroup {} cgroup rw,relatime,memory 0 0\n"
UNIFIED = "cgroup2 {} cgroup2 rw,relatime 0 0\n"


@pytest.mark.parametrize("mounted_at", ["a/b", "."])
def test_a_version_1_hierarchy_serves_when_its_limit_can_be_written(tmp_path: Path, mounted_at: str) -> None:
    folder = tmp_path / mounted_at / f"workshape-{os.getpid()}"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").touch()  # the kernel makes it with the folder

    found = MemoryCgroups.open(LEGACY.format(tmp_path), "4:memory:/a/b\n3:cpuset:/\n0::/\n")

    assert found is not None
    assert found.folder == folder


def test_a_folder_that_turns_out_to_limit_nothing_is_removed(tmp_path: Path) -> None:
    assert MemoryCgroups.open(LEGACY.format(tmp_path), "4:memory:/\n0::/\n") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mounts", "memberships"),
    [("", ""), ("proc /proc proc rw 0 0\n", "4:memory:/a\n"), (UNIFIED.format("/nowhere"), "0::/\n")],
)
def test_a_machine_without_such_cgroups_has_no_limit(mounts: str, memberships: str) -> None:
    assert MemoryCgroups.open(mounts, memberships) is None
