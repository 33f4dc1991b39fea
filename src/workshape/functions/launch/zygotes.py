"""The spawner's side of snapshots: processes that are copied when environments are wanted of them (SnapStart).

A zygote begins as an environment does, and goes through its init phase; when the engine keeps it, it stays there, and a
few copies of it are made ahead. A copy comes to be in steps, each of which another process takes while the spawner goes
on: the zygote forks it (`copying.py`); a helper furnishes it from outside (`copy_sandbox.py`); it gives up what it must
not have, and what that leaves is looked at before it is given anything to do.

What a zygote or its copies say is not trusted: the function's code runs in them. They cannot make the spawner wait.

Standard library only, Python 3.10: every interpreter that runs functions loads this file. Linux, as root.
"""

import contextlib
import json
import os
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workshape.functions.launch import copy_sandbox
from workshape.functions.launch.cgroups import EnvironmentCgroup
from workshape.functions.launch.copy_sandbox import USERS, CopiedSlot, CopySlot
from workshape.functions.launch.copying import COPY_DESCRIPTORS, SAYS_INIT, SAYS_REST, SAYS_SNAPSHOT
from workshape.functions.launch.disks import Disks
from workshape.functions.launch.process_tree import children, send_signal
from workshape.functions.launch.sandbox import GROUP, TMP_MB
from workshape.functions.launch.stem import Stem

ZYGOTES_MAX = 16
"""Each has `USERS` of a spawner's user ids."""
HEARD_BYTES_MAX = 4_096
ARRIVING_MAX = 16
"""Copies that are being made of one zygote at once."""
WAITING_MAX = 1_000  # starts that wait for a copy of one zygote: an account's concurrency
_CREDENTIALS = struct.Struct("=iII")
_SCM_CREDENTIALS = 2  # which Python does not name
_KILLED = 9  # a wait status: ended by signal 9
NO_SNAPSHOT = "there is no snapshot to start from"
_NO_USER = f"{USERS - 1} environments of the snapshot are there already"


@dataclass(frozen=True)
class Host:
    """The spawner, as far as zygotes need it."""

    own_namespace: int
    """A descriptor of its own process namespace."""
    disks: Disks | None
    """What /tmp is on; None: on memory."""
    watch: Callable[[int, Callable[[], None]], None]
    """Call something whenever a descriptor is readable."""
    unwatch: Callable[[int], None]
    fork: Callable[[Callable[[int], CopiedSlot], dict[str, Any]], Stem]
    """Fork a process that is to be copied, and show it the function of a start message; raises OSError."""
    new_cgroup: Callable[[], EnvironmentCgroup | None]
    """Make an environment's cgroups, where there are any; raises OSError."""
    give: Callable[[Stem, dict[str, Any]], None]
    """Let it be the environment that a start message wants."""
    refuse: Callable[[dict[str, Any], str], None]
    """Answer a start message that there is none."""
    tell: Callable[[dict[str, Any]], None]
    """Tell the engine."""
    ended: Callable[[int, int], None]
    """An environment that is no child of the spawner's has ended, with this wait status."""
    release: Callable[[Stem], None]
    """Give back what a process that has ended held."""
    discard: Callable[[Stem], None]
    """End a child of the spawner's that has become nothing."""


@dataclass
class _Copy:
    """A copy, from the wish for it to the end of its processes."""

    stem: Stem
    process: int = -1
    """A descriptor of its first process."""
    is_furnished: bool = False


@dataclass
class _Zygote:
    stem: Stem
    message: dict[str, Any]
    users: deque[int]
    """Those of no living copy."""
    heard: bytes = b""
    runtime: int = -1
    """A descriptor of the process that is copied; -1: it has not said that it is in its sandbox."""
    why_not: str | None = None
    """Why it cannot be copied; None: it has not come to its snapshot."""
    is_kept: bool = False
    awaits_proof: bool = False
    """The engine waits to hear whether it is: when its first copy is there."""
    arriving: list[_Copy] = field(default_factory=list)
    resting: deque[_Copy] = field(default_factory=deque)
    waiting: deque[dict[str, Any]] = field(default_factory=deque)
    """Start messages for which there was no copy."""
    living: int = 0
    """Its copies, whatever they do."""
    is_over: bool = False
    """No more copies are made of it."""
    has_ended: bool = False
    """Its first process has, and so has every other that was below that, copies included."""


