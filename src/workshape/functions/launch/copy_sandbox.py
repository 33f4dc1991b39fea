"""The sandbox of what is copied, and of its copies: what the host does for them, as root, from outside (SnapStart).

The process that is to be copied is in a sandbox as all are, and unlike others in a user namespace of its own, where it
has three capabilities: one to make namespaces for its copies, one to give each copy a user of its own, one to give all
three up. They count only in that namespace, whose users are a range of ids that nobody else has; and of the calls that
need them, its filter lets pass one `unshare`, with those flags alone, and the changing of users. A copy has none any
more: see `is_confined`.

Standard library only, Python 3.10: every interpreter that runs functions loads this file. Linux, as root.

Source: https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

import contextlib
import os
import signal
import stat
from collections.abc import Sequence

from workshape.functions.launch import linux, seccomp
from workshape.functions.launch.disks import Disk, Disks
from workshape.functions.launch.linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC
from workshape.functions.launch.process_tree import children
from workshape.functions.launch.sandbox import GROUP, TMP, TMP_MB, USER_NAME, Slot, confine, mount_memory

USERS = 256
"""Of one snapshot: its own, and one for each copy that lives."""
_KEPT = (linux.CAP_SYS_ADMIN, linux.CAP_SETUID, linux.CAP_SETPCAP)
_filter = seccomp.filter_program(os.uname().machine, may_copy=True)


class CopiedSlot(Slot):
    """The place of a process that is to be copied; its copies see the same code."""

    def __init__(self, number: int, user: int, disks: Disks | None) -> None:
        """`user` is the first of `USERS`."""
        super().__init__(number, user, disks)
        with open(f"{self._folder}/passwd", "w") as passwd:
            passwd.write("root:x:0:0:root:/:/sbin/nologin\n")
            passwd.writelines(
                f"{USER_NAME}:x:{each}:{GROUP}::/home/{USER_NAME}:/sbin/nologin\n" for each in range(user, user + USERS)
            )

    def drop(self) -> None:
        """Give up every privilege but those that copying takes, and those only within a user namespace.

        Raises:
            OSError: the machine lets nobody have user namespaces.
        """
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        enter_user_namespace(self.user)
        linux.keep_capabilities(_KEPT)
        confine(_filter)


class CopySlot:
    """What the spawner holds of a copy's place: its user, and what its /tmp is on. Its mounts end with it."""

    def __init__(self, user: int, disk: Disk | None) -> None:
        self.user = user
        self.disk = disk

    def enter(self) -> None:
        """Do nothing: a copy is where it is from its beginning."""

    def remove(self) -> None:
        """Give back what there is, once the copy is gone."""
        if self.disk is not None:
            self.disk.release()
            self.disk = None


def enter_user_namespace(first_user: int) -> None:
    """Move this process, the first of its process namespace, into a user namespace with `USERS` users; be the first.

    Whatever its users use of the kernel's things counts as its maker's, too: so its maker must not be root.

    Raises:
        OSError: the machine lets nobody have user namespaces.
    """
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()
    writer = os.fork()
    if writer == 0:  # only who is outside may say which users there are inside
        try:
            os.close(ready_write)
            if os.read(ready_read, 1):  # else there is no namespace
                _write("/proc/1/uid_map", f"{first_user} {first_user} {USERS}\n")
                _write("/proc/1/gid_map", f"{GROUP} {GROUP} 1\n")
                os.write(done_write, b"x")
        finally:
            os._exit(0)
    os.close(done_write)
    try:
        move_to_user_namespace(first_user)
        os.write(ready_write, b"x")
        if not os.read(done_read, 1):
            raise PermissionError("the users of a user namespace cannot be set")
    finally:
        for descriptor in (ready_read, ready_write, done_read):
            os.close(descriptor)
        os.waitpid(writer, 0)


def move_to_user_namespace(user: int) -> None:
    """Become a user, and move this process into a user namespace of its own, which has no users yet.

    Raises:
        OSError: this machine does not let it.
    """
    linux.prctl(linux.PR_SET_SECUREBITS, linux.SECBIT_NO_SETUID_FIXUP)  # not every machine lets others make one
    os.setresuid(user, user, user)
    linux.unshare(linux.CLONE_NEWUSER)


