"""What the kernel's refusals are told as."""

import pytest

from workshape.functions.launch.refused_sandbox import explain

REFUSED = "[Errno 1] unshare: Operation not permitted"
DOCKERS = "CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
ALL = "CapEff:\t000001ffffffffff\n"
EVERYBODY = "         0          0 4294967295\n"
ROOTLESS = "         0       1000          1\n         1     100000      65536\n"


@pytest.mark.parametrize(
    ("refusal", "status", "user_ids", "told"),
    [
        (REFUSED, DOCKERS, EVERYBODY, "root has no CAP_SYS_ADMIN here, as in most containers (unshare: Operation not"),
        (REFUSED, DOCKERS, EVERYBODY, "in Docker: --privileged, or --cap-add=SYS_ADMIN"),
        ("[Errno 22] Invalid argument", ALL, ROOTLESS, "no user ids for environments, from 536870912 on (Invalid arg"),
        ("mount /x: Operation not permitted", ALL, EVERYBODY, "a security profile refuses it: seccomp, AppArmor or S"),
        ("[Errno 28] No space left on device: '/x'", ALL, EVERYBODY, "No space left on device: '/x'"),
        ("the first process of a sandbox was killed", "", "", "the first process of a sandbox was killed"),
    ],
)
def test_a_refusal_names_what_is_missing(refusal: str, status: str, user_ids: str, told: str) -> None:
    explained = explain(refusal, status, user_ids)

    assert told in explained
    assert "Errno" not in explained
