"""Whether an app's files are where it says: code folders and archives, handlers, entries, schemas."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from workshape.app.model import App, Function
from workshape.app.problem import Problem
from workshape.functions.images.reference import InvalidImageReference, LocalImage, parse_reference
from workshape.toml_document import Place, did_you_mean

NODE_SUFFIXES = (".js", ".mjs", ".cjs")
_ANY_REGISTRY = "localhost"  # which one it is, is not looked at here
SUGGESTED_FILES_MAX = 200  # files of a folder that are looked through for a near name


def file_problems(app: App) -> Iterator[Problem]:
    """Everything an app names that is not there."""
    for function in app.functions:
        yield from _function_problems(function)
    for layer in app.layers:
        yield from _code_problems(("layers", layer.name, "code"), Path(layer.code))
    if app.database is not None and app.database.init_sql is not None and not Path(app.database.init_sql).is_file():
        yield Problem(("database", "init_sql"), f"there is no file {app.database.init_sql}")


def handler_files(runtime: str, handler: str) -> list[str]:
    """The files that may hold a handler, relative to the code's root; the runtime takes the first there is.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html,
    https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html
    """
    if runtime.startswith("python"):
        module = handler.rpartition(".")[0].replace(".", "/")
        return [f"{module}.py", f"{module}/__init__.py"]
    if runtime.startswith("nodejs"):
        path = PurePosixPath(handler)
        module = str(path.with_name(path.name.partition(".")[0]))
        return [module + suffix for suffix in NODE_SUFFIXES]
    return ["bootstrap"]


def _function_problems(function: Function) -> Iterator[Problem]:
    place = ("functions", function.name)
    if function.image is not None:
        with contextlib.suppress(InvalidImageReference):  # that is told elsewhere
            reference = parse_reference(function.image, ecr_registry=_ANY_REGISTRY)
            if isinstance(reference, LocalImage) and not Path(reference.path).exists():
                yield Problem((*place, "image"), f"there is no image layout folder and no archive {reference.path}")
        return
    code = Path(function.code)
    missing = next(_code_problems((*place, "code"), code), None)
    if missing is not None:
        yield missing
        return
    if "." not in function.handler and not function.runtime.startswith("provided"):
        yield Problem((*place, "handler"), f'"{function.handler}" has no dot: it reads FILE.FUNCTION')
        return
    for key, named in (("entry", function.entry), ("requirements", function.requirements)):
        if named is not None and code.is_file():
            yield Problem((*place, key), f"{code} is an archive, which is run as it is; name a folder as code")
        elif named is not None and not (code / named).is_file():
            yield Problem((*place, key), f"there is no file {code / named}")
    if function.entry is None:
        yield from _handler_problems(function, code)


def _code_problems(place: Place, code: Path) -> Iterator[Problem]:
    if not code.exists():
        near = (
            did_you_mean(code.name, _names(code.parent)) if code.parent.is_dir() else "its parent is not there either"
        )
        yield Problem(place, f"there is no folder or zip archive {code}; {near}")
    elif code.is_file() and not zipfile.is_zipfile(code):
        yield Problem(place, f"{code} is neither a folder nor a zip archive")


def _handler_problems(function: Function, code: Path) -> Iterator[Problem]:
    wanted = handler_files(function.runtime, function.handler)
    if code.is_file():
        with zipfile.ZipFile(code) as archive:
            there = archive.namelist()
        found = any(name in there for name in wanted)
    else:
        found = any((code / name).is_file() for name in wanted)
        there = _names(code)
    if not found:
        near = did_you_mean(
            wanted[0], [name for name in there if PurePosixPath(name).suffix == PurePosixPath(wanted[0]).suffix]
        )
        place = ("functions", function.name, "handler")
        yield Problem(
            place, f'"{function.handler}" would be in {" or ".join(wanted)} of {code}, which is not there; {near}'
        )


def _names(folder: Path) -> list[str]:
    return [path.name for _, path in zip(range(SUGGESTED_FILES_MAX), sorted(folder.iterdir()), strict=False)]
