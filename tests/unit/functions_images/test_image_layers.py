"""Layers become a root folder, and nothing outside of it is ever touched."""

import contextlib
import gzip
import os
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.images import digest, file, folder, hard_link, layer, link
from workshape.functions.images import layers as layers_module
from workshape.functions.images.blob import Blob
from workshape.functions.images.layers import ImageTooLarge, Layer, LayerWriter
from workshape.functions.images.manifest import DigestMismatch
from workshape.functions.images.reference import Digest
from workshape.functions.images.root import InvalidLayer, RootFolder

IS_ROOT = os.geteuid() == 0


def apply(tmp_path: Path, *contents: bytes, compression: str = "") -> Path:
    """Apply layers to a new root folder beside a file that nobody may touch."""
    (tmp_path / "secret").write_text("untouched")
    root = tmp_path / "root"
    root.mkdir()
    writer = LayerWriter(RootFolder(root))
    for number, content in enumerate(contents):
        packed = gzip.compress(content) if compression == "gzip" else content
        path = tmp_path / f"layer-{number}"
        path.write_bytes(packed)
        blob = Blob(path, 0, len(packed))
        writer.apply(Layer(blob, Digest(digest(packed)), Digest(digest(content)), compression))
    return root


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("compression", ["", "gzip"])
def test_files_folders_and_links_are_written_with_their_modes_and_times(tmp_path: Path, compression: str) -> None:
    content = layer(
        folder("app", mode=0o755),
        file("app/run", "#!", mode=0o755),
        link("app/latest", "run"),
        hard_link("app/same", "app/run"),
        file("app/quiet", "x", mode=0o640),
    )

    root = apply(tmp_path, content, compression=compression)

    run = root / "app" / "run"
    assert run.read_text() == "#!"
    assert (stat.S_IMODE(run.stat().st_mode), run.stat().st_mtime) == (0o755, 1_700_000_000)
    assert os.readlink(root / "app" / "latest") == "run"
    assert (root / "app" / "same").stat().st_ino == run.stat().st_ino
    assert stat.S_IMODE((root / "app" / "quiet").stat().st_mode) == 0o640


def test_a_higher_layer_replaces_what_a_lower_one_has(tmp_path: Path) -> None:
    lower = layer(file("a", "old"), folder("b"), file("b/c", "old"), file("d", "old"), link("e", "a"))
    upper = layer(file("a", "new"), file("b", "a file now"), folder("d"), file("d/c", "new"), folder("e"))

    root = apply(tmp_path, lower, upper)

    assert (root / "a").read_text() == "new"
    assert (root / "b").read_text() == "a file now"
    assert (root / "d" / "c").read_text() == "new"
    assert stat.S_ISDIR((root / "e").lstat().st_mode)


def test_a_whiteout_removes_what_lies_below(tmp_path: Path) -> None:
    lower = layer(file("keep"), file("drop"), folder("dir"), file("dir/a"), folder("dir/sub"), file("dir/sub/b"))

    root = apply(tmp_path, lower, layer(file(".wh.drop"), file("dir/.wh.sub"), file(".wh.never-there")))

    assert tree(root) == ["dir", "dir/a", "keep"]


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_an_opaque_whiteout_empties_a_folder_of_the_layers_below_alone(tmp_path: Path, whiteout_first: bool) -> None:
    lower = layer(folder("d"), file("d/old"), folder("d/sub"), file("d/sub/old"))
    marker, new = file("d/.wh..wh..opq"), [folder("d"), folder("d/sub"), file("d/sub/new")]

    root = apply(tmp_path, lower, layer(marker, *new) if whiteout_first else layer(*new, marker))

    assert tree(root) == ["d", "d/sub", "d/sub/new"]


def test_a_whiteout_leaves_what_its_own_layer_has(tmp_path: Path) -> None:
    lower = layer(folder("d"), file("d/old"))

    root = apply(tmp_path, lower, layer(folder("d"), file("d/new"), file(".wh.d")))

    assert tree(root) == ["d", "d/new"]


