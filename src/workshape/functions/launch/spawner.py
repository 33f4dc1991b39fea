"""The process that forks every environment: small and single-threaded, so that forking is cheap and safe.

`main` runs as a process of its own, one for each interpreter whose runtime is loaded before forking (a zygote), and one
that loads nothing and executes any program. It lives exactly as long as the other end of its control socket is open.

It keeps processes that wait (`stock.py`). A start takes one, mounts the function's code in it and tells it what to
become; the stock is filled up again once nothing has been asked for a moment. An environment of an image, whose root is
known only then, is forked when it is wanted.

- Linux, as root: an environment has a sandbox (`sandbox.py`). Its first process takes everything below it along.
- Linux, any other user: an environment's first process is a child subreaper, so whatever it starts, daemons of their
  own session included, stays below it and ends with it. Should it end first, its orphans come to the spawner, which
  ends them.
- When the engine dies (kill -9 included) the spawner ends every environment and itself; when the spawner dies the
  kernel kills the first processes (PR_SET_PDEATHSIG).
- macOS: an environment's process group ends with it; a process that made a session of its own does not.

Standard library only, Python 3.10: every interpreter that runs functions loads this file.

Source: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html,
https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from workshape.functions.launch import image_program, linux, sandbox, stem, wire
from workshape.functions.launch.cgroups import OUT_OF_MEMORY, EnvironmentCgroup
from workshape.functions.launch.copy_sandbox import CopiedSlot
from workshape.functions.launch.disks import Disks, begin_disks
from workshape.functions.launch.process_tree import (
    children,
    descendants,
    ended_children,
    kill_tree,
    send_group_signal,
    send_signal,
    wake_on_child,
)
from workshape.functions.launch.python_runtime import REHEARSE, PythonRuntime
from workshape.functions.launch.sandbox import ImageSlot, Root, Slot
from workshape.functions.launch.sealed import SealedOrder
from workshape.functions.launch.stem import Become, Stem
from workshape.functions.launch.stock import Kind, Stock
from workshape.functions.launch.users import USERS_FROM, ZYGOTE_USERS_FROM, Users, first_user
from workshape.functions.launch.zygotes import Host, Zygotes

LAST_WAIT_S = 10.0
"""How long the spawner waits for killed processes before it leaves them to the kernel."""
CLOSING_MS = 5
QUIET_MS = 10
"""The stock is filled up when nothing was asked for this long: whoever has just started should not share its core."""
TEND_S_MAX = 3_600.0  # poll takes no endless number


MakeSlot = Callable[[int, int, Disks | None], "Slot | ImageSlot"]
"""Makes an environment's place, by its number, its user and what there is for its /tmp."""


@dataclass
class _Environment:
    """One environment's processes, until the last is gone."""

    stem: Stem
    start: int
    """Of which start message, until that has been answered; then -1."""
    status: int | None = None
    """Of `init`, once it has ended."""
    remains: set[int] = field(default_factory=set)
    """Processes that were killed and have not been seen dead."""
    is_whole: bool = True
    """Its order is; else it waits for the rest, from the engine itself."""


