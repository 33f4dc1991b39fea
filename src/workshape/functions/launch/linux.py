"""The system calls of Linux that a sandbox needs and Python has no function for.

Standard library only, Python 3.10: every interpreter that runs functions loads this file. Importing it is harmless
elsewhere; calling it is not meant.

Source: https://man7.org/linux/man-pages/dir_section_2.html (unshare, setns, mount, umount, pivot_root, prctl, capset)
"""

import ctypes
import os
import re
import struct
from collections.abc import Iterable

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEW_ANY = 0x7E020000
"""Every flag of clone and unshare that makes a namespace."""

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
SECBIT_NO_SETUID_FIXUP = 1 << 2
"""To become another user then takes no capabilities away.

Source: https://man7.org/linux/man-pages/man7/capabilities.7.html
"""
SECCOMP_MODE_FILTER = 2
CAP_SETUID = 7
CAP_SETPCAP = 8
CAP_SYS_ADMIN = 21
CAPABILITIES_MAX = 64
"""The kernel refuses numbers past its last capability (40 in Linux 6)."""

_CAPABILITY_VERSION_3 = 0x20080522
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT = 428, 429  # the same on every machine, as all that were added since 2019
_SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move this process (for CLONE_NEWPID: its next children) into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, flags: int) -> None:
    """Move this process (for CLONE_NEWPID: its next children) into a namespace that is there."""
    _check(_libc.setns(descriptor, flags), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, bind, remount or change the propagation of a mount."""
    _check(
        _libc.mount(
            source.encode() or None,
            target.encode(),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        f"mount {target}",
    )


def bind(source: str, target: str, flags: int = 0, *, recursive: bool = False) -> None:
    """Show `source` (a folder or a file) at `target` too; with flags such as MS_RDONLY, under those.

    `recursive`: with all that is mounted below it, under the same flags. `target` has no symbolic link in it.
    """
    mount(source, target, "", MS_BIND | (MS_REC if recursive else 0))
    if not flags:
        return
    for place, noexec in _mounts_below(target) if recursive else [(target, 0)]:
        mount("", place, "", MS_BIND | MS_REMOUNT | flags | noexec)


def _mounts_below(folder: str) -> list[tuple[str, int]]:
    """List what is mounted at a folder and below it, and whether with MS_NOEXEC, which is to stay."""
    found = []
    with open("/proc/self/mountinfo") as listed:
        for line in listed:
            fields = line.split(" ")
            place = re.sub(r"\\([0-7]{3})", lambda escaped: chr(int(escaped[1], 8)), fields[4])
            if place == folder or place.startswith(f"{folder}/"):
                found.append((place, MS_NOEXEC if "noexec" in fields[5].split(",") else 0))
    return found


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """Take a mount away, with all that is mounted below it; whoever uses it still, keeps it until done."""
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def clone_mount(path: str) -> int:
    """Return a descriptor of a mount that shows the same as the one at `path` and is nowhere yet. Linux 5.2."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    descriptor: int = _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, path.encode(), flags)
    _check(descriptor, f"open_tree {path}")
    return descriptor


def move_mount(descriptor: int, target: str) -> None:
    """Mount what `clone_mount` has returned."""
    result = _libc.syscall(_SYS_MOVE_MOUNT, descriptor, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
    _check(result, f"move_mount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root and put the old one at `put_old`, below it."""
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(number, new_root.encode(), put_old.encode()), "pivot_root")


def prctl(option: int, argument: int = 0) -> None:
    """Set something about this process."""
    _check(_libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0), f"prctl {option}")


def set_seccomp_filter(program: bytes) -> None:
    """Judge every system call from now on by a BPF program; there is no way back."""
    instructions = ctypes.create_string_buffer(program, len(program))
    description = _SocketFilterProgram(len(program) // 8, ctypes.addressof(instructions))
    _check(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(description), 0, 0), "seccomp")


def keep_to_own_abstract_sockets() -> None:
    """Let this process and its children connect to no abstract UNIX socket but their own. Linux 6.12, with Landlock.

    Such sockets have no file that a root could hide: their names are the network's.

    Raises:
        OSError: this kernel cannot.

    Source: https://docs.kernel.org/userspace-api/landlock.html (IPC scoping)
    """
    nothing_handled = struct.pack("=QQQ", 0, 0, _LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET)
    rules = _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, nothing_handled, ctypes.c_size_t(len(nothing_handled)), 0)
    _check(rules, "landlock_create_ruleset")
    try:
        _check(_libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    finally:
        os.close(rules)


def drop_bounding_capabilities() -> None:
    """Make sure that no program that is executed can gain a capability."""
    for capability in range(CAPABILITIES_MAX):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            return


def keep_capabilities(kept: Iterable[int]) -> None:
    """Give up every capability but these, in this process's user namespace."""
    mask = sum(1 << capability for capability in kept)
    for capability in range(CAPABILITIES_MAX):
        if not mask >> capability & 1:
            _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # who may not has no use for it, either
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (_CapabilityData * 2)(_CapabilityData(low, low, 0), _CapabilityData(high, high, 0))
    _check(_libc.capset(ctypes.byref(header), data), "capset")


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


class _SocketFilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