def test_a_link_in_the_middle_of_a_path_is_followed_inside_the_root(tmp_path: Path) -> None:
    lower = layer(folder("usr"), folder("usr/lib"), link("lib", "/usr/lib"), link("up", "../../../usr"))

    root = apply(tmp_path, lower, layer(file("lib/a", "1"), file("up/b", "2")))

    assert (root / "usr" / "lib" / "a").read_text() == "1"
    assert (root / "usr" / "b").read_text() == "2"
    assert (root / "lib").is_symlink()


def hostile(outside: str) -> dict[str, list[Any]]:
    return {
        "an entry that climbs": [file("../secret", "x")],
        "an entry that climbs from below": [folder("a"), file("a/../../secret", "x")],
        "an absolute entry": [file(f"{outside}/secret", "x")],
        "a file through an absolute link": [link("out", outside), file("out/secret", "x")],
        "a file through a relative link": [link("out", "../" * 20 + outside), file("out/secret", "x")],
        "a file through links of links": [link("a", ".."), link("b", "a/a/a" + outside), file("b/secret", "x")],
        "a file onto a link": [link("secret-link", f"{outside}/secret"), file("secret-link", "x")],
        "a folder onto a link": [link("out", outside), folder("out", mode=0o777), file("out/new", "x")],
        "a hard link that climbs": [hard_link("inside", "../secret"), file("inside", "x")],
        "a hard link to an absolute name": [hard_link("inside", f"{outside}/secret"), file("inside", "x")],
        "a hard link through a link": [link("out", outside), hard_link("inside", "out/secret"), file("inside", "x")],
        "a hard link to a link": [link("l", f"{outside}/secret"), hard_link("inside", "l"), file("inside", "x")],
        "a whiteout through a link": [link("out", outside), file("out/.wh.secret")],
        "an opaque whiteout through a link": [link("out", outside), file("out/.wh..wh..opq")],
        "a whiteout of what lies above": [file(".wh..."), file(".wh...")],
        "a folder that becomes a link": [folder("a", mode=0o777), link("a", outside)],
        "a folder whose parent becomes a link": [folder("a/b", mode=0o777), link("a", "..")],
        "a ring of links": [link("a", "b"), link("b", "a"), file("a/c")],
        "a file below a file": [file("a"), file("a/b")],
        "a name that is too long": [file("a" * 300)],
        "the root as a file": [file("./", "x")],
    }


@pytest.mark.parametrize("case", hostile(""))
def test_a_hostile_layer_changes_nothing_outside_the_root(tmp_path: Path, case: str) -> None:
    entries = hostile(str(tmp_path))[case]

    with contextlib.suppress(InvalidLayer):
        apply(tmp_path, layer(*entries))

    assert (tmp_path / "secret").read_text() == "untouched"
    assert (tmp_path / "secret").stat().st_nlink == 1
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layer-0", "root", "secret"]


def test_two_layers_do_not_get_out_together(tmp_path: Path) -> None:
    lower, upper = layer(link("out", str(tmp_path))), layer(file("out/secret", "x"), file("out/.wh.layer-0"))

    apply(tmp_path, lower, upper)

    assert (tmp_path / "secret").read_text() == "untouched"
    assert (tmp_path / "layer-0").exists()


def test_set_user_id_bits_and_device_files_are_left_out(tmp_path: Path) -> None:
    device = tarfile.TarInfo("disk")
    device.type, device.devmajor, device.devminor = tarfile.BLKTYPE, 8, 0

    root = apply(tmp_path, layer(file("su", "x", mode=0o6755), (device, b"")))

    assert stat.S_IMODE((root / "su").stat().st_mode) == 0o755
    assert tree(root) == ["su"]


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
def test_owners_are_kept(tmp_path: Path) -> None:
    root = apply(tmp_path, layer(folder("d", uid=7, gid=8), file("d/f", uid=1_000, gid=1_001)))

    assert ((root / "d").stat().st_uid, (root / "d").stat().st_gid) == (7, 8)
    assert ((root / "d" / "f").stat().st_uid, (root / "d" / "f").stat().st_gid) == (1_000, 1_001)


def test_a_layer_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    content = layer(file("a"))
    (tmp_path / "layer").write_bytes(content)
    (tmp_path / "root").mkdir()
    blob, right, wrong = Blob(tmp_path / "layer", 0, len(content)), Digest(digest(content)), Digest(digest(b""))

    for packed, unpacked in ((wrong, right), (right, wrong)):
        with pytest.raises(DigestMismatch):
            LayerWriter(RootFolder(tmp_path / "root")).apply(Layer(blob, packed, unpacked, ""))


