"""`workshape doctor`, as root, as root without privileges, and as anybody else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from workshape.cli.doctor import Check, examine
from workshape.functions.launch.cgroups import CONTROLLERS

SANDBOX_PARTS = ("namespaces of its own", "read-only root", "private /tmp", "user of its own", "seccomp")
DOCKERS = (
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,"
    "+mknod,+audit_write,+setfcap"
)
"""Source: https://docs.docker.com/engine/containers/run/ (the capabilities that a container has)"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no namespaces to speak of")


def by_part(checks: Sequence[Check]) -> dict[str, tuple[bool, str]]:
    return {check.part: (check.holds, check.detail) for check in checks}


def doctor(*before: str) -> dict[str, tuple[bool, str]]:
    done = subprocess.run(
        [*before, sys.executable, "-m", "workshape", "doctor", "--json"], capture_output=True, text=True, check=True
    )
    return by_part([Check(**each) for each in json.loads(done.stdout)])


async def test_whoever_is_not_root_is_told_once_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)

    told = by_part(await examine())

    assert told["sandbox"] == (False, "only root may make one (sudo)")
    assert {told[part] for part in SANDBOX_PARTS} == {(False, "takes the sandbox")}
    assert told["ephemeral storage on disk"] == (False, "takes the sandbox; without, /tmp is this machine's")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="takes root, and setpriv (util-linux)")
def test_root_in_a_container_is_told_which_privilege_is_missing() -> None:
    holds, why = doctor("setpriv", f"--bounding-set={DOCKERS}", "--inh-caps=-all")["sandbox"]

    assert not holds
    assert why.startswith("root has no CAP_SYS_ADMIN here, as in most containers (unshare: Operation not permitted)")
    assert "--cap-add=SYS_ADMIN" in why


def test_what_a_limit_lacks_is_told_with_what_is_there_instead() -> None:
    told = doctor()

    for controller in CONTROLLERS:
        holds, detail = told[controller]
        assert holds or ": " in detail
        assert "Errno" not in detail
    for part in SANDBOX_PARTS:
        assert told[part][0] == told["sandbox"][0]


@pytest.mark.usefixtures("needs_sandbox")
def test_files_that_are_made_for_their_owner_alone_are_no_obstacle() -> None:
    told = doctor("sh", "-c", 'umask 077; exec "$@"', "sh")

    assert told["sandbox"] == (True, "each environment has one: what follows")
