"""What is executed in an environment: AWS's runtime client where it can be had, else ours.

A Python function finds beside its own code what it finds on AWS, and nothing of workshape's: AWS's runtime client
and the SDK, with their dependencies. They are links, in a virtual environment that is made once for each interpreter.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html (runtime-included SDK),
https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html (experimental features that Lambda disables)
"""

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from workshape.functions.images.model import ImageProcess
from workshape.functions.launch.bytecode import Bytecode
from workshape.functions.launch.extensions import extension_names
from workshape.functions.launch.interpreters import Interpreter, Interpreters
from workshape.functions.launch.sandbox import CLIENTS as CLIENTS_SHOWN
from workshape.functions.launch.sandbox import LANGUAGES, LAYERS, RUNTIME, TASK
from workshape.functions.launch.stem import WRAPPER
from workshape.functions.model import FunctionVersion

RUNTIME_CLIENT = "awslambdaric"
SDK = "boto3"
CLIENTS = Path(__file__).parent
"""Where our own runtime clients are."""
_IMAGE_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Visible:
    """What must be visible to a runtime in a sandbox: a host's path without symbolic links, and where it is shown."""

    path: str
    at: str = ""
    """Empty: where it is."""


@dataclass(frozen=True, slots=True)
class RuntimePlan:
    """How a function's runtime is started.

    In `arguments` and `boot`, `{task}` stands for the function's code, `{runtime}` for the runtime's folder, `{home}`
    for the interpreter's and `{client}` for that of our own clients: where they are depends on the sandbox.
    """

    arguments: tuple[str, ...]
    """The program to execute, where no stem takes its place."""
    boot: tuple[str, ...] = ()
    """For a runtime that starts ahead by itself (Node.js): its program."""
    interpreter: str = ""
    """For a runtime that is loaded before forking (Python): the program whose spawner does that."""
    folder: str = str(CLIENTS)
    """The runtime's folder, on the host."""
    home: Visible = Visible("")
    show: tuple[Visible, ...] = ()
    """What a sandbox shows beside the system's own folders."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What this runtime sets beside the variables every runtime has, where there is no sandbox."""
    library: str = ""
    """`python3.12`, for Python."""
    node_major: int = 0
    """22, for Node.js 22."""
    why_no_sandbox: str = ""
    is_custom: bool = False
    """It is a program called bootstrap, which the function or one of its layers brings."""
    frames_logs: bool = False
    """Its client frames what is one event of a log, however many lines it has: see `output.py`."""

    @property
    def in_stem(self) -> bool:
        """Its process is there before the function is known."""
        return bool(self.interpreter or self.boot)


class Runtimes:
    """Knows how to start each runtime on this machine. `folder` keeps what is made once."""

    def __init__(
        self, folder: Path, interpreters: Interpreters, notify: Callable[[str], None], *, stems: bool = True
    ) -> None:
        """Without `stems` every runtime is executed, as on a machine that has nothing ready."""
        self._folder = folder
        self._interpreters = interpreters
        self._notify = notify
        self._stems = stems
        self._noted: set[str] = set()
        self._python_folders: dict[str, Path] = {}
        self._python_packages = tuple(_python_packages())
        self._bytecode = Bytecode()

    async def close(self) -> None:
        """End what is still being made ready."""
        await self._bytecode.close()

    async def plan(self, function: FunctionVersion) -> RuntimePlan:
        """Say how to start a function's runtime.

        Raises:
            InterpreterMissing, RuntimeUnknown: nothing here can run it.
            OSError: the runtime's folder cannot be made, or an image is none for this machine.
        """
        if function.image is not None:
            return _image_plan(function.image)
        if function.runtime.startswith("provided"):
            return RuntimePlan(("{task}/bootstrap",), is_custom=True)
        interpreter = await self._interpreters.find(function.runtime)
        if interpreter.note and interpreter.note not in self._noted:
            self._noted.add(interpreter.note)
            self._notify(interpreter.note)
        stems = self._stems and not any(_is_read_at_start(name) for name in function.environment)
        # With external extensions, the process that waits becomes their supervisor: what has started cannot.
        stems = stems and not extension_names(function.opt_folder)
        if interpreter.language == "nodejs":
            plan = _node_plan(interpreter, function, stems=stems)
        else:
            plan = self._python_plan(interpreter, function, stems=stems)
            self._bytecode.want(interpreter, [shown.path for shown in self._python_packages])
        wrapper = function.environment.get(WRAPPER)
        return replace(plan, arguments=(wrapper, *plan.arguments)) if wrapper else plan

    def _python_plan(self, interpreter: Interpreter, function: FunctionVersion, *, stems: bool) -> RuntimePlan:
        if interpreter.path not in self._python_folders:
            self._python_folders[interpreter.path] = make_python_folder(self._folder, interpreter)
        folder = self._python_folders[interpreter.path]
        program = os.path.realpath(interpreter.path)
        prefix = os.path.dirname(os.path.dirname(program))
        client = ("-m", RUNTIME_CLIENT) if _aws_client_serves(interpreter) else ("-u", "{client}/runtime_client.py")
        library = f"python{interpreter.version[0]}.{interpreter.version[1]}"
        return RuntimePlan(
            ("{home}/bin/python", *client, function.handler),
            interpreter=program if stems and _aws_client_is_here() else "",
            folder=str(folder / "lib" / library / "site-packages"),
            home=Visible(os.path.realpath(folder), f"{LANGUAGES}/{folder.name}"),
            show=(Visible(prefix), *self._python_packages, *_OWN_CLIENTS),
            variables={"PYTHONPYCACHEPREFIX": str(self._folder / "bytecode")},
            library=library,
            frames_logs=True,
            why_no_sandbox=_why_hidden(prefix),
        )


