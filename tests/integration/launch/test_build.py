"""Building functions with the real tools; nothing but npx's first fetch of esbuild needs the network."""

import json
import os
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.fakes.runtime_owner import RuntimeOwner
from workshape.functions.launch.build import BuildSource, build_function
from workshape.functions.launch.build_tools import BuildFailed, find_installer
from workshape.functions.launch.interpreters import Interpreter, InterpreterMissing, Interpreters

HERE = f"python3.{sys.version_info.minor}"
NODE = "nodejs24.x"


class Builder:
    """Builds into one folder, and keeps what was said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []

    async def build(self, source: BuildSource) -> Path:
        return await build_function(source, self.folder, self.said.append)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "build")


@pytest.fixture
async def node() -> None:
    try:
        await Interpreters(allow_substitute=True).find(NODE)
    except InterpreterMissing as missing:
        pytest.skip(str(missing))


async def bundled(builder: Builder, source: BuildSource) -> Path:
    try:
        return await builder.build(source)
    except BuildFailed as failed:
        if "npm error code E" in str(failed):
            pytest.skip(f"npx cannot fetch esbuild here: {failed}")
        raise


def typescript(code: Path) -> BuildSource:
    (code / "src").mkdir()
    (code / "package.json").write_text('{"type": "module"}')
    (code / "src" / "lib.ts").write_text("export const unit: string = 'ms';")
    (code / "src" / "search.ts").write_text(
        "import { unit } from './lib';\nexport const handler = async (event: { n: number }) => `${event.n} ${unit}`;"
    )
    return BuildSource("search", NODE, code, "src/search.ts")


@pytest.mark.usefixtures("node")
async def test_a_typescript_entry_is_bundled_and_runs(owner: RuntimeOwner, builder: Builder, code: Path) -> None:
    folder = await bundled(builder, typescript(code))

    assert folder == builder.folder / "search"
    assert (folder / "search.js.map").exists()
    environment, _ = await owner.started(folder, runtime=NODE, handler="search.handler")
    assert await owner.invoke(environment, {"n": 3}) == ("", "3 ms")


@pytest.mark.usefixtures("node")
async def test_an_entry_that_awaits_at_its_top_level_becomes_an_es_module(
    owner: RuntimeOwner, builder: Builder, code: Path
) -> None:
    (code / "old.cjs").write_text("exports.join = require('node:path').join;")
    (code / "main.mts").write_text(
        "import { join } from './old.cjs'; const a = await Promise.resolve('a'); export const run = () => join(a, 'b');"
    )

    folder = await bundled(builder, BuildSource("main", NODE, code, "main.mts", handler="other.run"))

    environment, _ = await owner.started(folder, runtime=NODE, handler="other.run")
    assert await owner.invoke(environment) == ("", "a/b")


@pytest.mark.usefixtures("node")
async def test_a_second_build_does_nothing_until_an_input_changes(builder: Builder, code: Path) -> None:
    source = typescript(code)
    await bundled(builder, source)

    await builder.build(source)
    (code / "unrelated.txt").write_text("x")
    await builder.build(source)
    assert builder.said == ["search: bundling src/search.ts"]

    (code / "src" / "lib.ts").write_text("export const unit: string = 's';")
    await builder.build(source)
    assert builder.said == ["search: bundling src/search.ts"] * 2


@pytest.mark.usefixtures("node")
async def test_the_apps_own_esbuild_is_preferred(builder: Builder, code: Path) -> None:
    source = typescript(code)
    own = code / "node_modules" / ".bin" / "esbuild"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\necho this is the own one; exit 9\n")
    own.chmod(0o755)

    with pytest.raises(BuildFailed, match=r"(?s)esbuild failed on .*src/search.ts \(exit status 9\).*the own one"):
        await builder.build(source)


@pytest.mark.usefixtures("node")
async def test_a_mistake_in_the_code_is_shown_in_esbuilds_words_and_built_again(builder: Builder, code: Path) -> None:
    source = typescript(code)
    good = (code / "src" / "search.ts").read_text()
    (code / "src" / "search.ts").write_text("import { x } from './absent'; export const handler = (")

    with pytest.raises(BuildFailed) as failed:
        await bundled(builder, source)
    (code / "src" / "search.ts").write_text(good)
    await builder.build(source)

    assert "src/search.ts:1" in str(failed.value)
    assert failed.value.function == "search"


@pytest.mark.usefixtures("node")
async def test_node_modules_are_installed_when_missing_and_when_older_than_the_lock(
    builder: Builder, code: Path
) -> None:
    (code / "local").mkdir()
    (code / "local" / "package.json").write_text('{"name": "local", "version": "1.0.0"}')
    (code / "package.json").write_text(json.dumps({"name": "app", "dependencies": {"local": "file:./local"}}))
    source = BuildSource("plain", NODE, code)

    assert await builder.build(source) == code
    assert (code / "node_modules" / "local" / "package.json").exists()
    await builder.build(source)
    lock = code / "package-lock.json"
    newer = lock.stat().st_mtime + 100
    os.utime(lock, (newer, newer))
    await builder.build(source)

    assert builder.said == [f"plain: npm install in {code}", f"plain: npm ci in {code}"]


@pytest.mark.usefixtures("node")
async def test_what_npm_cannot_install_is_told_in_npms_words(builder: Builder, code: Path) -> None:
    (code / "package.json").write_text(json.dumps({"name": "app", "dependencies": {"local": "file:./absent.tgz"}}))

    with pytest.raises(BuildFailed, match=r"(?s)npm failed on .*package.json .*absent.tgz"):
        await builder.build(BuildSource("plain", NODE, code))


def wheel(folder: Path, value: str) -> None:
    """Make the package `parcel`, as a wheel."""
    with zipfile.ZipFile(folder / "parcel-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("parcel.py", f"VALUE = {value!r}")
        archive.writestr("parcel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
        archive.writestr("parcel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        records = ("parcel.py", "parcel-1.0.dist-info/METADATA", "parcel-1.0.dist-info/WHEEL")
        archive.writestr("parcel-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in records))


def requiring(code: Path) -> BuildSource:
    wheel(code, "installed")
    (code / "requirements.txt").write_text("./parcel-1.0-py3-none-any.whl\n")
    (code / "index.py").write_text("import parcel\ndef handler(event, context): return parcel.VALUE\n")
    return BuildSource("parcels", HERE, code, requirements="requirements.txt")


async def test_requirements_are_installed_beside_a_copy_of_the_code(
    owner: RuntimeOwner, builder: Builder, code: Path
) -> None:
    folder = await builder.build(requiring(code))

    assert folder == builder.folder / "parcels"
    assert not (code / "parcel.py").exists()
    environment, _ = await owner.started(folder, runtime=HERE)
    assert await owner.invoke(environment) == ("", "installed")


async def test_requirements_are_compiled_before_the_first_environment_needs_them(
    builder: Builder, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)

    folder = await builder.build(requiring(code))

    assert list((folder / "__pycache__").glob("parcel.*.pyc"))


async def test_requirements_are_installed_for_an_interpreter_without_a_pip_of_its_own(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    bare = Interpreter("python", str(tmp_path / "bare" / "bin" / "python"), sys.version_info[:3])
    wheel(code, "installed")
    monkeypatch.setenv("PATH", os.defpath)  # without uv

    await find_installer(bare).run(
        ["--target", str(tmp_path / "packages"), "./parcel-1.0-py3-none-any.whl"],
        function="parcels",
        folder=code,
        file=code / "requirements.txt",
        remedy="",
    )

    assert (tmp_path / "packages" / "parcel.py").read_text() == "VALUE = 'installed'"


async def test_changed_code_is_copied_without_installing_again(builder: Builder, code: Path) -> None:
    source = requiring(code)
    folder = await builder.build(source)
    await builder.build(source)
    (code / "index.py").write_text("changed = True\n")
    (code / "parcel.py").write_text("VALUE = 'my own'\n")

    await builder.build(source)

    assert (folder / "index.py").read_text() == "changed = True\n"
    assert (folder / "parcel.py").read_text() == "VALUE = 'my own'\n"
    assert (builder.folder / "parcels.packages" / "parcel.py").read_text() == "VALUE = 'installed'"
    assert builder.said == [f"parcels: installing {code / 'requirements.txt'}"]


async def test_a_requirement_that_cannot_be_had_is_told_in_the_installers_words(builder: Builder, code: Path) -> None:
    (code / "requirements.txt").write_text("./absent-1.0-py3-none-any.whl\n")

    with pytest.raises(BuildFailed, match=r"(?s)failed on .*requirements.txt .*absent-1.0"):
        await builder.build(BuildSource("parcels", HERE, code, requirements="requirements.txt"))


async def test_code_that_needs_no_building_runs_from_where_it_is(builder: Builder, code: Path) -> None:
    assert await builder.build(BuildSource("plain", HERE, code)) == code
    assert not builder.folder.exists()
    assert builder.said == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runtime": NODE, "entry": "absent.ts"}, r"its entry .*absent.ts is not there"),
        ({"runtime": HERE, "requirements": "absent.txt"}, r"its requirements .*absent.txt are not there"),
    ],
)
async def test_what_is_not_there_is_named(builder: Builder, code: Path, options: dict[str, str], words: str) -> None:
    with pytest.raises(BuildFailed, match=words):
        await builder.build(BuildSource("f", code=code, **options))
    with pytest.raises(BuildFailed, match=r"code folder .* is not there"):
        await builder.build(BuildSource("f", code=code / "absent", **options))
