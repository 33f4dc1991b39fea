"""What an execution environment sees of the machine, and what it may do there.

A spawner builds a root once (`Root`): the system's programs and libraries, the interpreters, a minimal /etc and /dev,
all read-only, and nothing else of the host. Every environment is forked into namespaces of its own (processes, mounts,
System V IPC, host name) on that root (`enter`), with a private /tmp (`disks.py`), and then gives up what it could do
(`drop`): an unprivileged user of its own, no capabilities, no way to new privileges, a seccomp filter.

Code and layers come later, when the environment gets a function: the root has a `Slot` for each environment, a pair of
shared mounts whose copies in the environment follow (`mount propagation`), so that the spawner can mount the function's
code in a process that may not mount anything itself.

An image is a root of its own (`ImageSlot`): known before the environment is forked, so nothing has to follow. What else
holds of a sandbox holds there, too; /dev and the machine's names are those of the shared root.

The network is the host's: functions reach the endpoint and the database on 127.0.0.1. A listener that is not for them
must look at who calls (`peer.py`). Abstract UNIX sockets of others alone are out of reach, where Landlock can do that.

Standard library only, Python 3.10: every interpreter that runs functions loads this file. Linux, as root.

Source: https://man7.org/linux/man-pages/man7/mount_namespaces.7.html (shared subtrees),
https://man7.org/linux/man-pages/man7/pid_namespaces.7.html, https://man7.org/linux/man-pages/man2/pivot_root.2.html
"""

import contextlib
import os
import resource
import signal
import socket
import stat
from collections.abc import Sequence

from workshape.functions.launch import disk_maker, linux, seccomp
from workshape.functions.launch.cgroups import PROCESSES_MAX
from workshape.functions.launch.disks import Disk, Disks
from workshape.functions.launch.linux import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
)

TASK = "/var/task"
TMP = "/tmp"  # noqa: S108 - the environment's own
LAYERS = "/opt"
RUNTIME = "/var/runtime"
LANGUAGES = "/var/lang"
CLIENTS = "/var/lang/client"
HOST = "/.host"
"""Where the spawner, and it alone, sees the host's files."""
OPEN_FILES_MAX = 1_024  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (file descriptors)
TMP_MB = 512  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (/tmp, unless configured)
GROUP = 0x20000000  # as users (`users.py`): 990, which it is on Lambda, is a service's on many machines
IMAGE_FOLDERS = ("dev", "proc", "tmp")
"""They are there in every image's root, and are folders themselves."""
IMAGE_FILES = ("etc/hosts", "etc/resolv.conf")
"""They are there in every image's root."""
USER_NAME = "sbx_user1051"  # as on Lambda, where functions see it

_SLOTS = "/.slots"
_STAGE = f"{_SLOTS}/stage"
"""Where the spawner makes a mount ready, out of sight, before it moves it to an environment's place."""
_STATE = ".workshape"
"""In a folder of code that is the app's own: the platform's state, with everybody's code, logs and messages. Nothing of
it is the function's, and on AWS it would not be in the package."""
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "gai.conf",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki",
    "protocols",
    "resolv.conf",
    "services",
    "ssl",
)
"""What programs look up in /etc, and no secrets: no shadow, no keys, no configuration of the host's own services."""
_LAID_BYTES_MAX = 1024 * 1024
_ETC_FILE_BYTES_MAX = 4 * 1024 * 1024
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
"""No /dev/shm: Lambda has none either.

Source: https://aws.amazon.com/blogs/compute/parallel-processing-in-python-with-aws-lambda/
"""
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
_READ_ONLY = MS_RDONLY | MS_NOSUID | MS_NODEV
_filter: bytes = seccomp.filter_program(os.uname().machine)


