"""A machine that refuses user namespaces, and a function with SnapStart on it: prints what comes of it.

python -m tests.fakes.snap_started_program FOLDER
"""

import asyncio
import os
import struct
import sys
from pathlib import Path

from tests.fakes.live_functions import live_functions
from workshape.functions.launch import linux

UNSHARE = {"x86_64": 272, "aarch64": 97}
NUMBER_AT, ARGUMENT_AT = 0, 16  # in what a filter sees
LOAD, JUMP_EQUAL, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # with EPERM
HANDLER = "def handler(event, context): return 'served'"


def refuse_user_namespaces() -> None:
    """Have every process from here on refused what a hardened machine refuses.

    Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
    """
    instructions = [
        (LOAD, 0, 0, NUMBER_AT),
        (JUMP_EQUAL, 0, 3, UNSHARE[os.uname().machine]),
        (LOAD, 0, 0, ARGUMENT_AT),
        (JUMP_ANY_BIT, 0, 1, linux.CLONE_NEWUSER),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    linux.set_seccomp_filter(b"".join(struct.pack("=HBBI", *each) for each in instructions))


async def play(folder: Path) -> None:
    """Publish a version with SnapStart, and invoke it."""
    async with live_functions(folder) as live:
        settings = {"Runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}}
        await live.create("f", {"index.py": HANDLER}, **settings, Publish=True)
        told = await live.until_snapshot("f")
        answer = await live.invoke("f", "1", b"{}", "api")
        sys.stdout.write(f"{told['State']} {answer.payload.decode()}\n")


if __name__ == "__main__":
    if "refuse" in sys.argv:
        refuse_user_namespaces()
    asyncio.run(play(Path(sys.argv[1])))