def _image_plan(image: ImageProcess) -> RuntimePlan:
    machine = platform.machine()
    if image.architecture not in (machine, _IMAGE_ARCHITECTURES.get(machine)):
        raise OSError(f"the image is for {image.architecture} processors, and this machine's is {machine}")
    if not image.arguments:
        raise OSError("the image has neither ENTRYPOINT nor CMD, and the function's ImageConfig does not give them")
    return RuntimePlan(tuple(image.arguments))


_OWN_CLIENTS = tuple(
    Visible(os.path.realpath(CLIENTS / name), f"{CLIENTS_SHOWN}/{name}")
    for name in ("runtime_client.py", "runtime_client.js", "response_stream.js", "rehearsal.js")
)
_TAKEN = (LAYERS, TASK, RUNTIME, "/tmp", "/proc", "/dev")  # noqa: S108 - a place in a sandbox, not one we write to
_READ_AT_START = ("PYTHON", "NODE_", "LD_", "LC_", "MALLOC_")


def _is_read_at_start(name: str) -> bool:
    """Tell whether an interpreter looks at a variable as it starts: what has started already would miss it."""
    return name.startswith(_READ_AT_START) or name in ("LANG", WRAPPER)


def _why_hidden(prefix: str) -> str:
    """Say why an interpreter cannot be seen in a sandbox; its folder's name is part of it, so it cannot be moved."""
    place = next((place for place in _TAKEN if prefix == place or prefix.startswith(f"{place}/")), None)
    return f"the interpreter is in {prefix}, and {place} is the function's own in a sandbox" if place else ""


def _python_packages() -> Iterator[Visible]:
    """List what a Python function finds beside its code, one by one: nothing else of workshape's may be seen."""
    for distribution in _with_dependencies([SDK, RUNTIME_CLIENT]):
        for top in _tops(distribution):
            path = os.path.realpath(str(distribution.locate_file(top)))
            if os.path.exists(path):
                yield Visible(path, f"{RUNTIME}/{top}")


def make_python_folder(folder: Path, interpreter: Interpreter) -> Path:
    """Make, unless it is there, the virtual environment that functions of one interpreter run in."""
    minor = f"python{interpreter.version[0]}.{interpreter.version[1]}"
    distributions = _with_dependencies([SDK, RUNTIME_CLIENT])
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
    """AWS's client has a compiled part, so by itself it serves the Python it was installed for, and no other."""
    return interpreter.version[:2] == sys.version_info[:2] and _aws_client_is_here()


def _aws_client_is_here() -> bool:
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
    for top in _tops(distribution):
        source = Path(str(distribution.locate_file(top)))
        target = packages / top
        if source.exists() and not target.exists():
            target.symlink_to(source)


def _tops(distribution: importlib.metadata.Distribution) -> set[str]:
    return {Path(file).parts[0] for file in distribution.files or []} - {"..", "__pycache__"}


def _node_plan(interpreter: Interpreter, function: FunctionVersion, *, stems: bool) -> RuntimePlan:
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
    program = os.path.realpath(interpreter.path)
    prefix = os.path.dirname(os.path.dirname(program))
    boot = ("{home}/bin/node", *options, "{client}/runtime_client.js")
    return RuntimePlan(
        (*boot, function.handler),
        boot=boot if stems else (),
        home=Visible(prefix, f"{LANGUAGES}/node-{'.'.join(map(str, interpreter.version))}"),
        show=_OWN_CLIENTS,
        frames_logs=True,
        node_major=interpreter.version[0],
    )
