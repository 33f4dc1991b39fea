"""Code made ready to run before an environment starts: bundled, or installed beside its dependencies."""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workshape.functions.launch.build_stamp import BuildStamp, fingerprint, fingerprint_folder
from workshape.functions.launch.build_tools import BuildFailed, find_esbuild, find_installer, find_npm
from workshape.functions.launch.interpreters import Interpreter, InterpreterMissing, Interpreters, RuntimeUnknown

LEFT_BEHIND = ("node_modules", "__pycache__", ".git", ".venv", ".workshape")
"""What a copy of Python code does without."""
_ESM_BANNER = "import{createRequire as $workshape}from'node:module';const require=$workshape(import.meta.url);"
_ESM_SUFFIXES = (".mts", ".mjs")

_installing: dict[Path, asyncio.Lock] = {}
"""Functions share folders, and npm must not install into one twice at a time. One entry a folder of the app."""


@dataclass(frozen=True, slots=True)
class BuildSource:
    """A function's code as its author keeps it."""

    name: str
    runtime: str
    code: Path
    """Absolute folder."""
    entry: str | None = None
    """TypeScript (or modern JavaScript) file to bundle, relative to `code`."""
    requirements: str | None = None
    """Python requirements file, relative to `code`."""
    handler: str | None = None
    """Names the bundle: `search.handler` is exported by `search.js`. Without it the bundle is named as its entry."""
    external: Sequence[str] = ()
    """Packages that stay out of the bundle."""


async def build_function(source: BuildSource, build_folder: Path, progress: Callable[[str], None]) -> Path:
    """Make the code ready; return the folder to run it from (LAMBDA_TASK_ROOT).

    That is the code's own folder where nothing has to be built, else the function's folder in `build_folder`. A
    second call for unchanged code does nothing. `progress` hears what takes long, as one line each.

    Raises:
        BuildFailed: names the tool, the file and the remedy, with the tool's own output.
    """
    if not _is_folder(source.code):
        raise BuildFailed(function=source.name, reason=f"its code folder {source.code} is not there")
    interpreters = Interpreters(allow_substitute=True)
    if source.runtime.startswith("nodejs"):
        await _install_node_modules(source, interpreters, progress)
        if source.entry is not None:
            return await _bundle(source, source.entry, build_folder / source.name, interpreters, progress)
    elif source.runtime.startswith("python") and source.requirements is not None:
        folder = build_folder / source.name
        return await _install_requirements(source, source.requirements, folder, interpreters, progress)
    return source.code


async def _install_node_modules(
    source: BuildSource, interpreters: Interpreters, progress: Callable[[str], None]
) -> None:
    async with _installing.setdefault(source.code, asyncio.Lock()):
        if not _node_modules_stale(source.code):
            return
        node = await _interpreter(source, interpreters)
        npm = find_npm(source.name, node)
        command = "ci" if (source.code / "package-lock.json").exists() else "install"
        progress(f"{source.name}: npm {command} in {source.code}")
        await npm.run(
            [command, "--no-audit", "--no-fund", "--loglevel=error"],
            function=source.name,
            folder=source.code,
            file=source.code / "package.json",
            remedy="see npm's own words below; the package registry must be reachable",
        )


def _node_modules_stale(folder: Path) -> bool:
    description = folder / "package.json"
    if not description.exists() or not re.search(
        r'"(dev|optional)?[dD]ependencies"\s*:\s*{\s*"', description.read_text()
    ):
        return False
    # npm writes this file last, whatever it installs.
    installed = folder / "node_modules" / ".package-lock.json"
    if not installed.exists():
        return True
    lock = folder / "package-lock.json"
    return (lock if lock.exists() else description).stat().st_mtime > installed.stat().st_mtime