class Root:
    """The root that the environments of one spawner share. `enter` moves the spawner itself onto it, for good."""

    def __init__(self, folder: str) -> None:
        """`folder` is an empty folder of the host's, to mount it at; build it in a mount namespace of our own.

        Raises:
            OSError: this process may not.
        """
        linux.unshare(CLONE_NEWNS)
        linux.mount("none", "/", "", MS_REC | MS_PRIVATE)
        linux.mount("workshape", folder, "tmpfs", MS_NOSUID, "size=16m,mode=755")
        self._folder = folder
        self._place = ""
        """Where it was mounted on the host, once it is entered."""
        self._shown: set[str] = set()
        for name in (
            "dev",
            "etc",
            "proc",
            "tmp",
            "var",
            "opt",
            "run",
            "home",
            TASK[1:],
            RUNTIME[1:],
            HOST[1:],
            _SLOTS[1:],
        ):
            os.mkdir(f"{folder}/{name}", 0o755)
        linux.mount("slots", folder + _SLOTS, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=755")
        os.mkdir(folder + _STAGE, 0o755)
        for system in _SYSTEM_FOLDERS:
            if os.path.islink(system):
                os.symlink(os.readlink(system), folder + system)
            elif os.path.isdir(system):
                self._bind(system, folder + system)
        self._make_etc()
        self._make_dev()

    def enter(self) -> None:
        """Make it this process's root; the host's stays in sight at `HOST`."""
        linux.pivot_root(self._folder, self._folder + HOST)
        os.chdir("/")
        self._place, self._folder = self._folder, ""
        linux.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)

    def leave(self) -> None:
        """Make the host's this process's root again, if it has entered this one: nobody can live here."""
        if self._place:
            linux.pivot_root(HOST, HOST + self._place)
            os.chdir("/")
            linux.umount(self._place)
            self._place = ""

    def show(self, path: str, at: str = "") -> bool:
        """Make a file or folder of the host's visible, read-only: where it is there, or `at` another place.

        `path` has no symbolic link in it. For after `enter`. False: it was visible before.

        Raises:
            OSError: it is not there.
        """
        place = at or path
        if place.startswith(f"{TMP}/"):
            return False  # every environment's /tmp covers it: `Slot.lay` puts it there
        is_system = not at and f"{path}/".startswith(tuple(f"{each}/" for each in _SYSTEM_FOLDERS))
        if place in self._shown or is_system:
            return False
        self._bind(HOST + path, place)
        self._shown.add(place)
        return True

    def _bind(self, source: str, target: str) -> None:
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        elif not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            open(target, "w").close()
        linux.bind(source, target, _READ_ONLY, recursive=os.path.isdir(source))

    def _make_etc(self) -> None:
        folder = f"{self._folder}/etc"
        for name in _ETC:
            path = f"/etc/{name}"
            with contextlib.suppress(OSError):
                if os.path.isdir(path):
                    self._bind(path, f"{folder}/{name}")
                elif os.path.getsize(path) <= _ETC_FILE_BYTES_MAX:
                    with open(path, "rb") as original, open(f"{folder}/{name}", "wb") as copy:
                        copy.write(original.read())
        with open(f"{folder}/passwd", "w") as passwd:
            passwd.write("root:x:0:0:root:/:/sbin/nologin\n")
        with open(f"{folder}/group", "w") as group:
            group.write(f"root:x:0:\n{USER_NAME}:x:{GROUP}:\n")

    def _make_dev(self) -> None:
        folder = f"{self._folder}/dev"
        for name, (major, minor) in _DEVICES.items():
            try:
                os.mknod(f"{folder}/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
                os.chmod(f"{folder}/{name}", 0o666)  # noqa: S103 - as these devices are everywhere
            except PermissionError:  # a container without CAP_MKNOD has the nodes, all the same
                open(f"{folder}/{name}", "w").close()
                linux.bind(f"/dev/{name}", f"{folder}/{name}")
        for name, target in _DEVICE_LINKS.items():
            os.symlink(target, f"{folder}/{name}")


class EnvironmentTmp:
    """An environment's /tmp, as the spawner mounts it: on disk where that can be had."""

    def __init__(self, place: str, disks: Disks | None) -> None:
        self._place = place
        self._disks = disks
        self._held: list[Disk] = []

    def mount(self, size_mb: int) -> None:
        """Mount one of that size, over the one before if there is one; whoever sees that sees it."""
        disk = None if self._disks is None else self._disks.take(size_mb)
        if disk is None:
            mount_memory(self._place, size_mb)
            linux.mount("", self._place, "", MS_SHARED)
            return
        self._held.append(disk)
        disk.move(self._place)

    def release(self) -> None:
        """Give back what it was on, once it is mounted nowhere."""
        for disk in self._held:
            disk.release()
        self._held.clear()


def mount_memory(place: str, size_mb: int) -> None:
    """Mount a /tmp in memory."""
    linux.mount("tmp", place, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size_mb}m,mode=1777")


class Slot:
    """An environment's places: what is mounted here by the spawner appears in the environment."""

    def __init__(self, number: int, user: int, disks: Disks | None = None) -> None:
        """Make the places; the environment's /tmp is mounted at once."""
        self.user = user
        self._folder = f"{_SLOTS}/{number}"
        self._tmp = EnvironmentTmp(f"{self._folder}{TMP}", disks)
        os.mkdir(self._folder, 0o755)
        for name in ("task", "opt", "tmp"):
            os.mkdir(f"{self._folder}/{name}", 0o755)
        for name in ("task", "opt"):
            linux.bind(f"{self._folder}/{name}", f"{self._folder}/{name}", _READ_ONLY)
            linux.mount("", f"{self._folder}/{name}", "", MS_SHARED)
        self._tmp.mount(TMP_MB)
        with open(f"{self._folder}/passwd", "w") as passwd:
            passwd.write(
                f"root:x:0:0:root:/:/sbin/nologin\n{USER_NAME}:x:{user}:{GROUP}::/home/{USER_NAME}:/sbin/nologin\n"
            )

    def fill(self, code: str, layers: str, tmp_mb: int) -> None:
        """Show the environment its function; paths are the host's, `layers` may be empty.

        Raises:
            OSError: one of them is not there.
        """
        self._show(HOST + code, "task")
        if layers:
            self._show(HOST + layers, "opt")
        if tmp_mb != TMP_MB:
            self._tmp.mount(tmp_mb)

    def _show(self, source: str, name: str) -> None:
        """Mount a folder in one of the places: read-only before it gets there, since its copies do not change later."""
        try:
            linux.bind(source, _STAGE, _READ_ONLY)
            if os.path.isdir(f"{_STAGE}/{_STATE}") and not os.path.islink(f"{_STAGE}/{_STATE}"):
                linux.mount("none", f"{_STAGE}/{_STATE}", "tmpfs", _READ_ONLY, "size=4k,mode=755")
            linux.mount(_STAGE, f"{self._folder}/{name}", "", MS_MOVE)
        except OSError:
            with contextlib.suppress(OSError):  # it is not there at all
                linux.umount(_STAGE)
            raise

    def drop(self) -> None:
        """Give up every privilege: after `enter`."""
        drop(self.user)

    def lay(self, path: str) -> None:
        """Put a copy of a small file of the host's, which is below /tmp there, where it would be found.

        Raises:
            OSError: it is not there.
        """
        copy = self._folder + path
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        with open(HOST + path, "rb") as original, open(copy, "wb") as target:
            target.write(original.read(_LAID_BYTES_MAX))

    def remove(self) -> None:
        """Take them away, once the environment is gone."""
        for name in ("task", "opt", "tmp"):
            with contextlib.suppress(OSError):
                while True:  # one layer for the place, one for what was mounted on it
                    linux.umount(f"{self._folder}/{name}")
        with contextlib.suppress(OSError):
            os.unlink(f"{self._folder}/passwd")
            for name in ("task", "opt", "tmp"):
                os.rmdir(f"{self._folder}/{name}")
            os.rmdir(self._folder)
        self._tmp.release()

    def enter(self) -> None:
        """Move this process, the first of a new process namespace, into the environment.

        Raises:
            OSError: the machine does not let us.
        """
        linux.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)
        # Recursive: what the spawner mounts there in this very moment may lie below what we have found by its name.
        for name, place in (("task", TASK), ("opt", LAYERS), ("tmp", TMP)):
            linux.bind(f"{self._folder}/{name}", place, recursive=True)
        linux.bind(f"{self._folder}/passwd", "/etc/passwd", _READ_ONLY)
        linux.mount("none", "/", "", MS_REC | MS_SLAVE)
        linux.umount(_SLOTS)
        disk_maker.hide_places()
        linux.umount(HOST)
        linux.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        linux.mount("", "/", "", linux.MS_BIND | linux.MS_REMOUNT | MS_RDONLY | MS_NOSUID)
        socket.sethostname("localhost")


