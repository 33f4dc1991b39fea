"""The house rules that no linter knows: sizes, names, and what a folder's __init__.py may hold."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted(Path(__file__).parents[2].joinpath("src", "workshape").rglob("*.py"))
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "base", "manager"}


def _name(path: Path) -> str:
    return str(path.relative_to(SOURCES[0].parents[0]))


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()

    tree = ast.parse(text)

    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert ast.get_docstring(tree), "a module starts with a docstring"
    assert path.stem not in VAGUE_NAMES


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text())

    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX]
    assert not long


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=_name)
def test_a_folder_init_is_a_docstring_and_nothing_else(path: Path) -> None:
    tree = ast.parse(path.read_text())

    assert len(tree.body) == 1


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_public_things_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())

    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]

    assert not [node.name for node in public if not ast.get_docstring(node)]
