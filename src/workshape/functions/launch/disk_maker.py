"""The process that makes file systems for /tmp, mounts them, and ends them: what `disks.py` asks it to.

It shares the mounts of the spawner that has forked it. Of each file system it holds the root folder open, so that to
unmount one costs the spawner nothing: the end of it, which takes longest, is here.

Standard library only, Python 3.10: every interpreter that runs functions loads this file. Linux, as root.

Source: https://man7.org/linux/man-pages/man4/loop.4.html (LOOP_CONFIGURE, LO_FLAGS_AUTOCLEAR)
Source: https://docs.kernel.org/admin-guide/ext4.html (mount options)
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
from queue import SimpleQueue

from workshape.functions.launch import linux

NAME = "disk-maker"
"""What the process is called where processes are listed."""
MAKE, END, READY, FAILED = "make", "end", "ready", "failed"
MESSAGE_BYTES_MAX = 1_024
_PLACES = "/.disks"
"""Where they are mounted until somebody takes them; environments see nothing of it."""
_MIB = 1 << 20
_WORKERS = 4  # the kernel waits for itself at each, not for the processor
_BLOCK_BYTES = 4_096
_ROOM_TRIES = 8
_SLACK_BYTES = 16 * _BLOCK_BYTES  # the size of a file system moves in steps
_DEVICE_TRIES = 64  # others look for free loop devices at the same time
_LOOP_MAJOR = 7
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_CONFIG = struct.Struct("=II52xI176x64x")
"""struct loop_config: the file, the block size and, within its struct loop_info64, lo_flags."""
_EXT4_IOC_SHUTDOWN = 0x8004587D
_WITHOUT_WRITING = struct.pack("=I", 2)
_OPTIONS = "nobarrier,noinit_itable,discard"
"""Nothing of it outlives its environment, so nothing has to be flushed; what is deleted there, the host gets back."""
_MKFS = "mkfs.ext4"
_MKFS_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_MKFS_OPTIONS = ("-q", "-F", "-b", str(_BLOCK_BYTES), "-O", "^has_journal,^resize_inode", "-m", "0", "-E", "nodiscard")
_MKFS_S_MAX = 30.0


def check_means(host: str) -> None:
    """Raise OSError, with the reason, when this machine lacks what it takes."""
    if shutil.which(_MKFS, path=_MKFS_PATH) is None:
        raise OSError(f"{_MKFS} is not there: install e2fsprogs")
    try:
        os.close(os.open(f"{host}/dev/loop-control", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise OSError(f"loop devices cannot be had: /dev/loop-control: {error.strerror}") from error


def make_places() -> None:
    """Make the folder in which they are mounted first."""
    os.makedirs(_PLACES, exist_ok=True)
    linux.mount("disks", _PLACES, "tmpfs", linux.MS_NOSUID, "size=4m,mode=700")


def hide_places() -> None:
    """Take them out of sight of an environment; its own has been shown to it before."""
    if os.path.isdir(_PLACES):
        linux.umount(_PLACES)


def place_of(number: int) -> str:
    """Where a file system is mounted first."""
    return f"{_PLACES}/{number}"


def fork_maker(folder: str, host: str) -> tuple[socket.socket, int]:
    """Fork the process; it ends when the other end of the socket is closed.

    Raises:
        OSError: the machine refuses a process.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            _become_maker(theirs.fileno())
            _Maker(theirs, folder, host).run()
        finally:
            os._exit(0)
    theirs.close()
    return ours, pid


def _become_maker(kept: int) -> None:
    with open("/proc/self/comm", "w") as name:
        name.write(NAME)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


