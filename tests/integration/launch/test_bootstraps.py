"""OS-only runtimes: the program called bootstrap, of the function or of a layer, and what may be wrong with it."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.fakes.runtime_owner import RuntimeOwner

HERE = f"python3.{sys.version_info.minor}"
RUNTIME = "provided.al2023"
SAYS_WHERE = """#!/bin/sh
curl -s -H 'Lambda-Runtime-Function-Error-Type: Here' -d '{"at": "'"$0"'"}' \\
  "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error" > /dev/null
"""


def bootstrap(folder: Path, text: str, mode: int = 0o755) -> None:
    """Write one."""
    folder.mkdir(exist_ok=True)
    folder.joinpath("bootstrap").write_text(text)
    folder.joinpath("bootstrap").chmod(mode)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.parametrize("own", [True, False], ids=["the function's", "a layer's"])
async def test_a_functions_own_goes_before_a_layers(owner: RuntimeOwner, code: Path, tmp_path: Path, own: bool) -> None:
    layers = tmp_path / "layers"
    bootstrap(layers, SAYS_WHERE)
    if own:
        bootstrap(code, SAYS_WHERE)

    environment, process = await owner.start(code, runtime=RUNTIME, layers=str(layers))
    heard = await owner.until(environment, lambda heard: heard.init_error)

    at_opt = "/opt" if await owner.task_root(code) != str(code) else str(layers)
    place = await owner.task_root(code) if own else at_opt
    assert heard.init_error == ("Here", {"at": f"{place}/bootstrap"})
    await process.kill()


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("", 0, "Couldn't find valid bootstrap(s): [{task}/bootstrap]"),
        ("#!/bin/sh\n", 0o644, "fork/exec {task}/bootstrap: permission denied"),
        ("no program", 0o755, "fork/exec {task}/bootstrap: exec format error"),
        ("#!/no/such/program\n", 0o755, "fork/exec {task}/bootstrap: no such file or directory"),
    ],
    ids=["missing", "not executable", "no program", "without its interpreter"],
)
async def test_one_that_cannot_be_run_is_an_error_of_the_function(
    owner: RuntimeOwner, code: Path, text: str, mode: int, why: str
) -> None:
    if text:
        bootstrap(code, text, mode)

    environment, _ = await owner.start(code, runtime=RUNTIME)
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.init_error is not None
    kind, body = heard.init_error
    assert (kind, body["errorType"]) == ("Runtime.InvalidEntrypoint", "Runtime.InvalidEntrypoint")
    assert body["errorMessage"] == "Error: " + why.format(task=await owner.task_root(code)).replace(
        "/bootstrap]", "/bootstrap /opt/bootstrap]"
    )


async def test_a_wrapper_that_is_not_there_is_an_error_of_the_function(owner: RuntimeOwner, code: Path) -> None:
    code.joinpath("index.py").write_text("def handler(event, context): return event")

    environment, _ = await owner.start(code, runtime=HERE, AWS_LAMBDA_EXEC_WRAPPER="/opt/wrapper")
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.init_error is not None
    assert heard.init_error[1]["errorMessage"] == "Error: fork/exec /opt/wrapper: no such file or directory"
