"""A function's module is compiled before it is wanted; its import finds that, and is otherwise what it always is."""

import importlib
import os
import sys
from collections.abc import Iterator
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path

import pytest

from workshape.functions.launch.compiling import compile_ahead

SOURCE = "RAN = []\nRAN.append(__name__)\ndef handler(event, context):\n    return 1\n"


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of code, found first; nothing may be written to it, as in an environment."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path_importer_cache.pop(str(tmp_path), None)


def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files compiled from now on."""
    seen: list[str] = []
    compile_source = SourceFileLoader.source_to_code

    def counted(self: SourceFileLoader, data: bytes, path: str) -> object:
        seen.append(os.path.basename(path))
        return compile_source(self, data, path)

    monkeypatch.setattr(SourceFileLoader, "source_to_code", counted)
    return seen


def test_a_module_is_compiled_ahead_and_run_by_its_import_only(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (task / "shop_ahead.py").write_text(SOURCE)
    compiled = compilations(monkeypatch)

    compile_ahead("shop_ahead.handler")
    assert compiled == ["shop_ahead.py"]
    assert "shop_ahead" not in sys.modules
    module = importlib.import_module("shop_ahead")

    assert module.RAN == ["shop_ahead"]
    assert compiled == ["shop_ahead.py"]


def test_nothing_of_it_is_left_after_the_import(task: Path) -> None:
    (task / "shop_clean.py").write_text(SOURCE)
    (task / "shop_other.py").write_text(SOURCE)

    compile_ahead("shop_clean.handler")
    other, module = importlib.import_module("shop_other"), importlib.import_module("shop_clean")

    loader, others = module.__loader__, other.__loader__
    assert type(loader) is SourceFileLoader
    assert vars(loader).keys() == vars(others).keys()
    finder = sys.path_importer_cache[str(task)]
    assert isinstance(finder, FileFinder)
    assert "find_spec" not in vars(finder)


def test_a_module_that_has_changed_meanwhile_is_imported_as_it_is_now(task: Path) -> None:
    (task / "shop_new.py").write_text(SOURCE)
    compile_ahead("shop_new.handler")

    (task / "shop_new.py").write_text(SOURCE + "NEW = True\n")
    module = importlib.import_module("shop_new")

    assert module.NEW is True


def test_a_package_is_compiled_ahead_too(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (task / "shop_package").mkdir()
    (task / "shop_package" / "__init__.py").write_text("INSIDE = 1\n")
    (task / "shop_package" / "app.py").write_text(SOURCE)
    compiled = compilations(monkeypatch)

    compile_ahead("shop_package/app.handler")
    module = importlib.import_module("shop_package.app")

    assert module.RAN == ["shop_package.app"]
    assert compiled == ["__init__.py", "app.py"]


@pytest.mark.parametrize(
    "source",
    ["def broken(:\n", "x = 1\nx is 1\n", None],
    ids=["what cannot be compiled", "what warns", "what is not there"],
)
def test_what_compiling_has_to_say_is_left_to_the_import(task: Path, source: str | None) -> None:
    if source is not None:
        (task / "shop_loud.py").write_text(source)

    compile_ahead("shop_loud.handler")

    if source is None:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("shop_loud")
    elif source.startswith("def"):
        with pytest.raises(SyntaxError):
            importlib.import_module("shop_loud")
    else:
        with pytest.warns(SyntaxWarning, match="literal"):
            importlib.import_module("shop_loud")


def test_a_handler_without_a_module_is_passed_over(task: Path) -> None:
    compile_ahead("")
    compile_ahead("handler")
