"""The tools that build functions: where they are, and how they are run."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from workshape.errors import PlatformError
from workshape.functions.launch.interpreters import Interpreter
from workshape.functions.launch.process_tree import send_group_signal

RUN_S_MAX = 900.0
"""npm and pip download at the network's pace; what takes a quarter of an hour hangs."""
OUTPUT_CHARS_MAX = 4_000
"""Of a failed tool's output, its end is shown."""
ESBUILD = "esbuild@^0.28.0"
"""What npx fetches for an app that has no esbuild of its own."""


class BuildFailed(PlatformError):
    """The code of {function} could not be built: {reason}"""

    function: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, with the arguments that make it the tool."""

    name: str
    command: Sequence[str]
    path_folder: str = ""
    """Goes first on the tool's PATH: scripts of npm's call `node`, and must find the right one."""

    async def run(self, arguments: Sequence[str], *, function: str, folder: Path, file: Path, remedy: str) -> None:
        """Run the tool in a folder.

        Raises:
            BuildFailed: it could not be executed, took too long, or failed.
        """
        variables = dict(os.environ)
        if self.path_folder:
            variables["PATH"] = os.pathsep.join([self.path_folder, variables.get("PATH", os.defpath)])
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                *arguments,
                cwd=folder,
                env=variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise BuildFailed(function=function, reason=f"{self.name} could not be executed: {error}") from error
        try:
            async with asyncio.timeout(RUN_S_MAX):
                output, _ = await process.communicate()
        except TimeoutError as error:
            reason = f"{self.name} was still at {file} after {RUN_S_MAX:.0f} s"
            raise BuildFailed(function=function, reason=reason) from error
        finally:
            if process.returncode is None:
                send_group_signal(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            words = output.decode(errors="replace").strip()[-OUTPUT_CHARS_MAX:]
            reason = f"{self.name} failed on {file} (exit status {process.returncode}); {remedy}.\n{words}"
            raise BuildFailed(function=function, reason=reason)


def find_npm(function: str, node: Interpreter) -> Tool:
    """Find the npm that came with a Node.js, or else one on PATH.

    Raises:
        BuildFailed: there is none.
    """
    return _npm_script(function, node, "npm")


def find_esbuild(function: str, code: Path, node: Interpreter) -> Tool:
    """Find the app's own esbuild, as Node.js would look for it, or else npx to fetch one.

    Raises:
        BuildFailed: there is neither.
    """
    node_folder = str(Path(node.path).parent)
    for folder in (code, *code.parents):
        program = folder / "node_modules" / ".bin" / "esbuild"
        if program.exists():
            return Tool("esbuild", [str(program)], path_folder=node_folder)
    npx = _npm_script(function, node, "npx")
    return Tool("esbuild (by npx)", [*npx.command, "--yes", ESBUILD], path_folder=node_folder)


def find_installer(python: Interpreter) -> Tool:
    """Find what installs Python packages for an interpreter: uv where there is one, else the pip beside workshape.

    Interpreters of Debian and Ubuntu have no pip of their own. Theirs serves where workshape has none.
    Source: https://pip.pypa.io/en/stable/topics/python-option/ (managing a different Python interpreter)
    """
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv:
        # As pip does by itself: else a crowd of first environments would each compile the same packages.
        return Tool("uv", [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python.path])
    pip = [sys.executable, "-m", "pip", "--python", python.path] if find_spec("pip") else [python.path, "-m", "pip"]
    return Tool("pip", [*pip, "install", "--quiet", "--disable-pip-version-check"])


def _npm_script(function: str, node: Interpreter, name: str) -> Tool:
    folder = Path(node.path).resolve().parent
    script = folder.parent / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js"
    if script.exists():
        return Tool(name, [node.path, str(script)], path_folder=str(folder))
    program = shutil.which(name)
    if program is None:
        reason = f"there is no {name} beside {node.path} nor on PATH; install Node.js with npm, or workshape[node]"
        raise BuildFailed(function=function, reason=reason)
    return Tool(name, [program], path_folder=str(folder))
