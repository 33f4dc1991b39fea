"""What functions of another Python import is compiled before their environments need it."""

import sys
from pathlib import Path

import pytest

from workshape.functions.launch.bytecode import Bytecode
from workshape.functions.launch.interpreters import Interpreter, InterpreterMissing, Interpreters


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "below").mkdir(parents=True)
    for module in (folder / "__init__.py", folder / "below" / "__init__.py", tmp_path / "alone.py"):
        module.write_text("NUMBER = 1\n")
    return folder


async def another() -> Interpreter:
    for minor in (10, 12, 13, 14):
        if minor == sys.version_info[1]:
            continue
        try:
            return await Interpreters(allow_substitute=False).find(f"python3.{minor}")
        except InterpreterMissing:
            continue
    pytest.skip("this machine has no Python from 3.10 to 3.14 but the one that runs the tests")


async def test_packages_and_modules_are_compiled_for_another_python_and_once(package: Path) -> None:
    interpreter = await another()
    bytecode = Bytecode()

    bytecode.want(interpreter, [str(package), str(package.parent / "alone.py")])
    bytecode.want(interpreter, [str(package)])
    await bytecode.finish()

    tag = f"cpython-3{interpreter.version[1]}"
    made = sorted(path.relative_to(package.parent).as_posix() for path in package.parent.rglob("*.pyc"))
    assert made == [
        f"__pycache__/alone.{tag}.pyc",
        f"package/__pycache__/__init__.{tag}.pyc",
        f"package/below/__pycache__/__init__.{tag}.pyc",
    ]


async def test_nothing_is_compiled_for_the_python_that_installed_it(package: Path) -> None:
    bytecode = Bytecode()

    major, minor, micro = sys.version_info[:3]
    bytecode.want(Interpreter("python", sys.executable, (major, minor, micro)), [str(package)])
    await bytecode.finish()

    assert not list(package.rglob("*.pyc"))


async def test_what_is_under_way_is_ended_with_the_engine(package: Path) -> None:
    interpreter = await another()
    for number in range(1_000):
        (package / f"module_{number}.py").write_text("NUMBER = 1\n")
    bytecode = Bytecode()
    bytecode.want(interpreter, [str(package)])

    await bytecode.close()

    assert len(list(package.rglob("*.pyc"))) < 1_000

    assert repr(bytecode) == "<Bytecode begun=1 compiling=0>"
