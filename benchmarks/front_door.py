"""A whole engine in a process of its own, as `workshape up` runs it, without the parts beside it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workshape.app.toml import APP_FILE_NAME, load_app
from workshape.cli.ports import free_ports
from workshape.run import RunFile, StateFolder, mark_process, write_run_file

START_S_MAX = 60.0
STOP_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where it listens, and what to look at meanwhile."""

    port: int
    """The front door's."""
    http: int
    """The app's own HTTP API's, if it has one."""
    pid: int


@asynccontextmanager
async def front_door(folder: Path, app: str) -> AsyncIterator[Served]:
    """Serve an app file's text, in which PORT stands for the front door's port, HTTP_PORT for its HTTP API's."""
    port, http = free_ports("127.0.0.1", 2)
    (folder / APP_FILE_NAME).write_text(app.replace("HTTP_PORT", str(http)).replace("PORT", str(port)))
    loaded, settings = load_app(folder)
    state = StateFolder.of(folder)
    state.make()
    write_run_file(
        RunFile(
            folder=str(folder),
            state_folder=str(state.root),
            settings=settings,
            supervisor=mark_process("benchmark", os.getpid()),
            app_file=str(folder / APP_FILE_NAME),
            builds={function.name: function.code for function in loaded.functions},
        )
    )
    with (folder / "engine.log").open("wb") as log:
        engine = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workshape.serve.engine", str(state.run_file), stdout=log, stderr=log
        )
    try:
        await answers(port, "/_workshape/health")
        yield Served(port, http, engine.pid)
    finally:
        engine.terminate()
        async with asyncio.timeout(STOP_S_MAX):
            await engine.wait()


async def answers(port: int, path: str) -> None:
    """Wait until a server answers that it is well."""
    async with asyncio.timeout(START_S_MAX):
        while not await _is_well(port, path):
            await asyncio.sleep(0.05)


async def _is_well(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")
