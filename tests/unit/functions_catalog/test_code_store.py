"""Archives are unpacked whole, with their modes, and never outside their folder."""

import os
import stat
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from workshape.errors import Invalid
from workshape.functions.code import ArchiveTooLarge, CodeStore, InvalidArchive
from workshape.functions.limits import UNPACKED_BYTES_MAX, ZIP_BYTES_MAX


def archive(*entries: tuple[str, str, int]) -> bytes:
    """A zip of (name, content, Unix mode)."""
    made = BytesIO()
    with ZipFile(made, "w") as packed:
        for name, content, mode in entries:
            entry = ZipInfo(name)
            entry.external_attr = mode << 16 or DOS_ARCHIVE_BIT
            packed.writestr(entry, content)
    return made.getvalue()


DOS_ARCHIVE_BIT = 0x20  # what archives carry that were made where files have no modes
LINK = stat.S_IFLNK | 0o777
FILE = stat.S_IFREG | 0o644


async def test_files_keep_their_place_and_mode(tmp_path: Path) -> None:
    data = archive(("a/run.sh", "x", stat.S_IFREG | 0o755), ("b.py", "y", FILE), ("c.py", "z", 0), ("d/", "", 0))

    code = await CodeStore(tmp_path).unpack(data)

    folder = Path(code.folder)
    assert (folder / "a" / "run.sh").read_text() == "x"
    assert stat.S_IMODE((folder / "a" / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "c.py").stat().st_mode) == 0o644
    assert (folder / "d").is_dir()
    assert code.size_bytes == len(data)


async def test_the_same_archive_is_unpacked_once(tmp_path: Path) -> None:
    store, data = CodeStore(tmp_path), archive(("a.py", "x", FILE))
    first = await store.unpack(data)
    (Path(first.folder) / "mark").touch()

    second = await store.unpack(data)

    assert second == first
    assert (Path(second.folder) / "mark").exists()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".zip"]


async def test_links_within_the_archive_are_kept(tmp_path: Path) -> None:
    data = archive(("lib/real.js", "x", FILE), ("bin/tool", "../lib/real.js", LINK))

    code = await CodeStore(tmp_path).unpack(data)

    tool = Path(code.folder) / "bin" / "tool"
    assert tool.is_symlink()
    assert tool.read_text() == "x"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "entries",
    [
        [("../out", "x", FILE)],
        [("a/../../out", "x", FILE)],
        [("/out", "x", FILE)],
        [("link", "/etc/passwd", LINK)],
        [("link", "../out", LINK)],
        [("a/link", "../../out", LINK)],
        [("here", ".", LINK), ("here/../out", "x", FILE)],
        [("here", ".", LINK), ("up", "here/..", LINK)],
        [("dir", "sub", LINK), ("sub/", "", 0), ("dir/file", "x", FILE)],
        [("file", "elsewhere", LINK), ("file", "x", FILE)],
        [("a", "x", FILE), ("a/b", "x", FILE)],
    ],
    ids=lambda entries: "+".join(name for name, _, _ in entries),
)
async def test_nothing_leads_outside_the_folder(tmp_path: Path, entries: list[tuple[str, str, int]]) -> None:
    store = tmp_path / "code"
    store.mkdir()

    with pytest.raises(InvalidArchive, match="Could not unzip uploaded file"):
        await CodeStore(store).unpack(archive(*entries))

    assert list(store.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code"]


@pytest.mark.parametrize(
    "name", ["n" * 256, "/".join(["n" * 200] * 30)], ids=["longer than a file's name can be", "longer than a path"]
)
async def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArchive, match="File name too long") as refused:
        await CodeStore(tmp_path).unpack(archive((name, "x", FILE)))

    assert str(tmp_path) not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", archive(("a", "x" * 99, FILE))[:-30]])
async def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidArchive):
        await CodeStore(tmp_path).unpack(data)

    assert list(tmp_path.iterdir()) == []


async def test_lambdas_quotas_hold(tmp_path: Path) -> None:
    claims_much = bytearray(archive(("a", "x", FILE)))
    central = claims_much.index(b"PK\x01\x02")
    claims_much[central + 24 : central + 28] = (UNPACKED_BYTES_MAX + 1).to_bytes(4, "little")

    with pytest.raises(ArchiveTooLarge, match="Unzipped size must be smaller than 262144000 bytes"):
        await CodeStore(tmp_path).unpack(bytes(claims_much))
    with pytest.raises(ArchiveTooLarge, match="Zipped size"):
        await CodeStore(tmp_path).unpack(bytes(ZIP_BYTES_MAX + 1))


async def test_what_no_function_uses_is_swept(tmp_path: Path) -> None:
    store = CodeStore(tmp_path)
    used = await store.unpack(archive(("a.py", "used", FILE)))
    await store.unpack(archive(("a.py", "unused", FILE)))
    (tmp_path / ".unpacking-left-behind").mkdir()

    store.sweep([used.folder])

    assert used.archive is not None
    assert sorted(map(str, tmp_path.iterdir())) == sorted([used.folder, used.archive])


async def test_what_workshape_keeps_beside_code_is_no_part_of_it(tmp_path: Path) -> None:
    store = CodeStore(tmp_path / ".workshape" / "code")
    (tmp_path / "a.py").write_text("one")

    before = await store.from_path(tmp_path)
    settled = await store.settle(before)
    after = await store.from_path(tmp_path)

    assert [path.name for path in Path(settled.folder).iterdir()] == ["a.py"]
    assert before == after
    assert settled.sha256 == before.sha256


async def test_code_that_cannot_be_copied_is_named(tmp_path: Path) -> None:
    source, store = tmp_path / "source", CodeStore(tmp_path / "code")
    source.mkdir()
    os.mkfifo(source / "pipe")

    with pytest.raises(Invalid, match=r"source/pipe.* cannot be copied"):
        await store.settle(await store.from_path(source))

    assert list((tmp_path / "code").iterdir()) == []


async def test_a_folder_is_used_in_place_and_known_by_its_files(tmp_path: Path) -> None:
    source, store = tmp_path / "source", CodeStore(tmp_path / "code")
    source.mkdir()
    (source / "a.py").write_text("one")
    before = await store.from_path(source)
    again = await store.from_path(source)

    (source / "a.py").write_text("two")
    os.utime(source / "a.py", ns=(1, 1))

    after = await store.from_path(source)
    assert (before.folder, before.archive, before.size_bytes) == (str(source), None, 3)
    assert again == before
    assert after.sha256 != before.sha256


async def test_code_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no code at"):
        await CodeStore(tmp_path).from_path(tmp_path / "none")