async def _bundle(
    source: BuildSource,
    entry: str,
    build_folder: Path,
    interpreters: Interpreters,
    progress: Callable[[str], None],
) -> Path:
    if not _is_file(source.code / entry):
        raise BuildFailed(function=source.name, reason=f"its entry {source.code / entry} is not there")
    esm = entry.endswith(_ESM_SUFFIXES)
    name = source.handler.rpartition(".")[0] if source.handler else Path(entry).stem
    output = build_folder / f"{name}{'.mjs' if esm else '.js'}"
    target = re.sub(r"\D", "", source.runtime)
    metadata = build_folder / ".esbuild.json"
    arguments = [
        entry,
        "--bundle",
        "--platform=node",
        f"--target=node{target}",
        f"--format={'esm' if esm else 'cjs'}",
        "--sourcemap",
        "--log-level=warning",
        f"--outfile={output}",
        f"--metafile={metadata}",
        *(f"--external:{package}" for package in source.external),
        *([f"--banner:js={_ESM_BANNER}"] if esm else []),
    ]
    stamp = BuildStamp(build_folder / ".workshape-build.json")
    if stamp.holds(fingerprint(arguments), source.code) and _is_file(output):
        return build_folder
    esbuild = find_esbuild(source.name, source.code, await _interpreter(source, interpreters))
    progress(f"{source.name}: bundling {entry}")
    _empty(build_folder)
    # Whatever package.json lies above must not decide what kind of module the bundle is.
    (build_folder / "package.json").write_text('{"type": "commonjs"}\n')
    await esbuild.run(
        arguments,
        function=source.name,
        folder=source.code,
        file=source.code / entry,
        remedy="mend what esbuild names below; a file that awaits at its top level must be called .mts",
    )
    stamp.write_esbuild(fingerprint(arguments), source.code, metadata)
    return build_folder


async def _install_requirements(
    source: BuildSource,
    requirements: str,
    build_folder: Path,
    interpreters: Interpreters,
    progress: Callable[[str], None],
) -> Path:
    file = source.code / requirements
    if not _is_file(file):
        raise BuildFailed(function=source.name, reason=f"its requirements {file} are not there")
    python = await _interpreter(source, interpreters)
    wanted = fingerprint([python.path, str(python.version), file.read_text()])
    packages = build_folder.with_name(f"{build_folder.name}.packages")
    installed = BuildStamp(packages / ".workshape-build.json")
    if not installed.holds(wanted, source.code):
        installer = find_installer(python)
        progress(f"{source.name}: installing {file}")
        _empty(packages)
        await installer.run(
            ["--target", str(packages), "-r", str(file)],
            function=source.name,
            folder=source.code,
            file=file,
            remedy="mend the requirement it names below; the package index must be reachable",
        )
        installed.write(wanted)
    copied = BuildStamp(build_folder / ".workshape-build.json")
    state = fingerprint([wanted, fingerprint_folder(source.code, LEFT_BEHIND, build_folder.parent)])
    if not copied.holds(state, source.code):
        await asyncio.get_running_loop().run_in_executor(None, _copy, source.code, packages, build_folder)
        copied.write(state)
    return build_folder


def _copy(code: Path, packages: Path, build_folder: Path) -> None:
    """Put the packages (as links: they are large and nobody changes them) and, over them, the code into the folder."""
    _empty(build_folder)
    shutil.copytree(packages, build_folder, copy_function=_link_or_copy, dirs_exist_ok=True)
    (build_folder / ".workshape-build.json").unlink(missing_ok=True)

    def left_behind(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name in LEFT_BEHIND or Path(folder, name) == build_folder.parent]

    shutil.copytree(code, build_folder, ignore=left_behind, dirs_exist_ok=True, copy_function=_replace)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _replace(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)  # it may be a link to a package's file, which must not be written through
    shutil.copy2(source, target)


async def _interpreter(source: BuildSource, interpreters: Interpreters) -> Interpreter:
    try:
        return await interpreters.find(source.runtime)
    except (InterpreterMissing, RuntimeUnknown) as error:
        raise BuildFailed(function=source.name, reason=str(error)) from error


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir()


def _is_file(path: Path) -> bool:
    return path.is_file()