class _Maker:
    def __init__(self, orders: socket.socket, folder: str, host: str) -> None:
        self._orders = orders
        self._folder = host + folder
        self._host = host
        self._roots: dict[int, int] = {}
        """A descriptor of each one's root folder, by number."""
        self._templates: dict[int, str] = {}
        self._template_lock = threading.Lock()
        self._work: SimpleQueue[tuple[str, int, int]] = SimpleQueue()

    def run(self) -> None:
        """Obey until the spawner is gone."""
        for _ in range(_WORKERS):
            threading.Thread(target=self._obey, daemon=True).start()
        while order := self._orders.recv(MESSAGE_BYTES_MAX):
            what, mib, number = order.decode().split(" ")
            self._work.put((what, int(mib), int(number)))
        for root in list(self._roots.values()):
            _shut_down(root)

    def _obey(self) -> None:
        while True:
            what, mib, number = self._work.get()
            if what == END:
                if (root := self._roots.pop(number, None)) is not None:
                    _shut_down(root)
                    os.close(root)
                continue
            try:
                self._make(mib, number)
                said = f"{READY} {mib} {number}"
            except (OSError, subprocess.SubprocessError) as error:
                said = f"{FAILED} {mib} {error}"[:MESSAGE_BYTES_MAX]
            with contextlib.suppress(OSError):
                self._orders.send(said.encode())

    def _make(self, mib: int, number: int) -> None:
        place = place_of(number)
        os.mkdir(place, 0o700)
        file = _copy(self._template(mib), f"{self._folder}/{os.getpid()}-{number}")
        try:
            self._mount(file, place)
        finally:
            os.close(file)
        self._roots[number] = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _mount(self, file: int, place: str) -> None:
        device, opened = self._attach(file)
        try:
            linux.mount(device, place, "ext4", linux.MS_NOSUID | linux.MS_NODEV, _OPTIONS)
        finally:
            os.close(opened)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(f"{place}/lost+found")
        os.chmod(place, 0o1777)  # noqa: S103 - as /tmp is everywhere

    def _attach(self, file: int) -> tuple[str, int]:
        """Give a file a loop device, which ends with its last user; return where it is, and a descriptor of it."""
        control = os.open(f"{self._host}/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(_DEVICE_TRIES):
                number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
                device = self._device(number)
                opened = os.open(device, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(opened, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(file, _BLOCK_BYTES, _LO_FLAGS_AUTOCLEAR))
                except OSError as error:
                    os.close(opened)
                    if error.errno != errno.EBUSY:
                        raise
                else:
                    return device, opened
        finally:
            os.close(control)
        raise OSError("no loop device is free")

    def _device(self, number: int) -> str:
        """Return where a device is; containers often have no file for it."""
        device = f"{self._host}/dev/loop{number}"
        if os.path.exists(device):
            return device
        device = f"{_PLACES}/loop{number}"
        with contextlib.suppress(FileExistsError):
            os.mknod(device, stat.S_IFBLK | 0o600, os.makedev(_LOOP_MAJOR, number))
        return device

    def _template(self, mib: int) -> str:
        """Return a file with an empty file system that has exactly so much room; made once in a state folder."""
        with self._template_lock:
            made = self._templates.get(mib) or f"{self._folder}/ext4-{mib}"
            if mib not in self._templates and not os.path.exists(made):
                os.makedirs(self._folder, exist_ok=True)
                writing = f"{made}.{os.getpid()}"
                try:
                    self._make_template(mib, writing)
                    os.rename(writing, made)
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(writing)
            self._templates[mib] = made
            return made

    def _make_template(self, mib: int, path: str) -> None:
        """Make file systems until one has that much room: what it needs for itself depends on its size."""
        wanted = mib * _MIB
        size = wanted + wanted // 32
        for _ in range(_ROOM_TRIES):
            with open(path, "wb") as file:
                file.truncate(size)
            inodes = str(wanted // (16 * 1024))  # a file of 16 KiB each, as is usual
            command = [shutil.which(_MKFS, path=_MKFS_PATH) or _MKFS, *_MKFS_OPTIONS, "-N", inodes, path]
            subprocess.run(command, check=True, timeout=_MKFS_S_MAX, stdout=subprocess.DEVNULL)
            surplus = self._room(path) - wanted
            if 0 <= surplus <= _SLACK_BYTES:
                return
            size -= surplus // _BLOCK_BYTES * _BLOCK_BYTES
        raise OSError(f"{_MKFS} makes no file system with {mib} MiB of room")

    def _room(self, path: str) -> int:
        place = f"{_PLACES}/trial-{os.getpid()}"
        os.makedirs(place, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._mount(file, place)
        finally:
            os.close(file)
        found = os.statvfs(place)
        linux.umount(place, 0)
        return found.f_bavail * found.f_frsize


def _copy(template: str, path: str) -> int:
    """Copy a file with holes to one that has no name, and return a descriptor of it."""
    source = os.open(template, os.O_RDONLY | os.O_CLOEXEC)
    target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    try:
        os.ftruncate(target, os.fstat(source).st_size)
        end = 0
        while True:
            try:
                begin = os.lseek(source, end, os.SEEK_DATA)
            except OSError:  # there is no more
                return target
            end = os.lseek(source, begin, os.SEEK_HOLE)
            while begin < end:
                data = os.pread(source, min(_MIB, end - begin), begin)
                begin += os.pwrite(target, data, begin)
    except OSError:
        os.close(target)
        raise
    finally:
        os.close(source)


def _shut_down(root: int) -> None:
    """Have a file system forget what it has not written: nobody will read it."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(root, _EXT4_IOC_SHUTDOWN, _WITHOUT_WRITING)
