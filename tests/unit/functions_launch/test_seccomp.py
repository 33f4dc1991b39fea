"""The filter of system calls, run by a small interpreter of the kernel's BPF."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.launch import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE = 0x00050000 | errno.EPERM
NO_SUCH_CALL = 0x00050000 | errno.ENOSYS
CLONE = {"x86_64": 56, "aarch64": 220}


def judge(
    machine: str, number: int, argument: int = 0, architecture: int | None = None, *, may_copy: bool = False
) -> int:
    """Return what the filter says to a system call."""
    written = seccomp.filter_program(machine, may_copy=may_copy)
    program = [struct.unpack_from("HBBI", written, at) for at in range(0, len(written), 8)]
    data = {0: number, 4: architecture or ARCHITECTURES[machine], 16: argument & 0xFFFFFFFF}
    position, loaded = 0, 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            loaded = data[value]
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            position += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "calls"),
    [
        ("x86_64", {"mount": 165, "ptrace": 101, "unshare": 272, "bpf": 321, "setns": 308}),
        ("aarch64", {"mount": 40, "ptrace": 117, "unshare": 97, "bpf": 280, "setns": 268}),
    ],
)
def test_what_reaches_out_of_a_sandbox_is_refused(machine: str, calls: dict[str, int]) -> None:
    assert {name: judge(machine, number) for name, number in calls.items()} == dict.fromkeys(calls, REFUSE)
    assert judge(machine, 442) == REFUSE, "mount_setattr"
    assert judge(machine, 438) == REFUSE, "pidfd_getfd: what ptrace may, by another name"


@pytest.mark.parametrize(
    ("machine", "calls"),
    [
        ("x86_64", {"read": 0, "execve": 59, "futex": 202, "openat": 257}),
        ("aarch64", {"read": 63, "execve": 221, "futex": 98, "openat": 56}),
    ],
)
def test_what_every_program_does_is_allowed(machine: str, calls: dict[str, int]) -> None:
    assert {name: judge(machine, number) for name, number in calls.items()} == dict.fromkeys(calls, ALLOW)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_clone_starts_threads_and_processes_but_no_namespaces(machine: str) -> None:
    threads = 0x003D0F00
    assert judge(machine, CLONE[machine], threads) == ALLOW
    assert judge(machine, CLONE[machine], 17) == ALLOW
    for namespace in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert judge(machine, CLONE[machine], namespace | 17) == REFUSE
    assert judge(machine, 435) == NO_SUCH_CALL, "clone3: its flags cannot be read"


@given(st.integers(0, 0xFFFFFFFF))
def test_a_socket_is_of_the_network_of_a_path_or_of_the_kernels_own_answers(family: int) -> None:
    for machine, call in {"x86_64": 41, "aarch64": 198}.items():
        for asked in (family, 1, 2, 10, 16, 40):
            expected = ALLOW if asked in (1, 2, 10, 16) else 0x00050000 | errno.EAFNOSUPPORT
            assert judge(machine, call, asked) == judge(machine, call, asked, may_copy=True) == expected


@given(st.integers(0, 600))
def test_another_architectures_numbers_end_the_process(number: int) -> None:
    assert judge("x86_64", number, architecture=0x40000003) == KILL
    assert judge("x86_64", number | 0x40000000) == REFUSE


@given(st.integers(0, 0xFFFFFFFF))
def test_what_is_copied_may_ask_for_the_namespaces_of_a_copy_and_for_no_others(flags: int) -> None:
    for machine, unshare in {"x86_64": 272, "aarch64": 97}.items():
        allowed = flags == seccomp.COPY_NAMESPACES
        assert judge(machine, unshare, flags, may_copy=True) == (ALLOW if allowed else REFUSE)
        assert judge(machine, unshare, seccomp.COPY_NAMESPACES, may_copy=True) == ALLOW
        assert judge(machine, unshare, seccomp.COPY_NAMESPACES) == REFUSE


@given(st.integers(0, 600), st.integers(0, 0xFFFFFFFF))
def test_all_else_is_as_for_any_environment(number: int, argument: int) -> None:
    for machine, unshare in {"x86_64": 272, "aarch64": 97}.items():
        if number != unshare:
            assert judge(machine, number, argument, may_copy=True) == judge(machine, number, argument)


def test_a_machine_without_a_list_has_no_filter() -> None:
    assert seccomp.filter_program("riscv64") == b""