class Spawner:
    """Obeys the engine's messages; tells it when an environment has wholly ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._environments: dict[int, _Environment] = {}
        self._stock = Stock(self._fork_seed, self._discard, self._growth, stems=0, now=0.0)
        self._shrink_at = 0.0
        self._quiet = False
        """Nothing has been asked for a while."""
        self._becoming: dict[int, _Environment] = {}
        """By the descriptor of its control socket."""
        self._poll = select.poll()
        self._engine_alive = True
        self._forked = 0
        self._users = Users(first_user(USERS_FROM))
        self._root: Root | None = None
        self._disks: Disks | None = None
        self._why_no_disks = "there is no sandbox"
        self._own_namespace: int | None = None
        self._cgroups: dict[str, str] = {}
        self._python: PythonRuntime | None = None
        self._zygotes: Zygotes | None = None
        self._watched: dict[int, Callable[[], None]] = {}

    def run(self) -> None:
        """Serve until the engine closes its end; then end everything."""
        child_ended = wake_on_child()
        if not self._configure():
            return
        control = self._control.fileno()
        for descriptor in (control, child_ended):
            self._poll.register(descriptor, select.POLLIN)
        while self._engine_alive:
            readable = {descriptor for descriptor, _ in self._poll.poll(self._patience_ms())}
            if child_ended in readable:
                os.read(child_ended, 4096)
                self._reap()
            for descriptor in readable & self._becoming.keys():
                self._became(descriptor)
            self._hear_watched(readable)
            if control in readable:
                self._quiet = False
                self._obey()
            elif not readable:
                self._tend_stock()
        self._close()

    def _hear_watched(self, readable: set[int]) -> None:
        for descriptor in readable & self._watched.keys():
            heard = self._watched.get(descriptor)  # the one before may have ended this one
            if heard is not None:
                heard()

    def _patience_ms(self) -> float:
        """Return how long to wait for the engine before tending the stock."""
        now = time.monotonic()
        if self._zygotes is not None and self._zygotes.lacks():
            return 0 if self._quiet else QUIET_MS
        if self._stock.lacks(now):
            return 0 if self._quiet or self._stock.is_awaited else QUIET_MS
        return min(max(0.0, self._shrink_at - now), TEND_S_MAX) * 1_000

    def _tend_stock(self) -> None:
        now = time.monotonic()
        self._quiet = True
        if self._zygotes is not None:
            self._zygotes.add()
        if self._stock.lacks(now):
            self._stock.add(now)
        if now >= self._shrink_at:
            self._shrink_at = self._stock.shrink(now)

    def _configure(self) -> bool:
        message = wire.receive(self._control)
        if message is None:
            return False
        self._cgroups = message["cgroups"]
        reason = message["why_no_root"]
        if message["root"]:
            reason = self._enter_sandbox(message["root"], message["show"], message["disks"])
        if message["python"]:
            at = sandbox.RUNTIME if self._root is not None else message["python"]
            try:
                self._python = PythonRuntime(at)
            except ImportError as error:
                self._tell({"failed": f"the runtime client of {sys.executable} cannot be imported: {error}"})
                return False
        now = time.monotonic()
        self._stock = Stock(self._fork_seed, self._discard, self._growth, stems=message["stems"], now=now)
        if self._python is not None and self._own_namespace is not None and self._root is not None:
            self._zygotes = Zygotes(self._host(self._own_namespace), first_user(ZYGOTE_USERS_FROM), message["stems"])
        self._tell({"sandbox": reason})
        return True

    def _host(self, own_namespace: int) -> Host:
        return Host(
            own_namespace=own_namespace,
            disks=self._disks,
            watch=self._watch,
            unwatch=self._unwatch,
            fork=self._fork_zygote,
            new_cgroup=self._new_cgroup,
            give=self._give,
            refuse=lambda message, reason: self._tell({"done": message["id"], "error": reason}),
            tell=self._tell,
            ended=self._copy_ended,
            release=self._release,
            discard=self._discard,
        )

    def _enter_sandbox(self, folder: str, show: list[list[str]], disks: str) -> str:
        """Build the root and try a stem on it; say why there can be none."""
        if sys.platform != "linux":
            return f"there are no namespaces on {sys.platform}"
        try:
            root = Root(folder)
        except OSError as error:
            return str(error)
        try:
            reason = self._try_sandbox(root, show, disks)
        except OSError as error:
            reason = str(error)
        if reason:
            if self._disks is not None:
                self._disks.close()  # else they would be made at what is the host's own root by then
            self._root = self._own_namespace = self._disks = None
            root.leave()
        return reason

    def _try_sandbox(self, root: Root, show: list[list[str]], disks: str) -> str:
        root.enter()
        self._disks, self._why_no_disks = begin_disks(disks, sandbox.HOST, sandbox.TMP_MB)
        for path, at in show:
            root.show(path, at)
        self._root, self._own_namespace = root, os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        trial = self._fork(lambda _descriptor: os._exit(0))
        refusal = trial.refusal()
        _, status = os.waitpid(trial.pid, 0)
        self._discard(trial)
        return refusal or ("the first process of a sandbox was killed" if status else "")

    # What the engine wants

    def _obey(self) -> None:
        message, descriptors = wire.receive_with_descriptors(self._control)
        if message is None:
            self._engine_alive = False
            return
        if message["do"] == "start":
            message["order"] = SealedOrder(descriptors[0]) if descriptors else None
            self._start(message)
        elif message["do"] == "stock":
            with contextlib.suppress(OSError):  # the first start will tell
                self._stock.keep(self._kind(message), time.monotonic())
        elif message["do"] == "try disks":
            self._tell({"disks": self._why_no_disks if self._disks is None else self._disks.attempt()})
        elif message["do"] in ("keep", "drop"):
            assert self._zygotes is not None, "the engine has one of its processes"
            (self._zygotes.keep if message["do"] == "keep" else self._zygotes.drop)(message["pid"])
        elif (environment := self._environments.get(message["pid"])) is not None:
            self._kill(environment)

    def _start(self, message: dict[str, Any]) -> None:
        if message["copied"] or message["restore"]:
            self._start_copied(message)
            return
        taken: Stem | None = None
        try:
            kind = self._kind(message)
            if message["image"]:
                files = [path for path, _ in message["show"]]
                make_slot = partial(ImageSlot, image_root=message["image"], tmp_mb=message["tmp_mb"], shown=files)
                taken = self._fork(image_program.become, make_slot)
            else:
                taken = self._stock.take(kind, message["memory_bytes"], message["waiting"], time.monotonic())
            self._fit(taken, message)
        except OSError as error:
            if taken is not None:
                self._discard(taken)
            self._tell({"done": message["id"], "error": str(error)})
            return
        environment = _Environment(taken, message["id"], is_whole=message["is_whole"])
        self._environments[taken.pid] = environment
        if message["order"]:
            taken.hand_on(message["order"])
        if kind.boot or self._python is not None:
            self._done(environment)
        else:
            self._becoming[taken.control.fileno()] = environment  # it can still fail to execute its program
            self._poll.register(taken.control, select.POLLIN)

    def _fit(self, taken: Stem, message: dict[str, Any]) -> None:
        """Show a process the function it is to be, and limit it."""
        if isinstance(taken.slot, Slot):
            taken.slot.fill(message["code"], message["layers"], message["tmp_mb"])
            for path, at in message["show"]:
                if not at and path.startswith(f"{sandbox.TMP}/"):
                    taken.slot.lay(path)
        if taken.cgroup is not None:
            taken.cgroup.limit(message["memory_bytes"])

    def _became(self, descriptor: int) -> None:
        """Hear that a process has become what it was told to, or why it can't."""
        environment = self._becoming.pop(descriptor)
        self._poll.unregister(descriptor)
        refusal = environment.stem.refusal()
        if refusal:
            self._tell({"done": environment.start, "error": refusal})
            environment.start = -1
            del self._environments[environment.stem.pid]
            self._discard(environment.stem)
        else:
            self._done(environment)

    def _done(self, environment: _Environment) -> None:
        forked = environment.stem
        answer = {
            "done": environment.start,
            "pid": forked.pid,
            "user": forked.user if forked.slot is not None else -1,
            "cgroups": forked.cgroup.folders if forked.cgroup is not None else {},
            "is_whole": environment.is_whole,
        }
        self._tell(answer, [forked.output, forked.api, *([] if environment.is_whole else [forked.control.fileno()])])
        environment.start = -1
        forked.let_go()

    # What is copied

    def _start_copied(self, message: dict[str, Any]) -> None:
        if self._zygotes is None:
            self._tell({"done": message["id"], "error": "nothing can be copied without a sandbox"})
        elif message["restore"]:
            self._zygotes.restore(message)
        else:
            try:
                self._kind(message)
                self._zygotes.start(message)
            except OSError as error:
                self._tell({"done": message["id"], "error": str(error)})

    def _fork_zygote(self, make_slot: Callable[[int], CopiedSlot], message: dict[str, Any]) -> Stem:
        assert self._python is not None, "who has no runtime has no zygotes"
        forked = self._fork(self._python.become_copied, lambda number, _user, _disks: make_slot(number))
        try:
            self._fit(forked, message)
        except OSError:
            self._discard(forked)
            raise
        return forked

    def _give(self, forked: Stem, message: dict[str, Any]) -> None:
        environment = _Environment(forked, message["id"], is_whole=message["is_whole"])
        self._environments[forked.pid] = environment
        self._done(environment)

    def _copy_ended(self, pid: int, status: int) -> None:
        environment = self._environments[pid]
        environment.status = status
        self._ended(environment)

    def _watch(self, descriptor: int, heard: Callable[[], None]) -> None:
        self._watched[descriptor] = heard
        self._poll.register(descriptor, select.POLLIN)

    def _unwatch(self, descriptor: int) -> None:
        if self._watched.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    # Stock

    def _kind(self, message: dict[str, Any]) -> Kind:
        """Return the kind of stem that a message is about, and see to it that such stems find what they need.

        Raises:
            OSError: that is not there.
        """
        if self._root is not None:
            for path, at in message["show"]:
                if self._root.show(path, at):
                    self._stock.forget_seeds()
        return Kind(tuple(message["boot"]), tuple(sorted(message["boot_variables"].items())))

    def _growth(self, kind: Kind) -> str:
        if kind.boot:
            variables = {"PATH": "/usr/bin:/bin", "TZ": ":UTC", "LANG": "en_US.UTF-8", **dict(kind.variables)}
            return json.dumps({"boot": list(kind.boot), "variables": variables})
        return REHEARSE if self._python is not None else ""

    def _fork_seed(self) -> Stem:
        return self._fork(self._python.become if self._python is not None else stem.execute)

    def _fork(self, become: Become, make_slot: MakeSlot = Slot) -> Stem:
        slot: Slot | ImageSlot | None = None
        cgroup = self._new_cgroup()
        try:
            if self._root is not None:
                slot = make_slot(self._forked, self._users.first(), self._disks)
                self._users.took(slot.user)
            return stem.fork(become, slot=slot, cgroup=cgroup, own_namespace=self._own_namespace)
        except OSError:
            if slot is not None:
                slot.remove()
                self._users.left(slot.user)
            if cgroup is not None:
                cgroup.remove()
            raise

    def _new_cgroup(self) -> EnvironmentCgroup | None:
        self._forked += 1
        if not self._cgroups:
            return None
        root = sandbox.HOST if self._root is not None else ""
        return EnvironmentCgroup(self._cgroups, f"{os.getpid()}-{self._forked}", root)

    # What becomes of processes

    def _kill(self, environment: _Environment) -> None:
        if environment.status is None:
            if environment.stem.slot is not None:
                send_signal(environment.stem.pid, signal.SIGKILL)  # the kernel does the rest
            else:
                environment.remains |= kill_tree(environment.stem.pid)
                send_group_signal(environment.stem.pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid, status in ended_children():
            if self._zygotes is not None and self._zygotes.process_ended(pid, status):
                continue
            if (dead := self._stock.ended(pid)) is not None:
                self._release(dead)
            elif pid in self._environments:
                self._environments[pid].status = status
        ended = [environment for environment in self._environments.values() if environment.status is not None]
        if ended and self._root is None:
            self._kill_orphans(ended[0])
        alive = set(descendants(os.getpid())) if any(environment.remains for environment in ended) else set()
        for environment in ended:
            environment.remains &= alive  # a first process may have buried its own children even as it died
            if not environment.remains:
                self._ended(environment)

    def _ended(self, environment: _Environment) -> None:
        forked, status = environment.stem, environment.status
        if forked.control.fileno() in self._becoming:
            self._became(forked.control.fileno())
        if self._zygotes is not None:
            self._zygotes.zygote_ended(forked.pid)
        if self._environments.pop(forked.pid, None) is not None:
            assert status is not None
            lack = OUT_OF_MEMORY if forked.cgroup is not None and forked.cgroup.ran_out_of_memory() else 0
            self._tell({"ended": forked.pid, "status": forked.how_it_ended(status) | lack})
            self._release(forked)

    def _kill_orphans(self, ended: _Environment) -> None:
        # Living first processes adopt their own orphans, so whoever is our child and no first process has lost its own.
        known = set().union(*(environment.remains for environment in self._environments.values()))
        known |= self._environments.keys() | {each.pid for each in self._stock}
        for orphan in set(children(os.getpid())) - known:
            ended.remains |= kill_tree(orphan)

    def _discard(self, forked: Stem) -> None:
        """End a process that has become nothing."""
        send_signal(forked.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(forked.pid, 0)
        self._release(forked)

    def _release(self, forked: Stem) -> None:
        forked.close()
        if forked.slot is not None:
            forked.slot.remove()
            self._users.left(forked.user)
        if forked.cgroup is not None:
            forked.cgroup.remove()  # what the kernel holds on to for a moment, the engine removes when it closes

    def _close(self) -> None:
        for forked in list(self._stock):
            self._discard(forked)
        if self._zygotes is not None:
            self._zygotes.close()
        for environment in list(self._environments.values()):
            self._kill(environment)
        deadline = time.monotonic() + LAST_WAIT_S
        while self._environments and time.monotonic() < deadline:
            self._hear_watched({descriptor for descriptor, _ in self._poll.poll(CLOSING_MS)})
            self._reap()
        for folder in dict.fromkeys(self._cgroups.values()):
            with contextlib.suppress(OSError):
                os.rmdir(f"{sandbox.HOST if self._root is not None else ''}{folder}")

    def _tell(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        if self._engine_alive:
            try:
                wire.send(self._control, message, descriptors or ())
            except OSError:
                self._engine_alive = False


def main(descriptor: int) -> None:
    """Run as a process of its own, with the descriptor of the control socket."""
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    os.umask(0o022)  # others live in what it makes, whatever is the engine's business to hide
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the engine's end is our end; nothing else is
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each environment costs two
    if sys.platform == "linux":
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    Spawner(control).run()
    for pid in descendants(os.getpid()):
        send_signal(pid, signal.SIGKILL)
