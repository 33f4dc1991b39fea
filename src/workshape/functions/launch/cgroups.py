"""Control groups: what of memory, processors and processes an environment may use, kept by the kernel.

Version 1 has a hierarchy for each controller, version 2 one for all, and a machine may have both ("hybrid"): each
controller is taken where it is found. What cannot be had is missing by name, and the rest holds.

Standard library only, Python 3.10: the processes that fork environments load this file.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/index.html
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "pids", "freezer")
"""`freezer` is version 2's cgroup.freeze: a frozen process of version 1 cannot be killed, so that one is of no use."""
PROCESSES_MAX = 1_024
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (execution processes/threads)"""
MB_PER_CORE = 1_769
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html (one vCPU)"""
CPU_PERIOD_US = 20_000
# AWS: undocumented; we chose a period short enough that a small function is slow evenly, not in bursts.
CPU_QUOTA_US_MIN = 1_000  # the kernel takes no less

OUT_OF_MEMORY = 1 << 16
"""Beside a wait status, which has sixteen bits: the kernel has ended a process for its memory."""
_LIMIT_FILES = {"memory": ("memory.limit_in_bytes",), "cpu": ("cpu.cfs_quota_us",), "pids": ("pids.max",)}


class CgroupFolders:
    """The engine's own cgroups, below which each environment gets one. `open` makes them, `close` removes them."""

    def __init__(self, folders: Mapping[str, str], missing: Mapping[str, str]) -> None:
        self.folders = dict(folders)
        """Controller to folder. Those of version 2 are the same one."""
        self.missing = dict(missing)
        """Controller to why it cannot be had."""

    def __repr__(self) -> str:
        return f"<CgroupFolders {' '.join(self.folders) or 'none'}>"

    @classmethod
    def open(cls, mounts: str, memberships: str, name: str) -> "CgroupFolders":
        """Make a cgroup called `name` for each controller where this process may.

        `mounts` and `memberships` are the texts of /proc/self/mounts and /proc/self/cgroup.
        """
        found = cls({}, dict.fromkeys(CONTROLLERS, "this machine has no such cgroup"))
        for controller in CONTROLLERS:
            for parent in _parents(mounts, memberships, controller):
                found._take_legacy(parent / name, controller)
        for member, top in _unified(mounts, memberships):
            if found._take_unified(member, top, name):
                break
        return found

    def _take_legacy(self, folder: Path, controller: str) -> None:
        """Have a controller of version 1 by this cgroup, if it works there."""
        if controller in self.folders:
            return
        try:
            folder.mkdir(exist_ok=True)
            for name in _LIMIT_FILES[controller]:
                if not os.access(folder / name, os.W_OK):
                    raise PermissionError(f"{folder / name} cannot be written")
        except OSError as error:
            self.missing[controller] = _words(error)
            _remove(folder)
        else:
            self.folders[controller] = str(folder)
            del self.missing[controller]

    def _take_unified(self, member: Path, top: Path, name: str) -> bool:
        """Have what is still missing by one cgroup of version 2, if any of it works: a process is in one alone.

        It is made in the cgroup we are in, or in the nearest above it where more of the controllers work: none limits
        what is below a cgroup with processes of its own, and ours, which the machine made for a session, has them.
        """
        wanted = tuple(self.missing)
        best: Path | None = None
        works: list[str] = []
        for parent in (member, *member.parents):
            folder = parent / name
            refused = _make_unified(folder, wanted)
            if parent == member:
                self.missing.update(refused)
            if len(wanted) - len(refused) > len(works):
                if best is not None:
                    _remove(best)
                best, works = folder, [each for each in wanted if each not in refused]
            else:
                _remove(folder)
            if not refused or parent == top:
                break
        for controller in works:
            self.folders[controller] = str(best)
            del self.missing[controller]
        return bool(works)

    def close(self) -> None:
        """Remove what is left; a cgroup that still has processes stays."""
        for folder in {Path(folder) for folder in self.folders.values()}:
            for each in [*folder.glob("*/"), folder]:
                with contextlib.suppress(OSError):
                    each.rmdir()


