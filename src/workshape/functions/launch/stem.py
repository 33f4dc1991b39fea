"""A stem: a sandboxed process that is forked ahead and waits to become somebody's execution environment.

It is two processes. The first of its process namespace (`init`) adopts and buries orphans, and when it is killed the
kernel kills everything below it; the second is to run the function. As on Lambda, so that a function is not process 1,
to which signals mean something else. Where there are no namespaces the two are the same two, without the kernel's
promise: then `init` is a child subreaper, and whoever ends the environment looks for what is below it.

Forking, joining cgroups and entering the sandbox take milliseconds and are over before anybody waits. What is left for
the start is to mount the function's code, to tell the stem which function it is, and to run that.

Standard library only, Python 3.10: every interpreter that runs functions loads this file.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from workshape.functions.entry_errors import INVALID_ENTRY_POINT
from workshape.functions.launch import linux, sandbox, wire
from workshape.functions.launch.cgroups import EnvironmentCgroup
from workshape.functions.launch.copy_sandbox import CopiedSlot, CopySlot
from workshape.functions.launch.extensions import supervise
from workshape.functions.launch.init_failure import fail_init, words
from workshape.functions.launch.sandbox import GROUP, ImageSlot, Slot
from workshape.functions.launch.sealed import SealedOrder

ORDER_DESCRIPTOR = 3
"""Where a waiting process reads what it is to become; closed once it has become that."""
API_DESCRIPTOR = 4
"""Its connection to the Runtime API, for runtimes of ours; whoever runs AWS's own client uses TCP."""
LOG_DESCRIPTOR = "_LAMBDA_TELEMETRY_LOG_FD"
"""The variable that tells a runtime's client where to frame what it logs. It closes that descriptor when it ends, and
takes the variable away before the function can see it.

Source: https://github.com/aws/aws-lambda-python-runtime-interface-client (create_log_sink)
"""
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
"""The variable that names a program of the function's own to start its runtime.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
"""
_STATUS_DESCRIPTOR = 5
_STATUS_BYTES = 4
REFUSED_EXIT = 127
REASON_BYTES_MAX = 4_096

Become = Callable[[int], None]
"""Called in the second process with the descriptor to read the order from; returns only if nothing is to be run."""


@dataclass
class Stem:
    """A waiting process, as its spawner holds it; later the environment that it has become."""

    pid: int
    """Of `init`, in the spawner's process namespace."""
    control: socket.socket
    status: int
    """Readable: how the second process ended, when it has."""
    output: int
    """Readable: what the environment writes to its standard output and error. To be handed on."""
    api: int
    """The other end of its `API_DESCRIPTOR`. To be handed on."""
    slot: Slot | ImageSlot | CopySlot | None
    cgroup: EnvironmentCgroup | None
    user: int

    def order(self, order: str) -> None:
        """Tell it, in JSON, what to become; that it has died is heard of in another way."""
        with contextlib.suppress(OSError):
            self.control.sendall(wire.frame(order.encode()))

    def hand_on(self, order: SealedOrder) -> None:
        """Tell it what to become, without having read that; that it has died is heard of in another way."""
        with contextlib.suppress(OSError):
            order.hand_on(self.control)

    def waits(self) -> bool:
        """Tell whether it is still there, with nothing to say."""
        try:
            self.control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def let_go(self) -> None:
        """Close what has been handed on."""
        for descriptor in (self.output, self.api):
            if descriptor >= 0:
                os.close(descriptor)
        self.output = self.api = -1

    def refusal(self) -> str:
        """Say, once its control socket is readable, why it has not become what it should; empty: it has."""
        reason = b""
        while len(reason) < REASON_BYTES_MAX:
            try:
                part = self.control.recv(REASON_BYTES_MAX)
            except OSError:
                break
            if not part:
                break
            reason += part
        return reason.decode(errors="replace")

    def how_it_ended(self, own_status: int) -> int:
        """Return the wait status of the second process, or of `init` if that was killed first."""
        told = b""
        with contextlib.suppress(BlockingIOError):
            told = os.read(self.status, _STATUS_BYTES)
        return int.from_bytes(told, "big") if len(told) == _STATUS_BYTES else own_status

    def close(self) -> None:
        """Close every descriptor; for when its processes are gone."""
        self.let_go()
        self.control.close()
        if self.status >= 0:
            os.close(self.status)
            self.status = -1


def fork(
    become: Become,
    *,
    slot: Slot | ImageSlot | None = None,
    cgroup: EnvironmentCgroup | None = None,
    own_namespace: int | None = None,
) -> Stem:
    """Fork a stem. With `own_namespace`, a descriptor of this process's own, it gets a process namespace.

    Raises:
        OSError: the machine refuses a process.
    """
    ours, theirs = socket.socketpair()
    our_api, their_api = socket.socketpair()
    status_read, status_write = os.pipe()
    os.set_blocking(status_read, False)
    output_read, output_write = os.pipe()
    if own_namespace is not None:
        linux.unshare(linux.CLONE_NEWPID)
    try:
        pid = os.fork()
    except OSError:
        _return_to(own_namespace)
        raise
    if pid == 0:
        places = {
            ORDER_DESCRIPTOR: theirs.fileno(),
            API_DESCRIPTOR: their_api.fileno(),
            _STATUS_DESCRIPTOR: status_write,
        }
        try:
            _arrange(places, output_write)
            _be_init(become, slot, cgroup)
        except BaseException as error:  # noqa: BLE001 - a forked child must not return into its parent's code
            _refuse(error)
        os._exit(REFUSED_EXIT)
    _return_to(own_namespace)
    for descriptor in (status_write, output_write):
        os.close(descriptor)
    theirs.close()
    their_api.close()
    return Stem(pid, ours, status_read, output_read, our_api.detach(), slot, cgroup, slot.user if slot else os.getuid())


