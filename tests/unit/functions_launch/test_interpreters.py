"""Finding interpreters in a made-up machine: a PATH, a home, and programs that tell a version."""

import pwd
import shutil
import sys
from pathlib import Path

import pytest

from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters, RuntimeUnknown


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that has nothing, on a machine whose PATH is `tmp_path/bin`."""
    for name in ("PYENV_ROOT", "NVM_DIR", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def program(path: Path, version: str) -> Path:
    """Put a program at a path that tells a version; it must be no script, so it is a copy of one of the machine's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2("/bin/echo", path)
    VERSIONS[str(path)] = version
    return path


VERSIONS: dict[str, str] = {}


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let made-up programs tell the version they were made with, and let nothing else be found."""

    async def version(path: str) -> tuple[int, int, int] | None:
        if path not in VERSIONS:
            return None
        major, minor, patch = VERSIONS[path].split(".")
        return int(major), int(minor), int(patch)

    monkeypatch.setattr("workshape.functions.launch.interpreters._version", version)


async def test_a_program_on_path_is_found_and_a_shim_is_not(tmp_path: Path, home: Path) -> None:
    shim = home / ".pyenv" / "shims" / "python3.99"
    shim.parent.mkdir(parents=True)
    shim.write_text("#!/bin/sh\nexec pyenv")
    shim.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3.99").symlink_to(shim)
    real = program(home / ".pyenv" / "versions" / "3.99.1" / "bin" / "python3.99", "3.99.1")

    assert (await Interpreters(allow_substitute=False).find("python3.99")).path == str(real)


async def test_the_newest_of_several_patch_versions_is_taken(home: Path) -> None:
    for patch in ("9", "10", "2"):
        program(home / ".pyenv" / "versions" / f"3.99.{patch}" / "bin" / "python3.99", f"3.99.{patch}")

    found = await Interpreters(allow_substitute=False).find("python3.99")

    assert found.version == (3, 99, 10)


@pytest.mark.parametrize(
    ("place", "runtime", "version"),
    [
        (".local/share/uv/python/cpython-3.99.2-linux-x86_64-gnu/bin/python3.99", "python3.99", "3.99.2"),
        (".nvm/versions/node/v97.1.0/bin/node", "nodejs97.x", "97.1.0"),
        (".local/share/fnm/node-versions/v97.1.0/installation/bin/node", "nodejs97.x", "97.1.0"),
        (".nodenv/versions/97.1.0/bin/node", "nodejs97.x", "97.1.0"),
        (".asdf/installs/nodejs/97.1.0/bin/node", "nodejs97.x", "97.1.0"),
    ],
)
async def test_version_managers_are_looked_into(home: Path, place: str, runtime: str, version: str) -> None:
    expected = program(home / place, version)

    found = await Interpreters(allow_substitute=False).find(runtime)

    assert (found.path, found.note) == (str(expected), "")


async def test_the_running_python_serves_its_own_version() -> None:
    VERSIONS[str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())] = "{}.{}.{}".format(
        *sys.version_info
    )

    found = await Interpreters(allow_substitute=False).find(f"python3.{sys.version_info.minor}")

    assert Path(found.path) == Path(getattr(sys, "_base_executable", sys.executable)).resolve()


async def test_a_missing_version_is_an_error_that_says_what_was_found_and_the_remedy(home: Path) -> None:
    other = program(home / ".nvm/versions/node/v21.1.0/bin/node", "21.1.0")

    with pytest.raises(InterpreterMissing) as missing:
        await Interpreters(allow_substitute=False).find("nodejs22.x")

    words = str(missing.value)
    assert words.startswith("no Node.js 22 on this machine")
    assert f"Node.js 21.1.0 at {other}" in words
    assert "nvm" in words
    assert "allow_substitute = true" in words


async def test_the_nearest_version_takes_its_place_when_allowed(home: Path) -> None:
    for version in ("20.1.0", "24.1.0", "23.1.0"):
        program(home / f".nvm/versions/node/v{version}/bin/node", version)

    found = await Interpreters(allow_substitute=True).find("nodejs22.x")

    assert found.version == (23, 1, 0)
    assert found.note.startswith("nodejs22.x runs on Node.js 23.1.0 (")


async def test_a_program_that_tells_another_version_than_its_name_is_passed_over(tmp_path: Path, home: Path) -> None:
    program(tmp_path / "bin" / "python3.99", "3.8.1")
    program(home / ".pyenv/versions/3.99.0/bin/python3.99", "3.99.0")

    assert (await Interpreters(allow_substitute=False).find("python3.99")).version == (3, 99, 0)


@pytest.mark.parametrize("runtime", ["java21", "python2.7", "nodejs", "", "python3.12; rm -rf /"])
async def test_what_is_neither_python_nor_node_is_unknown(runtime: str) -> None:
    with pytest.raises(RuntimeUnknown):
        await Interpreters(allow_substitute=True).find(runtime)


@pytest.mark.parametrize("runtime", ["python3.99", "nodejs99.x"])
async def test_whoever_has_no_home_has_what_is_on_path(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    def nobody(_user: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(InterpreterMissing):
        await Interpreters(allow_substitute=False).find(runtime)
    found = program(
        tmp_path / "bin" / {"p": "python3.99", "n": "node"}[runtime[0]], "99.0.1" if "node" in runtime else "3.99.1"
    )

    assert (await Interpreters(allow_substitute=False).find(runtime)).path == str(found)