class Zygotes:
    """One spawner's."""

    def __init__(self, host: Host, first_user: int, copies_ahead: int) -> None:
        """`first_user` begins the ids of all zygotes' users; `copies_ahead` of each rest."""
        self._host = host
        self._ahead = copies_ahead
        self._places = deque(first_user + place * USERS for place in range(ZYGOTES_MAX))
        """The first users of zygotes that are not."""
        self._zygotes: dict[int, _Zygote] = {}
        """By the process id of the first of their processes."""
        self._over: dict[int, _Zygote] = {}
        """Those that are over, until they have ended."""
        self._helpers: dict[int, tuple[_Zygote, _Copy]] = {}

    def __repr__(self) -> str:
        return f"<Zygotes {len(self._zygotes)}>"

    # What the engine wants

    def start(self, message: dict[str, Any]) -> None:
        """Begin an environment that is to be copied; it is given to the engine when it is in its sandbox.

        Raises:
            OSError: the machine refuses a process, or there are enough of these.
        """
        if not self._places:
            raise OSError(f"there are {ZYGOTES_MAX} snapshots in memory already")
        first_user = self._places.popleft()
        try:
            stem = self._host.fork(lambda number: CopiedSlot(number, first_user, self._host.disks), message)
        except OSError:
            self._places.append(first_user)
            raise
        zygote = _Zygote(stem, message, deque(range(first_user + 1, first_user + USERS)))
        self._zygotes[stem.pid] = zygote
        self._host.watch(stem.control.fileno(), lambda: self._hear(zygote))
        stem.hand_on(message["order"])

    def keep(self, pid: int) -> None:
        """Keep it where it is, to be copied; tell the engine why not, or, once there is a copy, that it is."""
        zygote = self._zygotes.get(pid)
        if zygote is None:
            self._host.tell({"kept": pid, "reason": "it has ended"})
            return
        reason = zygote.why_not if zygote.why_not is not None else "it has not come to its snapshot"
        if not reason and not copy_sandbox.is_alone(pid):
            reason = "its init phase has left a process running"
        if reason:
            self._host.tell({"kept": pid, "reason": reason})
            return
        zygote.is_kept = zygote.awaits_proof = True
        self._make_copy(zygote)

    def drop(self, pid: int) -> None:
        """Make no more copies of it; those that serve go on."""
        if (zygote := self._zygotes.get(pid)) is not None:
            self._break(zygote)

    def restore(self, message: dict[str, Any]) -> None:
        """Give the engine a copy, or say that there is none."""
        zygote = self._zygotes.get(message["restore"])
        if zygote is None or not zygote.is_kept or len(zygote.waiting) >= WAITING_MAX:
            self._host.refuse(message, NO_SNAPSHOT)
        elif (copy := self._first_alive(zygote)) is not None:
            self._give(zygote, copy, message)
        else:
            zygote.waiting.append(message)
        if zygote is not None and zygote.is_kept:
            self._make_copies(zygote, min(message["waiting"], ARRIVING_MAX))

    # Copies ahead

    def lacks(self) -> bool:
        """Tell whether `add` has something to do."""
        return self._lacking() is not None

    def add(self) -> None:
        """Make one more copy, of a zygote that has too few at rest."""
        if (zygote := self._lacking()) is not None:
            self._make_copy(zygote)

    def _lacking(self) -> _Zygote | None:
        for zygote in self._zygotes.values():
            if zygote.is_kept and zygote.users and len(zygote.resting) + len(zygote.arriving) < self._ahead:
                return zygote
        return None

    def _make_copies(self, zygote: _Zygote, soon: int) -> None:
        """Make as many as are waited for, and are about to be: what takes long, the kernel does for all at once."""
        lacking = len(zygote.waiting) + max(0, soon - len(zygote.resting)) - len(zygote.arriving)
        for _ in range(min(lacking, ARRIVING_MAX - len(zygote.arriving))):
            if zygote.is_over or not zygote.users:
                break
            self._make_copy(zygote)
        if zygote.waiting and not zygote.arriving and not zygote.is_over:
            self._refuse_waiting(zygote, _NO_USER)

    def _make_copy(self, zygote: _Zygote) -> None:
        try:
            copy = self._order_copy(zygote)
        except OSError:
            self._break(zygote)
            return
        zygote.living += 1
        zygote.arriving.append(copy)
        self._host.watch(copy.stem.control.fileno(), lambda: self._arrives(zygote, copy))

    def _order_copy(self, zygote: _Zygote) -> _Copy:
        cgroup = self._host.new_cgroup()
        user = zygote.users.popleft()
        slot = CopySlot(user, None if self._host.disks is None else self._host.disks.take(TMP_MB))
        ours, order = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        our_api, api = socket.socketpair()
        status_read, status_write = os.pipe()
        os.set_blocking(status_read, False)
        output_read, output_write = os.pipe()
        os.fchown(output_write, user, GROUP)  # else /dev/stdout and /dev/stderr, the same pipe, could not be opened
        stem = Stem(0, ours, status_read, output_read, our_api.detach(), slot, cgroup, user)
        given = [order.fileno(), api.fileno(), status_write, output_write]
        assert len(given) == COPY_DESCRIPTORS, "what the other side expects"
        try:
            socket.send_fds(zygote.stem.control, [b"c"], given, socket.MSG_DONTWAIT)
        except OSError:
            self._host.release(stem)
            raise
        finally:
            order.close()
            api.close()
            os.close(status_write)
            os.close(output_write)
        return _Copy(stem)

    # What zygotes and copies say

    def _hear(self, zygote: _Zygote) -> None:
        said = _read(zygote.stem.control)
        zygote.heard += said
        *lines, zygote.heard = zygote.heard.split(b"\n")
        for line in lines:
            if line == SAYS_INIT and zygote.runtime < 0:
                zygote.runtime = _open_first_child(zygote.stem.pid)
                if zygote.runtime >= 0:
                    self._host.give(zygote.stem, zygote.message)
            elif line.startswith(SAYS_SNAPSHOT) and zygote.why_not is None:
                zygote.why_not = line.removeprefix(SAYS_SNAPSHOT).decode(errors="replace")
        if not said or len(zygote.heard) > HEARD_BYTES_MAX:
            self._break(zygote)

    def _arrives(self, zygote: _Zygote, copy: _Copy) -> None:
        if copy.process < 0:
            copy.stem.pid = _who_speaks(copy.stem.control)
            if not copy.stem.pid or not self._furnish(zygote, copy):
                self._break(zygote)
            return
        said = _read(copy.stem.control)
        if said == SAYS_REST and copy.is_furnished and copy_sandbox.is_confined(copy.stem.pid, copy.stem.user):
            self._rest(zygote, copy)
        else:
            self._break(zygote)

    def _furnish(self, zygote: _Zygote, copy: _Copy) -> bool:
        """Begin to give a copy, which exists, what only the host can give."""
        files: list[int] = []
        try:
            copy.process = os.pidfd_open(copy.stem.pid)
            files = copy.stem.cgroup.open_to_join() if copy.stem.cgroup is not None else []
            assert isinstance(copy.stem.slot, CopySlot), "as it was made"
            helper = copy_sandbox.fork_helper(copy.stem.pid, copy.stem.slot, files, self._host.own_namespace)
        except OSError:
            return False
        finally:
            for descriptor in files:
                os.close(descriptor)
        self._helpers[helper] = (zygote, copy)
        return True

    def _rest(self, zygote: _Zygote, copy: _Copy) -> None:
        self._host.unwatch(copy.stem.control.fileno())
        zygote.arriving.remove(copy)
        if copy.stem.cgroup is not None:
            with contextlib.suppress(OSError):  # the start will tell
                copy.stem.cgroup.limit(zygote.message["memory_bytes"])
        self._host.watch(copy.process, lambda: self._copy_ended(zygote, copy))
        if zygote.awaits_proof:
            zygote.awaits_proof = False
            self._host.tell({"kept": zygote.stem.pid, "reason": ""})
        if zygote.waiting:
            self._give(zygote, copy, zygote.waiting.popleft())
            self._make_copies(zygote, 0)
        else:
            zygote.resting.append(copy)

    def _first_alive(self, zygote: _Zygote) -> _Copy | None:
        while zygote.resting:
            copy = zygote.resting.popleft()
            if copy.stem.waits():
                return copy
            self._host.unwatch(copy.process)
            self._let_go(zygote, copy)
        return None

    def _give(self, zygote: _Zygote, copy: _Copy, message: dict[str, Any]) -> None:
        if message["order"]:
            copy.stem.hand_on(message["order"])
        self._host.give(copy.stem, message)

    # What becomes of them

    def process_ended(self, pid: int, status: int) -> bool:
        """Hear that a child of the spawner's has ended; tell whether it was one of the helpers."""
        if pid not in self._helpers:
            return False
        zygote, copy = self._helpers.pop(pid)
        if copy not in zygote.arriving:
            return True  # it is not wanted any more
        if status == 0:
            copy.is_furnished = True
            copy.stem.order(json.dumps({"user": copy.stem.user}))
        else:
            self._break(zygote)
        return True

    def zygote_ended(self, pid: int) -> None:
        """Hear that the first process of an environment, which may be a zygote's, has ended: so have its copies."""
        if (zygote := self._zygotes.get(pid)) is not None:
            self._break(zygote)
        if (zygote := self._over.pop(pid, None)) is not None:
            zygote.has_ended = True
            self._settle(zygote)

    def close(self) -> None:
        """Make no more copies."""
        for zygote in list(self._zygotes.values()):
            self._break(zygote)

    def _copy_ended(self, zygote: _Zygote, copy: _Copy) -> None:
        self._host.unwatch(copy.process)
        if copy in zygote.resting:
            zygote.resting.remove(copy)
            self._let_go(zygote, copy)
        else:
            os.close(copy.process)
            self._host.ended(copy.stem.pid, _KILLED)
            self._forget(zygote, copy)

    def _break(self, zygote: _Zygote) -> None:
        """Give up a zygote: its process ends, its copies that wait do, too, and whoever waits for one is told."""
        if self._zygotes.pop(zygote.stem.pid, None) is None:
            return
        self._host.unwatch(zygote.stem.control.fileno())
        if zygote.runtime >= 0:
            self._over[zygote.stem.pid] = zygote
            _kill(zygote.runtime)
        else:
            zygote.has_ended = True
            reason = zygote.heard.decode(errors="replace") or "its first process was killed"
            self._host.refuse(zygote.message, reason)
            self._host.discard(zygote.stem)
        for copy in [*zygote.arriving, *zygote.resting]:
            self._host.unwatch(copy.stem.control.fileno() if copy in zygote.arriving else copy.process)
            self._let_go(zygote, copy)
        zygote.arriving.clear()
        zygote.resting.clear()
        self._refuse_waiting(zygote, NO_SNAPSHOT)
        if zygote.awaits_proof:
            self._host.tell({"kept": zygote.stem.pid, "reason": "a copy of it cannot be made on this machine"})
        elif zygote.is_kept:
            self._host.tell({"lost": zygote.stem.pid})
        zygote.is_over = True
        self._settle(zygote)

    def _refuse_waiting(self, zygote: _Zygote, reason: str) -> None:
        while zygote.waiting:
            self._host.refuse(zygote.waiting.popleft(), reason)

    def _let_go(self, zygote: _Zygote, copy: _Copy) -> None:
        """End a copy that nobody has."""
        if copy.process >= 0:
            _kill(copy.process)
        self._host.release(copy.stem)
        self._forget(zygote, copy)

    def _forget(self, zygote: _Zygote, copy: _Copy) -> None:
        zygote.living -= 1
        zygote.users.append(copy.stem.user)
        self._settle(zygote)

    def _settle(self, zygote: _Zygote) -> None:
        """Once a zygote that is over has no copies: end what it has left behind, then give its users to another."""
        if not zygote.is_over or zygote.living > 0:
            return
        if zygote.has_ended:
            self._places.append(zygote.stem.user)
        elif zygote.is_kept:  # else it is an environment of the engine's, which ends it
            send_signal(zygote.stem.pid, signal.SIGKILL)


def _open_first_child(pid: int) -> int:
    """Open the process that is a first process's first child; -1: there is none any more."""
    for child in children(pid)[:1]:
        with contextlib.suppress(OSError):
            return os.pidfd_open(child)
    return -1


def _kill(process: int) -> None:
    """Kill a process by its descriptor, and close that."""
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)


def _read(control: socket.socket) -> bytes:
    """Read what is there; nothing: the other end is closed."""
    try:
        return control.recv(HEARD_BYTES_MAX, socket.MSG_DONTWAIT)
    except OSError:
        return b""


def _who_speaks(control: socket.socket) -> int:
    """Return the id of the process that has said something, as the kernel knows it here; 0: there is none."""
    try:
        _, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size), socket.MSG_DONTWAIT)
    except OSError:
        return 0
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SCM_CREDENTIALS and len(content) >= _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack_from(content)[0])
    return 0
