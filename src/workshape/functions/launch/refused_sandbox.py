"""Why a machine lets environments have no sandbox, in words that name what is missing and how to get it."""

import errno
import os
import re

from workshape.functions.launch.linux import CAP_SYS_ADMIN
from workshape.functions.launch.users import USERS_FROM

NOT_ROOT = "only root may make one (sudo)"
_REMEDY = "in Docker: --privileged, or --cap-add=SYS_ADMIN --security-opt=apparmor=unconfined"
"""Source: https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities,
https://docs.docker.com/engine/security/apparmor/
"""


def explain(refusal: str, status: str, user_ids: str) -> str:
    """Say why root was refused one.

    `refusal` is what the kernel said; `status` and `user_ids` are the texts of /proc/self/status and
    /proc/self/uid_map.

    Source: https://man7.org/linux/man-pages/man7/capabilities.7.html,
    https://man7.org/linux/man-pages/man7/user_namespaces.7.html (uid_map)
    """
    said = re.sub(r"^\[Errno \d+\] ", "", refusal)
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    if effective is not None and not int(effective[1], 16) >> CAP_SYS_ADMIN & 1:
        return f"root has no CAP_SYS_ADMIN here, as in most containers ({said}); {_REMEDY}"
    ranges = [(int(first), int(count)) for first, _, count in map(str.split, user_ids.splitlines())]
    if ranges and not any(first <= USERS_FROM < first + count for first, count in ranges):
        return f"the user namespace it is in has no user ids for environments, from {USERS_FROM} on ({said})"
    if said.endswith((os.strerror(errno.EPERM), os.strerror(errno.EACCES))):
        return f"a security profile refuses it: seccomp, AppArmor or SELinux ({said}); {_REMEDY}"
    return said