class ImageSlot:
    """The place of an environment whose root is an image's."""

    def __init__(
        self,
        number: int,
        user: int,
        disks: Disks | None = None,
        *,
        image_root: str,
        tmp_mb: int,
        shown: Sequence[str],
    ) -> None:
        """Paths are the host's, without symbolic links: `image_root` of a folder that the image store has made,
        `shown` of files that are to be seen where they are there.
        """
        self.user = user
        self._image_root = HOST + image_root
        self._tmp_mb = tmp_mb
        self._shown = shown
        self._folder = f"{_SLOTS}/{number}"
        os.mkdir(self._folder, 0o755)
        self._disk = None if disks is None else disks.take(tmp_mb)

    def remove(self) -> None:
        """Take it away, once the environment is gone."""
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)
        if self._disk is not None:
            self._disk.release()

    def drop(self) -> None:
        """Give up every privilege: after `enter`."""
        drop(self.user)

    def enter(self) -> None:
        """Move this process, the first of a new process namespace, into the environment.

        Raises:
            OSError: the machine does not let us, or the folder is none that the image store has made.
        """
        folder = self._folder
        linux.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)
        linux.mount("none", "/", "", MS_REC | MS_PRIVATE)
        linux.bind(self._image_root, folder)
        for name in IMAGE_FOLDERS:  # a link could lead out
            if not stat.S_ISDIR(os.lstat(f"{folder}/{name}").st_mode):
                raise NotADirectoryError(f"/{name} of the image is no folder")
        if self._disk is not None:
            linux.bind(self._disk.place, folder + TMP, MS_NOSUID | MS_NODEV)
        else:
            mount_memory(folder + TMP, self._tmp_mb)
        linux.bind("/dev", f"{folder}/dev", MS_RDONLY | MS_NOSUID, recursive=True)
        linux.mount("proc", f"{folder}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        self._bring_names()
        for path in self._shown:
            self._show(path)
        linux.mount("", folder, "", linux.MS_BIND | linux.MS_REMOUNT | _READ_ONLY)
        os.chdir(folder)
        linux.pivot_root(".", ".")
        linux.umount(".")  # the shared root, and the host's with it
        os.chdir("/")
        socket.sethostname("localhost")

    def _bring_names(self) -> None:
        """Resolve names as the machine does. An image whose /etc is a link, which could lead out, keeps what it has."""
        if not stat.S_ISDIR(os.lstat(f"{self._folder}/etc").st_mode):
            return
        for name in IMAGE_FILES:
            if os.path.exists(f"/{name}") and stat.S_ISREG(os.lstat(f"{self._folder}/{name}").st_mode):
                linux.bind(f"/{name}", f"{self._folder}/{name}", _READ_ONLY)

    def _show(self, path: str) -> None:
        """Show a file of the host's; what is missing of the way to it becomes part of the image's root folder.

        An image in which a link, which could lead out, or something else is in the way does without.
        """
        place = self._folder
        *folders, name = path.split("/")[1:]
        for part in folders:
            place += f"/{part}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(place, 0o755)
            mode = os.lstat(place).st_mode
            if not stat.S_ISDIR(mode):
                return
            if not mode & stat.S_IXOTH:  # such as /root: the environment's user could not see what this covers, either
                linux.mount("way", place, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
        place += f"/{name}"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        if stat.S_ISREG(os.lstat(place).st_mode):
            linux.bind(HOST + path, place, _READ_ONLY)


def drop(user: int) -> None:
    """Give up every privilege of this process and of whatever it starts, for good."""
    # The same limit as the cgroup's, and by the user's processes: it holds where there is no such cgroup.
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES_MAX, PROCESSES_MAX))
    linux.drop_bounding_capabilities()
    os.setgroups([])
    os.setresgid(GROUP, GROUP, GROUP)
    os.setresuid(user, user, user)
    confine()


def confine(program: bytes = _filter) -> None:
    """Take from this process, which is another user's by now, all ways to more than it has; `program` is its filter."""
    # A changed user makes a process undumpable: then it could not even open its own /proc/self/fd.
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError):  # the kernel is too old, or has no Landlock
        linux.keep_to_own_abstract_sockets()
    if program:
        linux.set_seccomp_filter(program)


def limit_resources() -> None:
    """Set what holds for every environment, with a sandbox or without one."""
    # With 0 the kernel writes no file, and yet gives all of a process's memory to a program of the host's that collects
    # crashes. Source: https://man7.org/linux/man-pages/man5/core.5.html (piping core dumps to a program)
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))


def reset_signals() -> None:
    """Undo what a spawner has set up for itself."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def close_all_but(kept: Sequence[int]) -> None:
    """Close every descriptor above the standard three that is not to be kept."""
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
