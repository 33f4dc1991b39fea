"""Compiles a function's module before its environment is wanted: what its import would do first. Nothing of it is run.

The import then finds it compiled, unless its file has changed. Nothing of that is left to be seen after the import. A
module that is not source, or whose compilation has something to say, is imported as ever.

Standard library only, Python 3.10: every Python that runs functions loads this file.
"""

import contextlib
import os
import sys
import warnings
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any


def compile_ahead(handler: str) -> None:
    """Find and compile the outermost module of a handler (`module.function`); what is wrong, its import will say."""
    name = handler.rpartition(".")[0].replace("/", ".").partition(".")[0]
    with contextlib.suppress(Exception), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        spec = PathFinder.find_spec(name)
        if spec is None or type(spec.loader) is not SourceFileLoader or spec.origin is None:
            return
        state = _state(spec.origin)
        code = spec.loader.get_code(name)
        if code is not None and not said:
            _offer(spec, spec.loader, code, state)


def _offer(spec: ModuleSpec, loader: Any, code: CodeType, state: tuple[int, int, int]) -> None:
    """Let the next import of the module find this, once."""
    name, path = spec.name, str(spec.origin)
    folder = os.path.dirname(os.path.dirname(path) if spec.submodule_search_locations else path)
    found = sys.path_importer_cache.get(folder)
    if not isinstance(found, FileFinder):
        return
    finder: Any = found

    def find_spec(wanted: str, target: Any = None) -> ModuleSpec | None:
        if wanted != name:
            return FileFinder.find_spec(finder, wanted, target)
        del finder.find_spec
        with contextlib.suppress(OSError):
            if _state(path) == state:
                loader.get_code = get_code
                return spec
        return FileFinder.find_spec(finder, wanted, target)

    def get_code(_name: str) -> CodeType:
        del loader.get_code
        return code

    finder.find_spec = find_spec


def _state(path: str) -> tuple[int, int, int]:
    """Tell a file from what it will be once somebody has changed it."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size
