"""A function's process of which a snapshot is taken, and the copies of it: what happens inside of them (SnapStart).

The process, whose init phase is over, forks whenever a copy is wanted (`zygotes.py` asks). A copy gets namespaces of
its own in the fork, and everything that needs the host's authority from outside: cgroups, its own /tmp and /proc. Then
it gives up what let it have namespaces, for good, and only then goes on as the function. A copy is two processes, as a
stem is.

What a fork cannot copy, or what two processes would share as two machines would not, is no snapshot: threads, child
processes, shared memory, and descriptors other than files'. Such a function says so and is not copied.

Standard library only, Python 3.10: every Python that runs functions loads this file.
"""

import array
import contextlib
import errno
import fcntl
import gc
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from workshape.functions.launch import linux, sandbox, wire
from workshape.functions.launch.seccomp import COPY_NAMESPACES
from workshape.functions.launch.stem import API_DESCRIPTOR, ORDER_DESCRIPTOR, REFUSED_EXIT, bury

COPY_DESCRIPTORS = 4
"""What is sent with the wish for a copy: its order's, its Runtime API's, its status's and its output's."""
SAYS_INIT, SAYS_SNAPSHOT, SAYS_REST = b"init", b"snapshot ", b"rest"
"""What is said to the spawner, each on a line: it is in its sandbox; it has come to its snapshot (and why it cannot be
copied, if so); a copy has done all it can do ahead."""
_HELLO = b"a"
"""What the first process of a copy says, so that the kernel tells who it is."""


def why_not_copied() -> str:
    """Say why this process cannot be copied now; empty: it can. Connections to others are ended."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"its init phase has left {threads} threads"
    with open(f"/proc/self/task/{os.getpid()}/children") as listed:
        if listed.read().strip():
            return "its init phase has left a process running"
    with open("/proc/self/maps") as maps:
        if any(line.split()[1].startswith("rw-s") for line in maps):
            return "its init phase has made memory that is shared between processes"
    connections = []
    for descriptor in _open_descriptors():
        what = _what_is(descriptor)
        if what == _CONNECTION:
            connections.append(descriptor)
        elif what:
            return f"its init phase has left {what} open"
    for descriptor in connections:
        _hang_up(descriptor)
    return ""


def say(line: bytes) -> None:
    """Tell the spawner something."""
    os.write(ORDER_DESCRIPTOR, line + b"\n")


def serve_copies(prepare: Callable[[], None]) -> dict[str, Any]:
    """Fork a copy each time one is wanted; return, in a copy alone, what it has been told to be.

    `prepare` is what a copy does ahead.
    """
    control = socket.socket(fileno=ORDER_DESCRIPTOR)
    gc.collect()
    gc.freeze()  # what a copy does not write to, it shares; the collector would write to all of it
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    forked: list[int] = []
    while True:
        descriptors = _receive_descriptors(control)
        forked = [each for each in forked if os.waitpid(each, os.WNOHANG)[0] == 0]
        if len(descriptors) < COPY_DESCRIPTORS:
            os._exit(0)
        child = os.fork()
        if child == 0:
            try:
                control.detach()
                return _be_copy(descriptors, prepare)
            except BaseException:  # noqa: BLE001 - a forked child must not return into its parent's code
                os._exit(REFUSED_EXIT)
        for descriptor in descriptors:
            os.close(descriptor)
        forked.append(child)  # it ends soon; what it has forked is the copy


def _be_copy(descriptors: Sequence[int], prepare: Callable[[], None]) -> dict[str, Any]:
    linux.unshare(COPY_NAMESPACES)
    if os.fork():
        os._exit(0)
    order, api, status, output = descriptors
    os.setsid()
    for place in (1, 2):
        os.dup2(output, place)
    os.dup2(order, ORDER_DESCRIPTOR, inheritable=False)
    os.dup2(api, API_DESCRIPTOR, inheritable=False)
    for descriptor in (order, api, output):
        os.close(descriptor)
    control = socket.socket(fileno=ORDER_DESCRIPTOR)
    control.sendall(_HELLO)
    told = wire.receive(control)  # it comes when all that the host has to do is done
    if told is None:
        os._exit(0)
    os.setresuid(told["user"], told["user"], told["user"])
    linux.keep_capabilities(())
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # a changed user makes a process undumpable: see `sandbox.drop`
    runtime = os.fork()
    if runtime:
        sandbox.reset_signals()
        bury(runtime, status)
    os.close(status)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    _own_files()
    prepare()
    control.sendall(SAYS_REST)
    made = wire.receive(control)
    if made is None:
        os._exit(0)
    control.close()
    return made


def _own_files() -> None:
    """Open the files and folders again that are open: two descriptors from one `open` share their position.

    What was in the snapshot's /tmp has been copied, and is found there by its name; so is the working directory. A file
    whose name is gone, or that this user may not open, stays shared.
    """
    with contextlib.suppress(OSError):
        os.chdir(os.getcwd())
    for descriptor in _open_descriptors():
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            continue
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        with contextlib.suppress(OSError):
            position = os.lseek(descriptor, 0, os.SEEK_CUR)
            again = os.open(os.readlink(f"/proc/self/fd/{descriptor}"), flags | os.O_CLOEXEC)
            os.dup2(again, descriptor, inheritable=os.get_inheritable(descriptor))
            os.close(again)
            os.lseek(descriptor, position, os.SEEK_SET)


_CONNECTION = "a connection"
_NAMED = {"eventpoll": "an event loop", "eventfd": "an event", "timerfd": "a timer", "inotify": "a watch on files"}


def _what_is(descriptor: int) -> str:
    """Name what a copy cannot have of its own; empty: it can. `_CONNECTION` is one that can be ended."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISCHR(mode):
        return ""
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return _CONNECTION if _is_connection(descriptor) else "a socket that is no connection"
    name = os.readlink(f"/proc/self/fd/{descriptor}").rpartition(":")[2].strip("[]")
    return _NAMED.get(name, name or "something unknown")


def _is_connection(descriptor: int) -> bool:
    borrowed = socket.socket(fileno=descriptor)
    try:
        if borrowed.family not in (socket.AF_INET, socket.AF_INET6) or borrowed.type != socket.SOCK_STREAM:
            return False
        borrowed.getpeername()
    except OSError as error:
        return error.errno == errno.ENOTCONN and not borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    else:
        return True
    finally:
        borrowed.detach()


def _hang_up(descriptor: int) -> None:
    """End a connection: as on Lambda, none is there after a restore. Every copy sees that it is over."""
    borrowed = socket.socket(fileno=descriptor)
    try:
        with contextlib.suppress(OSError):
            borrowed.shutdown(socket.SHUT_RDWR)
    finally:
        borrowed.detach()


def _open_descriptors() -> list[int]:
    """List those that are the function's: not the standard three, not ours."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor not in (ORDER_DESCRIPTOR, API_DESCRIPTOR):
            with contextlib.suppress(OSError):  # the one that lists them has been closed
                os.fstat(descriptor)
                found.append(descriptor)
    return found


def _receive_descriptors(control: socket.socket) -> list[int]:
    received = array.array("i")
    room = socket.CMSG_LEN(COPY_DESCRIPTORS * received.itemsize)
    try:
        _, ancillary, _, _ = control.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(content[: len(content) - len(content) % received.itemsize])
    return list(received)


def hold() -> NoReturn:
    """Stay until somebody ends this process: it is no snapshot, and must not go on either."""
    while True:
        signal.pause()
