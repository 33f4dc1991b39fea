"""The first instructions of every child: leave root, arrange to die with the supervisor, become the program.

Run as a script by `process.py` (`python -I -S shim.py PARENT SIGNAL USER GROUP -- program arguments...`), so that
nothing of ours runs between fork and exec in the supervisor itself, and nothing but the standard library is loaded.
Exit status 127: the program could not be started; the reason is on stderr.

Source: https://man7.org/linux/man-pages/man2/prctl.2.html (PR_SET_PDEATHSIG, PR_CAP_AMBIENT),
https://man7.org/linux/man-pages/man7/capabilities.7.html
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_GET_SECUREBITS, PR_SET_SECUREBITS = 27, 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_SETPCAP = 8
LINUX_CAPABILITY_VERSION_3 = 0x20080522
NOT_STARTED = 127  # what a shell answers for a command it cannot run


def main(arguments: list[str]) -> None:
    """Do as the arguments say and never return."""
    split = arguments.index("--")
    parent, death_signal, user, group = (int(argument) for argument in arguments[:split])
    program = arguments[split + 1 :]
    if user >= 0:
        _become(user, group, program[0])
    _die_with_parent(parent, death_signal)  # after the user: a change of user clears it
    try:
        os.execv(program[0], program)  # noqa: S606 - becoming the program, without a shell, is the point
    except OSError as error:
        sys.stderr.write(f"{program[0]} cannot be started: {error.strerror}\n")
        os._exit(NOT_STARTED)


def _die_with_parent(parent: int, death_signal: int) -> None:
    if sys.platform != "linux":
        return
    _libc().prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)


def _become(user: int, group: int, program: str) -> None:
    """Give up root for good; keep the right to walk through folders closed to others only if that is needed."""
    try:
        os.setgroups([])
        os.setgid(group)
        kept = sys.platform == "linux" and _libc().prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
        os.setuid(user)
    except OSError as error:
        sys.stderr.write(f"root here may not become user {user} ({error.strerror}); run as an ordinary user\n")
        os._exit(NOT_STARTED)
    needed = (program, os.getcwd())
    if _reachable(needed) or (kept and _keep_passage(needed)):
        return
    sys.stderr.write(
        f"user {user} may not enter the folders of {program} and {os.getcwd()}; "
        "run as an ordinary user, or keep the project where others may enter\n"
    )
    os._exit(NOT_STARTED)


def _reachable(paths: Sequence[str]) -> bool:
    return all(os.access(path, os.X_OK, effective_ids=True) for path in paths)


def _keep_passage(paths: Sequence[str]) -> bool:
    """Keep the least capability that opens the paths, across exec; tell whether there was one to keep."""
    libc = _libc()
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: the low words first, then the high ones
    if libc.capget(header, held) != 0:
        return False
    permitted = held[1] & (1 << CAP_DAC_READ_SEARCH | 1 << CAP_DAC_OVERRIDE)
    _count_in_access(libc, header, held[1])
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):  # containers often hold only the second
        bit = 1 << capability
        if not permitted & bit:
            continue
        wanted = (ctypes.c_uint32 * 6)(bit, permitted, permitted, 0, 0, 0)
        if libc.capset(header, wanted) != 0 or not _reachable(paths):
            continue
        return bool(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0)
    return False


def _count_in_access(libc: ctypes.CDLL, header: object, permitted: int) -> None:
    """Have access(2) count what is kept, as everything else does: PostgreSQL's programs ask it for each other.

    Where that cannot be had, they say themselves what they may not enter.
    """
    setting = 1 << CAP_SETPCAP
    if permitted & setting and libc.capset(header, (ctypes.c_uint32 * 6)(setting, permitted, 0, 0, 0, 0)) == 0:
        libc.prctl(PR_SET_SECUREBITS, libc.prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) | SECBIT_NO_SETUID_FIXUP, 0, 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    main(sys.argv[1:])