def fork_helper(pid: int, slot: CopySlot, cgroup_files: Sequence[int], own_namespace: int) -> int:
    """Fork a process that gives a copy cgroups, and a /tmp and /proc of its own; it exits with 0 when that is done.

    `pid` is the copy's first process, `slot` its place, `cgroup_files` are those of its cgroups' `cgroup.procs`;
    `own_namespace` is a descriptor of this process's own process namespace.

    Raises:
        OSError: the copy has ended, or the machine refuses a process.
    """
    with contextlib.ExitStack() as opened:
        processes, mounts = (_open_namespace(pid, kind, opened) for kind in ("pid", "mnt"))
        linux.setns(processes, linux.CLONE_NEWPID)  # only who is in a process namespace can mount its /proc
        helper = -1
        try:
            helper = os.fork()
        finally:
            if helper != 0:
                linux.setns(own_namespace, linux.CLONE_NEWPID)
        if helper == 0:
            code = 1
            try:
                signal.set_wakeup_fd(-1)
                _furnish(mounts, slot, cgroup_files)
                code = 0
            finally:
                os._exit(code)
    return helper


def _open_namespace(pid: int, kind: str, opened: contextlib.ExitStack) -> int:
    descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return descriptor


def _furnish(mounts: int, slot: CopySlot, cgroup_files: Sequence[int]) -> None:
    for descriptor in cgroup_files:
        os.write(descriptor, b"1")  # the copy's first process, by its number in its own namespace
    tmp = -1 if slot.disk is None else linux.clone_mount(slot.disk.place)  # it is out of sight over there
    linux.setns(mounts, linux.CLONE_NEWNS)
    linux.mount("none", "/", "", MS_REC | MS_PRIVATE)
    linux.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    there = os.open(TMP, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if tmp >= 0:
        linux.move_mount(tmp, TMP)
    else:
        mount_memory(TMP, TMP_MB)
    here = os.open(TMP, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _copy_folder(there, here, slot.user)


def _copy_folder(source: int, target: int, user: int) -> None:
    """Copy what is in a folder, by descriptors: nothing in it can lead elsewhere. Files, folders and links alone."""
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            inner = _open(name, source, os.O_RDONLY | os.O_DIRECTORY), _open(name, target, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _copy_folder(*inner, user)
                os.fchown(inner[1], user, GROUP)
                os.fchmod(inner[1], stat.S_IMODE(found.st_mode))
            finally:
                for descriptor in inner:
                    os.close(descriptor)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, user, GROUP, dir_fd=target, follow_symlinks=False)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(name, source, target, user, found)


def _copy_file(name: str, source: int, target: int, user: int, found: os.stat_result) -> None:
    there = _open(name, source, os.O_RDONLY)
    here = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
    try:
        while data := os.read(there, 1 << 20):
            while data:
                data = data[os.write(here, data) :]
        os.fchown(here, user, GROUP)
        os.fchmod(here, stat.S_IMODE(found.st_mode))
        os.utime(here, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(there)
        os.close(here)


def _open(name: str, folder: int, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def is_alone(pid: int) -> bool:
    """Tell whether a process that is to be copied is its two processes and no more: a daemon would outlive it."""
    runtimes = [each for each in children(pid) if not _is_dead(each)]
    return len(runtimes) == 1 and not children(runtimes[0])


def is_confined(pid: int, user: int) -> bool:
    """Tell, from outside, whether a copy is its two processes and neither can do more than a stem's.

    What has been given up cannot be had again, so that what is true of them now stays true.
    """
    runtimes = children(pid)
    if len(runtimes) != 1 or children(runtimes[0]):
        return False
    return all(_is_harmless(each, user) for each in (pid, runtimes[0]))


def _is_dead(pid: int) -> bool:
    """Tell whether a process has ended, and only waits to be buried."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat_file:
            return stat_file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def _is_harmless(pid: int, user: int) -> bool:
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    has_none = all(int(facts.get(each, "1"), 16) == 0 for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    filtered = not _filter or facts.get("Seccomp") == "2"
    is_user = facts.get("Uid", "").split() == [str(user)] * 4
    return has_none and filtered and is_user and facts.get("NoNewPrivs") == "1"


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