class EnvironmentCgroup:
    """One environment's cgroups, one folder for each hierarchy."""

    def __init__(self, parents: Mapping[str, str], name: str, root: str = "") -> None:
        """Make them; `root` is where the host's files are seen.

        Raises:
            OSError: the kernel refuses; then none is left.
        """
        self.folders = {controller: f"{parent}/{name}" for controller, parent in parents.items()}
        """As the engine sees them."""
        self._folders = {controller: root + folder for controller, folder in self.folders.items()}
        self._memory_bytes = 0
        made: list[str] = []
        try:
            for folder in dict.fromkeys(self._folders.values()):
                os.mkdir(folder)
                made.append(folder)
        except OSError:
            for folder in made:
                os.rmdir(folder)
            raise
        if cpu := self._folders.get("cpu"):
            with contextlib.suppress(OSError):  # version 2 has it beside the quota
                _write(f"{cpu}/cpu.cfs_period_us", str(CPU_PERIOD_US))

    def join(self) -> None:
        """Move this process in, and with it whatever it will start."""
        for folder in dict.fromkeys(self._folders.values()):
            _write(f"{folder}/cgroup.procs", "0")

    def open_to_join(self) -> list[int]:
        """Open the files in which whoever may writes what is to be in them."""
        return [os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in {*self._folders.values()}]

    def limit(self, memory_bytes: int) -> None:
        """Set how much memory and how many processes there may be."""
        if memory_bytes == self._memory_bytes:
            return
        if self._memory_bytes == 0 and (folder := self._folders.get("pids")):
            _write(f"{folder}/pids.max", str(PROCESSES_MAX))
        self._memory_bytes = memory_bytes
        if folder := self._folders.get("memory"):
            if os.path.exists(f"{folder}/memory.max"):
                _write(f"{folder}/memory.max", str(memory_bytes))
                _write(f"{folder}/memory.oom.group", "0")
                with contextlib.suppress(OSError):  # a kernel without swap accounting
                    _write(f"{folder}/memory.swap.max", "0")
            else:
                _write(f"{folder}/memory.limit_in_bytes", str(memory_bytes))

    def ran_out_of_memory(self) -> bool:
        """Tell whether the kernel has ended a process of it for lack of memory."""
        return "memory" in self._folders and ran_out_of_memory(self._folders["memory"])

    def remove(self) -> bool:
        """Remove them; False while the kernel still holds on to a last task."""
        for folder in dict.fromkeys(self._folders.values()):
            with contextlib.suppress(FileNotFoundError):
                try:
                    os.rmdir(folder)
                except OSError:
                    return False
        return True


def limit_cpu(folder: str, memory_mb: int) -> None:
    """Give a cgroup the share of the processors that a function with this much memory has.

    `folder` is the environment's, of the `cpu` controller, as the engine sees it.
    """
    quota_us = max(CPU_QUOTA_US_MIN, CPU_PERIOD_US * memory_mb // MB_PER_CORE)
    try:
        _write(f"{folder}/cpu.cfs_quota_us", str(quota_us))
    except FileNotFoundError:
        _write(f"{folder}/cpu.max", f"{quota_us} {CPU_PERIOD_US}")


def processes(folder: str) -> list[int]:
    """List the processes in a cgroup. Raises OSError: it is gone."""
    return [int(pid) for pid in Path(folder, "cgroup.procs").read_bytes().split()]


def ran_out_of_memory(folder: str) -> bool:
    """Tell whether the kernel has ended a process for lack of memory in a cgroup of the `memory` controller."""
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError):
            lines = Path(folder, name).read_text().splitlines()
            return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)
    return False


def freeze(folder: str, *, frozen: bool) -> None:
    """Stop, or let run on, everything in a cgroup of version 2; `folder` is the environment's of the `freezer`."""
    _write(f"{folder}/cgroup.freeze", "1" if frozen else "0")


def _parents(mounts: str, memberships: str, controller: str) -> Iterator[Path]:
    """List the cgroups of version 1 we are in that have the controller, as folders."""
    if controller not in _LIMIT_FILES:
        return
    for place, kind, options in _mounted(mounts):
        if kind == "cgroup" and controller in options:
            for _, inner in _inner(place, memberships, controller):
                yield inner


def _unified(mounts: str, memberships: str) -> Iterator[tuple[Path, Path]]:
    """List the cgroups of version 2 we are in, as folders, each with the one at the top of what is mounted."""
    for place, kind, _ in _mounted(mounts):
        if kind == "cgroup2":
            for top, inner in _inner(place, memberships, ""):
                yield inner, top


def _mounted(mounts: str) -> Iterator[tuple[Path, str, list[str]]]:
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        yield Path(place), kind, options.split(",")


def _inner(place: Path, memberships: str, controller: str) -> Iterator[tuple[Path, Path]]:
    """Find what we are in below a mount. In a container the path may be the host's, and the mount already its end."""
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            inner = Path(f"{place}{path}")
            yield place, (inner if inner.exists() else place)


def _make_unified(folder: Path, controllers: Sequence[str]) -> dict[str, str]:
    """Make the engine's cgroup of version 2; return which controllers do not work below it, and why."""
    parent = folder.parent
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(parent / "cgroup.procs", os.W_OK):  # who moves a process needs to
            raise PermissionError(f"{parent / 'cgroup.procs'} cannot be written")
    except OSError as error:
        return dict.fromkeys(controllers, _words(error))
    refused = {}
    for controller in controllers:
        try:
            if controller != "freezer":
                _write(f"{parent}/cgroup.subtree_control", f"+{controller}")
                _write(f"{folder}/cgroup.subtree_control", f"+{controller}")
            elif not (folder / "cgroup.freeze").exists():
                raise FileNotFoundError(f"{folder} has no cgroup.freeze")
        except OSError as error:
            refused[controller] = (
                f"{parent} has processes of its own, and then nothing below it is limited"
                if error.errno == errno.EBUSY
                else _words(error)
            )
    return refused


def _words(error: OSError) -> str:
    """Say what the kernel refuses, and where."""
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
