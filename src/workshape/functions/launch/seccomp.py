"""Which system calls a function may not make: what reaches past its sandbox, or the kernel's rarely walked parts.

A list of what is forbidden, not of what is allowed: functions are arbitrary programs, and one that works on Lambda must
work here. A forbidden call answers EPERM, as it does on Lambda to a process without capabilities; `clone3` answers
ENOSYS, so that the C library falls back to `clone`, whose flags a filter can read. Sockets are the exception: a few
families are all that a function has on Lambda, and others lead past the network, such as to the machine's hypervisor
(AF_VSOCK), or into modules that the kernel loads for who asks. What is none of them answers EAFNOSUPPORT.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import os
import struct

from workshape.functions.launch.linux import (
    CLONE_NEW_ANY,
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
)

COPY_NAMESPACES = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS
"""Of a copy of a snapshot (`copying.py`): asked for in one call, so that a filter can know it by its flags."""

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: by this one libraries ask for addresses
_CLONE3 = 435  # numbers from 424 on are the same on every architecture
_FORBIDDEN_X86_64 = {
    "acct": 163,
    "add_key": 248,
    "bpf": 321,
    "chroot": 161,
    "delete_module": 176,
    "finit_module": 313,
    "init_module": 175,
    "ioperm": 173,
    "iopl": 172,
    "kcmp": 312,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "lookup_dcookie": 212,
    "mount": 165,
    "move_pages": 279,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "perf_event_open": 298,
    "pivot_root": 155,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "ptrace": 101,
    "quotactl": 179,
    "reboot": 169,
    "request_key": 249,
    "setdomainname": 171,
    "sethostname": 170,
    "setns": 308,
    "settimeofday": 164,
    "swapoff": 168,
    "swapon": 167,
    "syslog": 103,
    "umount2": 166,
    "unshare": 272,
    "userfaultfd": 323,
    "vhangup": 153,
}
_FORBIDDEN_AARCH64 = {
    "acct": 89,
    "add_key": 217,
    "bpf": 280,
    "chroot": 51,
    "delete_module": 106,
    "finit_module": 273,
    "init_module": 105,
    "kcmp": 272,
    "kexec_file_load": 294,
    "kexec_load": 104,
    "keyctl": 219,
    "lookup_dcookie": 18,
    "mount": 40,
    "move_pages": 239,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "perf_event_open": 241,
    "pivot_root": 41,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "ptrace": 117,
    "quotactl": 60,
    "reboot": 142,
    "request_key": 218,
    "setdomainname": 162,
    "sethostname": 161,
    "setns": 268,
    "settimeofday": 170,
    "swapoff": 225,
    "swapon": 224,
    "syslog": 116,
    "umount2": 39,
    "unshare": 97,
    "userfaultfd": 282,
    "vhangup": 58,
}
_FORBIDDEN_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}

_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_AT_LEAST = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE, _OFFSET_FIRST_ARGUMENT = 0, 4, 16
_X32_CALLS_FROM = 0x40000000  # x86-64's second set of numbers for the same calls
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97


def available() -> bool:
    """Tell whether there is a filter for this machine."""
    return os.uname().machine in _AUDIT_ARCH


def filter_program(machine: str, *, may_copy: bool = False) -> bytes:
    """Write the filter for a machine as `uname -m` calls it; empty where we have no list for it.

    `may_copy`: what `COPY_NAMESPACES` names may be asked for, all of it at once; the kernel gives it only to who has
    the capability for it.
    """
    if machine not in _AUDIT_ARCH:
        return b""
    own = _FORBIDDEN_X86_64 if machine == "x86_64" else _FORBIDDEN_AARCH64
    unshare = own["unshare"]
    forbidden = sorted({*own.values(), *_FORBIDDEN_EVERYWHERE.values()} - ({unshare} if may_copy else set()))
    # After the last comparison: allow, then the clone check (3 instructions), then ENOSYS, then EPERM, then the check
    # of unshare (4 instructions; without `may_copy` nothing leads there), then that of a socket's family.
    allow = 9 + len(forbidden)
    clone, no_such_call, refuse, copy, family = allow + 1, allow + 4, allow + 5, allow + 6, allow + 10
    program = [
        _instruction(_LOAD_WORD, 0, 0, _OFFSET_ARCHITECTURE),
        _instruction(_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        _instruction(_RETURN, 0, 0, _KILL_PROCESS),  # another architecture's numbers would pass for other calls
        _instruction(_LOAD_WORD, 0, 0, _OFFSET_NUMBER),
        _instruction(_JUMP_AT_LEAST, refuse - 5, 0, _X32_CALLS_FROM),
        _instruction(_JUMP_EQUAL, clone - 6, 0, _CLONE[machine]),
        _instruction(_JUMP_EQUAL, no_such_call - 7, 0, _CLONE3),
        _instruction(_JUMP_EQUAL, (copy if may_copy else refuse) - 8, 0, unshare),
        _instruction(_JUMP_EQUAL, family - 9, 0, _SOCKET[machine]),
    ]
    program += [
        _instruction(_JUMP_EQUAL, refuse - (10 + position), 0, number) for position, number in enumerate(forbidden)
    ]
    program += [
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_LOAD_WORD, 0, 0, _OFFSET_FIRST_ARGUMENT),
        _instruction(_JUMP_ANY_BIT, 2, 0, CLONE_NEW_ANY),
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_RETURN, 0, 0, _ERRNO | _ENOSYS),
        _instruction(_RETURN, 0, 0, _ERRNO | _EPERM),
        _instruction(_LOAD_WORD, 0, 0, _OFFSET_FIRST_ARGUMENT),
        _instruction(_JUMP_EQUAL, 0, 1, COPY_NAMESPACES),
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_RETURN, 0, 0, _ERRNO | _EPERM),
        _instruction(_LOAD_WORD, 0, 0, _OFFSET_FIRST_ARGUMENT),
        *(_instruction(_JUMP_EQUAL, len(_FAMILIES) - at, 0, each) for at, each in enumerate(_FAMILIES)),
        _instruction(_RETURN, 0, 0, _ERRNO | _EAFNOSUPPORT),
        _instruction(_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(program)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
