"""What layers put in /opt is found there, by modules, programs and libraries."""

from pathlib import Path

import pytest

from tests.fakes.runtime_owner import RuntimeOwner
from tests.integration.launch.test_environment_process import HERE
from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters
from workshape.settings import FunctionSettings


@pytest.fixture
def layers(tmp_path: Path) -> str:
    for folder in (f"python/lib/{HERE}/site-packages", "nodejs/node_modules/parcel", "bin"):
        (tmp_path / "layers" / folder).mkdir(parents=True)
    (tmp_path / "layers/python/parcel.py").write_text("VALUE = 'of a layer'")
    (tmp_path / f"layers/python/lib/{HERE}/site-packages/deep.py").write_text("VALUE = 'deep'")
    (tmp_path / "layers/nodejs/node_modules/parcel/index.js").write_text("exports.VALUE = 'of a layer';")
    (tmp_path / "layers/bin/tool").write_text("#!/bin/sh\necho tool of a layer\n")
    (tmp_path / "layers/bin/tool").chmod(0o755)
    return str(tmp_path / "layers")


@pytest.mark.parametrize("start", ["stem", "exec"])
async def test_python_finds_modules_and_programs_of_layers(tmp_path: Path, code: Path, layers: str, start: str) -> None:
    (code / "index.py").write_text(
        "import deep, parcel, subprocess\n"
        "def handler(event, context): return parcel.VALUE, deep.VALUE, subprocess.check_output(['tool'], text=True)"
    )
    owner = RuntimeOwner(tmp_path / "environments", FunctionSettings(start="stem" if start == "stem" else "exec"))
    try:
        environment, _ = await owner.started(code, runtime=HERE, layers=layers)

        assert await owner.invoke(environment) == ("", ["of a layer", "deep", "tool of a layer\n"])
    finally:
        await owner.close()


async def test_nodejs_finds_modules_of_layers(tmp_path: Path, code: Path, layers: str) -> None:
    try:
        await Interpreters(allow_substitute=True).find("nodejs22.x")
    except InterpreterMissing as missing:
        pytest.skip(str(missing))
    (code / "index.js").write_text("exports.handler = async () => require('parcel').VALUE;")
    owner = RuntimeOwner(tmp_path / "environments", FunctionSettings(allow_substitute=True))
    try:
        environment, _ = await owner.started(code, runtime="nodejs22.x", layers=layers)

        assert await owner.invoke(environment) == ("", "of a layer")
    finally:
        await owner.close()


async def test_a_function_without_layers_finds_nothing_of_anothers(
    owner: RuntimeOwner, code: Path, layers: str
) -> None:
    (code / "index.py").write_text(
        "import os\ndef handler(event, context): return os.path.exists('/opt/python/parcel.py')"
    )
    if await owner.launcher.why_no_sandbox():
        pytest.skip("without a sandbox /opt is the machine's")
    first, _ = await owner.started(code, runtime=HERE, layers=layers)
    second, _ = await owner.started(code, runtime=HERE)

    assert await owner.invoke(first) == ("", True)
    assert await owner.invoke(second) == ("", False)
