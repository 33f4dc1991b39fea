"""Compiles, once, what Python functions find beside their code, for each Python that is not workshape's own.

Installing compiles for the Python that installs. Another one would compile the SDK anew in every environment, which
must not write what it has compiled: half a second of each cold start.

Source: https://docs.python.org/3/library/compileall.html
"""

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence

from workshape.functions.launch.interpreters import Interpreter

_log = logging.getLogger(__name__)


class Bytecode:
    """Compiles in the background, one Python after the other. What is compiled already costs a look at its time."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._compiling: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(1)  # functions need the processors more

    def __repr__(self) -> str:
        return f"<Bytecode begun={len(self._begun)} compiling={len(self._compiling)}>"

    def want(self, interpreter: Interpreter, paths: Sequence[str]) -> None:
        """Have modules and packages compiled for this Python, unless it is workshape's own or they have been."""
        if interpreter.version[:2] == sys.version_info[:2] or interpreter.path in self._begun:
            return
        self._begun.add(interpreter.path)
        task = asyncio.get_running_loop().create_task(self._compile(interpreter, paths), name="bytecode")
        self._compiling.add(task)
        task.add_done_callback(self._compiling.discard)

    async def finish(self) -> None:
        """Wait until all that is wanted by now is compiled."""
        await asyncio.gather(*self._compiling)

    async def close(self) -> None:
        """Stop; what is missing is compiled by the next one."""
        for task in self._compiling:
            task.cancel()
        await asyncio.gather(*self._compiling, return_exceptions=True)

    async def _compile(self, interpreter: Interpreter, paths: Sequence[str]) -> None:
        async with self._turn:
            command = ("nice", interpreter.path, "-m", "compileall", "-q", *paths)
            try:
                process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
            except OSError as error:
                _log.warning("bytecode_not_made", extra={"interpreter": interpreter.path, "reason": str(error)})
                return
            try:
                status = await process.wait()
            except asyncio.CancelledError:
                await _end(process)
                raise
        if status:
            # A folder that cannot be written, most likely: then each environment compiles for itself, as before.
            reason = f"compileall ended with status {status}"
            _log.warning("bytecode_not_made", extra={"interpreter": interpreter.path, "reason": reason})


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