def execute(descriptor: int) -> None:
    """Be a `Become` that runs any program: the order names it, or one to `boot` that reads it."""
    order = read_order(descriptor)
    if order is None:
        return
    if "boot" in order:
        for each in (descriptor, API_DESCRIPTOR):
            os.set_inheritable(each, True)
        os.execve(order["boot"][0], order["boot"], order["variables"])  # noqa: S606 - no shell is wanted
    os.chdir(order["folder"])
    os.set_inheritable(descriptor, False)  # its end tells the spawner that the program runs
    os.set_inheritable(API_DESCRIPTOR, False)
    variables = order["variables"]
    frames_log = variables.pop(LOG_DESCRIPTOR, None) is not None
    if order.get("extensions"):
        supervise(order["extensions"], variables)
    if frames_log:
        log = os.dup(1)  # one of its own: what is written while the program ends comes after it has been closed
        os.set_inheritable(log, True)
        variables[LOG_DESCRIPTOR] = str(log)
    arguments = order.get("arguments") or _bootstrap(order["bootstraps"], variables, descriptor)
    try:
        os.execve(arguments[0], arguments, variables)  # noqa: S606 - no shell is wanted
    except OSError as error:
        if "bootstraps" in order or arguments[0] == variables.get(WRAPPER):  # else the program is not the function's
            fail_init(descriptor, variables, INVALID_ENTRY_POINT, f"fork/exec {arguments[0]}: {words(error)}")
        raise


def _bootstrap(paths: "list[str]", variables: "dict[str, str]", descriptor: int) -> "list[str]":
    """Find the first that is there: the function's own, or a layer's.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html
    """
    found = [path for path in paths if os.path.isfile(path)]
    if not found:
        why = f"Couldn't find valid bootstrap(s): [{' '.join(paths)}]"
        fail_init(descriptor, variables, INVALID_ENTRY_POINT, why)
    return found[:1]


def read_order(descriptor: int) -> dict[str, Any] | None:
    """Wait for the order; None when the spawner has gone away, and nobody will ever want this process."""
    control = socket.socket(fileno=descriptor)
    try:
        return wire.receive(control)
    finally:
        control.detach()


def _return_to(own_namespace: int | None) -> None:
    if own_namespace is not None:
        linux.setns(own_namespace, linux.CLONE_NEWPID)


def _arrange(places: dict[int, int], output: int) -> None:
    """Put descriptors where the runtimes look for them, and close all others."""
    lifted = {place: _lift(descriptor) for place, descriptor in places.items()}
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, descriptor in {0: nothing, 1: output, 2: output, **lifted}.items():
        os.dup2(descriptor, place, inheritable=place <= 2)
    sandbox.close_all_but(list(places))


def _lift(descriptor: int) -> int:
    """Duplicate a descriptor out of the way of those that are about to be set."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)


def _be_init(become: Become, slot: Slot | ImageSlot | None, cgroup: EnvironmentCgroup | None) -> None:
    """Enter the sandbox, fork the process that is to run the function, and bury whoever ends, until that one does."""
    os.setsid()
    sandbox.reset_signals()
    if cgroup is not None:
        cgroup.join()
    if slot is not None:
        slot.enter()
        os.fchown(1, slot.user, GROUP)  # else /dev/stdout and /dev/stderr, the same pipe, could not be opened
        slot.drop()
    sandbox.limit_resources()
    if sys.platform == "linux":
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    runtime = os.fork()
    if runtime == 0:
        os.close(_STATUS_DESCRIPTOR)
        if sys.platform == "linux":
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        become(ORDER_DESCRIPTOR)
        os._exit(REFUSED_EXIT)
    bury(runtime, _STATUS_DESCRIPTOR, to_the_last=isinstance(slot, CopiedSlot))


def bury(runtime: int, told: int, *, to_the_last: bool = False) -> NoReturn:
    """Be the first process of an environment: bury whoever ends, until the runtime does, and write how it did.

    `to_the_last`: until nobody is left; copies of the runtime (`copying.py`) end when this process does.
    """
    sandbox.close_all_but([told])
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in (1, 2):
        os.dup2(nothing, place)
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == runtime:
                os.write(told, status.to_bytes(_STATUS_BYTES, "big"))
                if not to_the_last:
                    break
    os._exit(0)


def _refuse(error: BaseException) -> None:
    """Tell the spawner why this process cannot become what it should."""
    with contextlib.suppress(OSError):
        os.write(ORDER_DESCRIPTOR, (str(error) or type(error).__name__).encode()[:REASON_BYTES_MAX])