@pytest.mark.parametrize(
    "content", [b"no archive at all" * 100, gzip.compress(layer(file("a", os.urandom(10_000))))[:2_000]]
)
def test_a_damaged_layer_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "layer").write_bytes(content)
    (tmp_path / "root").mkdir()
    one = Layer(Blob(tmp_path / "layer", 0, len(content)), Digest(digest(content)), Digest(digest(content)), "gzip")

    with pytest.raises(InvalidLayer, match="is damaged"):
        LayerWriter(RootFolder(tmp_path / "root")).apply(one)


def test_an_image_over_the_quota_is_refused_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers_module, "IMAGE_BYTES_MAX", 1_000_000)
    big = layer(file("a", b"\0" * 800_000))

    with pytest.raises(ImageTooLarge):
        apply(tmp_path, big, layer(file("b", b"\0" * 800_000)), compression="gzip")

    assert not (tmp_path / "root" / "b").exists() or (tmp_path / "root" / "b").stat().st_size < 1_000_000


def test_sparse_files_count_with_the_size_they_will_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers_module, "IMAGE_BYTES_MAX", 1_000_000)
    sparse = {"GNU.sparse.size": "600000", "GNU.sparse.map": "0,1", "GNU.sparse.numblocks": "1"}

    with pytest.raises(ImageTooLarge):
        apply(tmp_path, layer(*(file(name, "x", pax_headers=sparse) for name in "ab")))

    assert (tmp_path / "root" / "a").stat().st_size == 600_000
    assert not (tmp_path / "root" / "b").exists()


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 3_000_000_000
    content = header.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10_240

    with pytest.raises(InvalidLayer, match="extended header"):
        apply(tmp_path, content)


NAMES = st.sampled_from(
    ["a", "b", "a/b", "a/b/c", "b/c", "l", "l/x", "..", "a/../..", "/a", "l/../x", ".wh.a", "a/.wh..wh..opq"]
)
TARGETS = st.sampled_from(["..", "../..", "/", "a", "b", "l", "../outside", "/etc", "a/b", "."])
ENTRIES = st.one_of(
    st.builds(lambda name: file(name, "content"), NAMES),
    st.builds(folder, NAMES),
    st.builds(link, NAMES, TARGETS),
    st.builds(hard_link, NAMES, TARGETS),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(ENTRIES, max_size=8), max_size=3))
@example([[link("a/b", ".."), hard_link("a", "a/b")]])
def test_no_layers_whatever_reach_outside_the_root(made: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "outside").write_text("untouched")
        (place / "outside").chmod(0o600)

        with contextlib.suppress(InvalidLayer):
            apply(place, *(layer(*entries) for entries in made))

        names = {path.name for path in place.iterdir() if not path.name.startswith("layer-")}
        assert names == {"outside", "secret", "root"}
        assert (place / "outside").read_text() == "untouched"
        assert stat.S_IMODE((place / "outside").stat().st_mode) == 0o600
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_the_writer_gives_up_when_nobody_wants_the_folder(tmp_path: Path) -> None:
    content = layer(file("a"), file("b"))
    (tmp_path / "layer").write_bytes(content)
    (tmp_path / "root").mkdir()
    writer = LayerWriter(RootFolder(tmp_path / "root"), is_stopped=lambda: (tmp_path / "root" / "a").exists())
    blob = Blob(tmp_path / "layer", 0, len(content))

    with pytest.raises(layers_module.Stopped):
        writer.apply(Layer(blob, Digest(digest(content)), Digest(digest(content)), ""))

    assert tree(tmp_path / "root") == ["a"]


def test_a_blob_may_be_a_stretch_of_a_file(tmp_path: Path) -> None:
    content = layer(file("a", "x"))
    (tmp_path / "archive").write_bytes(b"before" + content + b"after")
    (tmp_path / "root").mkdir()
    blob = Blob(tmp_path / "archive", 6, len(content))

    LayerWriter(RootFolder(tmp_path / "root")).apply(Layer(blob, Digest(digest(content)), Digest(digest(content)), ""))

    assert (tmp_path / "root" / "a").read_text() == "x"
