"""Where, if anywhere, this process may make cgroups that limit memory.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import contextlib
import os
from pathlib import Path


class MemoryCgroups:
    """A folder of cgroups for one engine. `open` finds and makes it; without one there is no memory limit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"<MemoryCgroups {self.folder}>"

    @classmethod
    def open(cls, mounts: str, memberships: str) -> "MemoryCgroups | None":
        """Make the folder; None where the machine has no such cgroups, or does not let us.

        `mounts` and `memberships` are the texts of /proc/self/mounts and /proc/self/cgroup.
        """
        for parent in _parents(mounts, memberships):
            folder = parent / f"workshape-{os.getpid()}"
            with contextlib.suppress(OSError):
                if (parent / "cgroup.controllers").exists():
                    _hand_down_memory(parent)
                folder.mkdir(exist_ok=True)
                if (parent / "cgroup.controllers").exists():
                    _hand_down_memory(folder)
                    usable = "memory" in (folder / "cgroup.subtree_control").read_text().split()
                else:
                    usable = os.access(folder / "memory.limit_in_bytes", os.W_OK)
                if usable:
                    return cls(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()
        return None

    def close(self) -> None:
        """Remove what is left; a cgroup that still has processes stays."""
        for each in [*self.folder.glob("*/"), self.folder]:
            with contextlib.suppress(OSError):
                each.rmdir()


def _parents(mounts: str, memberships: str) -> list[Path]:
    """List the cgroups we are in, as folders: of the unified hierarchy, then of version 1's memory controller."""
    unified = legacy = ""
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            unified = path
        elif "memory" in controllers.split(","):
            legacy = path
    found = []
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        path = unified if kind == "cgroup2" else legacy if kind == "cgroup" and "memory" in options.split(",") else ""
        if path:
            inner = Path(place + path)
            # In a container the path may be the host's, and the mount already its end.
            found.append(inner if inner.exists() else Path(place))
    return found


def _hand_down_memory(folder: Path) -> None:
    (folder / "cgroup.subtree_control").write_text("+memory")
