"""What is executed in an environment: AWS's runtime client where it can be had, else ours.

A Python function finds beside its own code what it finds on AWS, and nothing of workshape's: AWS's runtime client
and the SDK, with their dependencies. They are links, in a virtual environment that is made once for each interpreter.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html (runtime-included SDK),
https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html (experimental features that Lambda disables)
"""

import hashlib
import importlib.metadata
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workshape.functions.launch.interpreters import Interpreter, Interpreters
from workshape.functions.model import FunctionVersion

RUNTIME_CLIENT = "awslambdaric"
SDK = "boto3"
_CLIENTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class RuntimeCommand:
    """How a function's runtime is executed."""

    arguments: list[str]
    runtime_folder: str
    """LAMBDA_RUNTIME_DIR."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What this runtime sets beside the variables every runtime has."""


class Runtimes:
    """Knows how to execute each runtime on this machine. `folder` keeps what is made once."""

    def __init__(self, folder: Path, interpreters: Interpreters, notify: Callable[[str], None]) -> None:
        self._folder = folder
        self._interpreters = interpreters
        self._notify = notify
        self._noted: set[str] = set()
        self._python_folders: dict[str, Path] = {}

    async def command(self, function: FunctionVersion) -> RuntimeCommand:
        """Say what to execute for a function.

        Raises:
            InterpreterMissing, RuntimeUnknown: nothing here can run it.
            OSError: the runtime's folder cannot be made.
        """
        if function.runtime.startswith("provided"):
            return RuntimeCommand([str(Path(function.code_folder, "bootstrap"))], str(_CLIENTS))
        interpreter = await self._interpreters.find(function.runtime)
        if interpreter.note and interpreter.note not in self._noted:
            self._noted.add(interpreter.note)
            self._notify(interpreter.note)
        if interpreter.language == "nodejs":
            return _node_command(interpreter, function)
        return self._python_command(interpreter, function)

    def _python_command(self, interpreter: Interpreter, function: FunctionVersion) -> RuntimeCommand:
        if interpreter.path not in self._python_folders:
            self._python_folders[interpreter.path] = make_python_folder(self._folder, interpreter)
        folder = self._python_folders[interpreter.path]
        program = str(folder / "bin" / "python")
        variables = {"PYTHONPYCACHEPREFIX": str(self._folder / "bytecode")}
        if _aws_client_serves(interpreter):
            return RuntimeCommand([program, "-m", RUNTIME_CLIENT, function.handler], str(folder), variables)
        return RuntimeCommand([program, str(_CLIENTS / "runtime_client.py"), function.handler], str(folder), variables)


def make_python_folder(folder: Path, interpreter: Interpreter) -> Path:
    """Make, unless it is there, the virtual environment that functions of one interpreter run in."""
    minor = f"python{interpreter.version[0]}.{interpreter.version[1]}"
    names = [SDK, RUNTIME_CLIENT] if _aws_client_serves(interpreter) else [SDK]
    distributions = _with_dependencies(names)
    described = [interpreter.path, str(interpreter.version)]
    described += [f"{each.name}=={each.version} {each.locate_file('')}" for each in distributions]
    target = folder / f"{minor}-{hashlib.sha256(repr(described).encode()).hexdigest()[:12]}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder, prefix=f"{minor}-"))
    try:
        (unfinished / "bin").mkdir()
        (unfinished / "bin" / "python").symlink_to(interpreter.path)
        home = Path(interpreter.path).parent
        (unfinished / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
        packages = unfinished / "lib" / minor / "site-packages"
        packages.mkdir(parents=True)
        for distribution in distributions:
            _link(distribution, packages)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not target.exists():  # another engine may have made it at the same moment: then its folder serves
            raise
    return target


def _aws_client_serves(interpreter: Interpreter) -> bool:
    """AWS's client has a compiled part, so it serves the Python it was installed for, and no other."""
    if interpreter.version[:2] != sys.version_info[:2]:
        return False
    try:
        importlib.metadata.distribution(RUNTIME_CLIENT)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _with_dependencies(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional part of ours is not installed, or the requirement is for another platform
        needed = [requirement for requirement in distribution.requires or [] if "extra ==" not in requirement]
        wanted += [match[0] for requirement in needed if (match := re.match(r"[A-Za-z0-9._-]+", requirement))]
    return [found[key] for key in sorted(found)]


def _link(distribution: importlib.metadata.Distribution, packages: Path) -> None:
    tops = {Path(file).parts[0] for file in distribution.files or []}
    for top in tops - {"..", "__pycache__"}:
        source = Path(str(distribution.locate_file(top)))
        target = packages / top
        if source.exists() and not target.exists():
            target.symlink_to(source)


def _node_command(interpreter: Interpreter, function: FunctionVersion) -> RuntimeCommand:
    user_options = function.environment.get("NODE_OPTIONS", "")
    options = []
    if "max-old-space-size" not in user_options and "max_old_space_size" not in user_options:
        # As Lambda's own bootstrap does: one tenth of the memory is left to what is not the JavaScript heap.
        options.append(f"--max-old-space-size={function.memory_mb * 9 // 10}")
    for feature, majors in (("require-module", ("20", "22")), ("detect-module", ("22",))):
        known = interpreter.version[0] < 24 and interpreter.version >= (20, 17)
        wanted = re.match(r"nodejs(\d+)", function.runtime)
        if known and wanted and wanted[1] in majors and f"--experimental-{feature}" not in user_options:
            options.append(f"--no-experimental-{feature}")
    arguments = [interpreter.path, *options, str(_CLIENTS / "runtime_client.js"), function.handler]
    return RuntimeCommand(arguments, str(_CLIENTS))
