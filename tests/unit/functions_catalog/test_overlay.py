"""Folders over folders: what is seen is the last that was laid, and nothing is written anywhere else."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.overlay import lay_over

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def folders(draw: st.DrawFn) -> dict[str, str]:
    """Files by path, none of which lies below another."""
    files: dict[str, str] = {}
    for path, text in draw(st.dictionaries(PATHS, st.sampled_from(["one", "two"]), max_size=4)).items():
        if not any(f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/") for other in files):
            files[path] = text
    return files


@given(st.lists(folders(), max_size=3))
def test_the_last_of_two_files_by_one_name_is_seen(layers: list[dict[str, str]]) -> None:
    root = Path(tempfile.mkdtemp())
    seen: dict[str, str] = {}
    for index, files in enumerate(layers):
        (root / str(index)).mkdir()
        for path, text in files.items():
            (root / str(index) / path).parent.mkdir(parents=True, exist_ok=True)
            (root / str(index) / path).write_text(text)
            hidden = [one for one in seen if f"{one}/".startswith(f"{path}/") or f"{path}/".startswith(f"{one}/")]
            for one in hidden:
                del seen[one]
            seen[path] = text

    lay_over([root / str(index) for index in range(len(layers))], root / "merged")

    found = {
        str(path.relative_to(root / "merged")): path.read_text()
        for path in (root / "merged").rglob("*")
        if path.is_file()
    }
    shutil.rmtree(root)
    assert found == seen


def test_nothing_is_written_through_a_symbolic_link(tmp_path: Path) -> None:
    first, second, outside = tmp_path / "first", tmp_path / "second", tmp_path / "outside"
    outside.mkdir()
    first.mkdir()
    (first / "lib").symlink_to(outside)
    (first / "file").symlink_to(outside / "made")
    (second / "lib").mkdir(parents=True)
    (second / "lib" / "x").write_text("x")
    (second / "file").write_text("y")

    lay_over([first, second], tmp_path / "merged")

    assert list(outside.iterdir()) == []
    assert (tmp_path / "merged" / "lib" / "x").read_text() == "x"
    assert (tmp_path / "merged" / "file").read_text() == "y"
