"""Programs to put into images: a static one that speaks the Runtime API, and this machine's own."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.fakes.images import BuiltImage, file, folder, layer, link

COMPILER = shutil.which("gcc") or shutil.which("cc")
_LEFT_OUT = {
    "__pycache__",
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "tkinter",
    "ensurepip",
    "turtledemo",
    "pydoc_data",
    "distutils",
    "unittest",
    "sqlite3",
    "dbm",
    "curses",
    "xmlrpc",
    "wsgiref",
    "venv",
    "xml",
}
_STATIC = Path(__file__).with_name("static_runtime.c")


def static_runtime(work: Path) -> bytes:
    """Compile the program of `static_runtime.c`; it needs nothing of its image."""
    assert COMPILER is not None
    output = work / "runtime"
    subprocess.run([COMPILER, "-D_GNU_SOURCE", "-static", "-O1", "-o", str(output), str(_STATIC)], check=True)
    return output.read_bytes()


def program_layer(*programs: str) -> bytes:
    """Make a layer of programs of this machine, at their places, with the libraries they need."""
    return layer(*_entries({*programs, *_libraries(programs)}))


def python_layer(*packages: Path) -> bytes:
    """Make a layer of the Python that runs this, with its library and some packages in its path."""
    base = Path(sys.base_prefix)
    program = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    standard = Path(sysconfig.get_path("stdlib", vars={"base": str(base), "installed_base": str(base)}))
    files = [path for path in standard.rglob("*") if path.is_file() and _is_wanted(path.relative_to(standard))]
    own = [path for package in packages for path in (package, *package.rglob("*")) if path.is_file()]
    own = [path for path in own if "__pycache__" not in path.parts]
    linked = [str(path) for path in (program, *files, *own) if path == program or path.suffix == ".so"]
    entries = [file(f"packages/{path.relative_to(packages[0].parent)}", path.read_bytes(), 0o755) for path in own]
    entries += _entries({str(program), *_libraries(linked), *map(str, files)})
    return layer(folder("packages"), link("bin-python", str(program)), *entries)


def static_image(program: bytes, **config: object) -> BuiltImage:
    """Make an image that holds nothing but a program."""
    return BuiltImage([layer(file("runtime", program, 0o755))], {"Entrypoint": ["/runtime"], **config})


def _is_wanted(path: Path) -> bool:
    return not _LEFT_OUT & set(path.parts) and not path.parts[0].startswith("config-")


def _libraries(programs: Iterable[str]) -> set[str]:
    """List the libraries of programs, as the dynamic linker finds them, the linker included."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(?:=> |^\s+)(/\S+) \(", listed, re.MULTILINE))


def _entries(paths: Iterable[str]) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [file(path, Path(path).read_bytes(), 0o755) for path in sorted(paths)]
