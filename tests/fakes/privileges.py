"""What this machine lets the tests do: tried once, and told where a test is skipped for it."""

import asyncio
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.launch.user_namespaces import why_no_user_namespaces
from workshape.settings import FunctionSettings

NOBODY = 65_534


@cache
def why_no_sandbox() -> str:
    """Say why functions have none; empty: they have."""

    async def ask() -> str:
        with tempfile.TemporaryDirectory() as folder:
            launcher = ProcessLauncher(Path(folder), FunctionSettings())
            try:
                return await launcher.why_no_sandbox()
            finally:
                await launcher.close()

    with ThreadPoolExecutor(1) as thread:  # the test may have an event loop
        return thread.submit(asyncio.run, ask()).result()


@cache
def why_no_copies() -> str:
    """Say why environments are not copied of snapshots; empty: they are."""
    return why_no_sandbox() or why_no_user_namespaces()


@cache
def why_no_other_users() -> str:
    """Say why a process of the tests may not become somebody else; empty: it may."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root can become somebody else"
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os._exit(0)
        finally:
            os._exit(1)
    return "root may not become somebody else here" if os.waitpid(pid, 0)[1] else ""
