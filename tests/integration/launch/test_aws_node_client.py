"""AWS's own Runtime API client for Node.js, unmodified, on our Runtime API.

It is compiled C++ (about 80 s, once a machine: it is kept in the user's cache folder), so it is not what functions
run on by default; that it works here shows that our Runtime API is AWS's.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.fakes.runtime_owner import RuntimeOwner
from workshape.functions.launch.build_tools import find_npm
from workshape.functions.launch.interpreters import Interpreter, InterpreterMissing, Interpreters

VERSION = "4.0.2"
NODE_MAJOR_MIN = 22  # what that version asks for
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "workshape" / "tests"
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="aws-lambda-ric builds on Linux only"),
]


async def run(arguments: list[str], folder: Path, variables: dict[str, str]) -> str:
    """Run one step of the build; return its output when it fails, else nothing."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=folder,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return "" if process.returncode == 0 else output.decode(errors="replace")[-1500:] or "no output"


async def build(node: Interpreter, target: Path) -> None:
    """Install and compile the client into a new folder, then move that into place."""
    program = Path(node.path)
    headers = next((folder for folder in program.parents if (folder / "include/node/node.h").exists()), None)
    missing = [tool for tool in ("g++", "make", "cmake", "python3", "tar") if shutil.which(tool) is None]
    if missing or headers is None:
        pytest.skip(f"aws-lambda-ric cannot be built: no {', '.join(missing) or 'Node.js headers'}")
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=CACHE))
    npm = find_npm("aws-lambda-ric", node)
    # The package's scripts call `npm` and `node`: they must find the ones it is built for.
    tools = unfinished / "bin"
    tools.mkdir()
    (tools / "node").symlink_to(program)
    (tools / "npm").write_text("#!/bin/sh\nexec " + " ".join(f'"{part}"' for part in npm.command) + ' "$@"\n')
    (tools / "npm").chmod(0o755)
    variables = {"PATH": f"{tools}:{os.environ['PATH']}", "npm_config_nodedir": str(headers)}
    package = unfinished / "node_modules" / "aws-lambda-ric"
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", f"aws-lambda-ric@{VERSION}"]
    try:
        if error := await run(install, unfinished, variables):
            pytest.skip(f"aws-lambda-ric cannot be fetched: {error}")
        for script in ("preinstall", "postinstall"):
            if error := await run(["sh", f"scripts/{script}.sh"], package, variables):
                pytest.skip(f"aws-lambda-ric does not build here ({script}): {error}")
        unfinished.rename(target)
    except OSError:
        if not target.exists():  # another test run may have been faster
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@pytest.fixture
async def client() -> tuple[str, Path]:
    """The program and the script that are AWS's client."""
    try:
        node = await Interpreters(allow_substitute=True).find("nodejs24.x")
    except InterpreterMissing as missing:
        pytest.skip(str(missing))
    if node.version[0] < NODE_MAJOR_MIN:
        pytest.skip(f"aws-lambda-ric {VERSION} needs Node.js {NODE_MAJOR_MIN}, this is {node.version}")
    target = CACHE / f"aws-lambda-ric-{VERSION}-node{node.version[0]}"
    if not target.exists():
        await build(node, target)
    return node.path, target / "node_modules" / "aws-lambda-ric" / "index.mjs"


def as_custom_runtime(code: Path, client: tuple[str, Path], text: str) -> None:
    """Lay out what a deployment package of a custom runtime has: the program, the client and the function."""
    program, script = client
    shutil.copy(os.path.realpath(program), code / "node")
    shutil.copytree(script.parent, code / "client", symlinks=True, ignore=shutil.ignore_patterns("deps", "*.o"))
    (code / "index.mjs").write_text(text)
    (code / "bootstrap").write_text(
        f'#!/bin/sh\nexec "$LAMBDA_TASK_ROOT/node" "$LAMBDA_TASK_ROOT/client/{script.name}"\n'
    )
    (code / "bootstrap").chmod(0o755)


async def test_aws_own_node_client_serves_invocations_and_errors(
    owner: RuntimeOwner, code: Path, client: tuple[str, Path]
) -> None:
    text = """
        let count = 0;
        export const handler = async (event, context) => {
            console.log("event", event.number);
            if (event.fail) throw new TypeError(event.fail);
            return { count: ++count, event, id: context.awsRequestId, left: context.getRemainingTimeInMillis() > 0 };
        };"""
    as_custom_runtime(code, client, text)
    environment, process = await owner.started(code, runtime="provided.al2023")

    for number in range(100):
        error, value = await owner.invoke(environment, {"number": number})
        request_id = owner.heard[environment].answers[-1][0]
        assert error == ""
        assert value == {"count": number + 1, "event": {"number": number}, "id": request_id, "left": True}
    error, value = await owner.invoke(environment, {"fail": "no"})
    process.freeze()
    process.thaw()
    _, after = await owner.invoke(environment, {"number": "last"}, client_context='{"custom": {"k": "é"}}')

    assert (error, value["errorMessage"]) == ("TypeError", "no")
    assert after["count"] == 101
    assert owner.heard[environment].output[0].split("\t")[2:] == ["INFO", "event 0"]


async def test_aws_own_node_client_streams_and_fails_in_the_middle(
    owner: RuntimeOwner, code: Path, client: tuple[str, Path]
) -> None:
    text = """export const handler = awslambda.streamifyResponse(async (event, stream) => {
            stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
            for (const word of event.words) stream.write(word);
            if (event.fail) throw new RangeError(event.fail);
            stream.end();
        });"""
    as_custom_runtime(code, client, text)
    environment, _ = await owner.started(code, runtime="provided.al2023")

    streamed = await owner.invoke_text(environment, {"words": ["a", "b" * 100_000]})
    error, value = await owner.invoke(environment, {"words": ["a"], "fail": "halfway"})
    again = await owner.invoke_text(environment, {"words": ["c"]})

    prelude = b'{"statusCode":201}' + bytes(8)
    assert streamed == prelude + b"a" + b"b" * 100_000
    assert (error, value["errorMessage"]) == ("RangeError", "halfway")
    assert again == prelude + b"c"


async def test_aws_own_node_client_tells_an_init_error(
    owner: RuntimeOwner, code: Path, client: tuple[str, Path]
) -> None:
    as_custom_runtime(code, client, "export const other = 1;")

    environment, _ = await owner.start(code, runtime="provided.al2023")
    heard = await owner.until(environment, lambda heard: heard.exit)

    assert heard.init_error is not None
    assert heard.init_error[0] == "Runtime.HandlerNotFound"
    assert heard.exit == "exit status 1"
