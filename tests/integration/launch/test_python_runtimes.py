"""Python functions: on AWS's own client, and on ours, which must not differ where a function could notice."""

import importlib.util
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.runtime_owner import RuntimeOwner
from workshape.functions.launch import runtimes
from workshape.settings import FunctionSettings

HERE = f"python3.{sys.version_info.minor}"
INDEX = """
import decimal, logging, os, sys, time
count = 0
print("loaded")
def handler(event, context):
    global count
    count += 1
    print("event", event)
    return {"event": event, "id": context.aws_request_id, "count": count, "snow": "\\u2603"}
def describe(event, context):
    left = context.get_remaining_time_in_millis()
    client = context.client_context
    return {
        "left": 0 < left <= 3000, "arn": context.invoked_function_arn, "name": context.function_name,
        "version": context.function_version, "memory": context.memory_limit_in_mb, "group": context.log_group_name,
        "stream": context.log_stream_name, "client": [client.custom, client.env, client.client.app_title],
        "identity": context.identity.cognito_identity_id, "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "path": sys.path[0],
    }
def inner():
    raise ValueError("no\\nway")
def fail(event, context):
    return [inner()]
def unserialisable(event, context):
    return object()
def number(event, context):
    return [decimal.Decimal("1.5")]
def log(event, context):
    logging.getLogger().setLevel(logging.INFO)
    logging.info("told %s", event)
    logging.getLogger("x").warning("warned")
def traceback(event, context):
    print("of\\ntwo lines")
    try:
        inner()
    except ValueError:
        logging.getLogger().exception("caught")
    sys.stdout.write("unfinished")
    return "_LAMBDA_TELEMETRY_LOG_FD" in os.environ
def leave(event, context):
    sys.exit(4)
def packages(event, context):
    import importlib
    found = []
    for name in ("boto3", "dateutil", "workshape", "uvloop", "msgspec", "pytest", "moto"):
        try:
            importlib.import_module(name)
            found.append(name)
        except ImportError:
            pass
    return found
"""


@pytest.fixture(params=["stem", "aws", "ours"])
async def either(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RuntimeOwner]:
    """An owner whose Python environments are stems; then executed, on AWS's client; then executed, on ours."""
    if request.param == "ours":
        monkeypatch.setattr(runtimes, "RUNTIME_CLIENT", "absent-on-this-machine")
    elif importlib.util.find_spec("awslambdaric") is None:
        pytest.skip("awslambdaric is not installed")
    settings = FunctionSettings(start="stem" if request.param == "stem" else "exec")
    owner = RuntimeOwner(tmp_path / "environments", settings)
    yield owner
    await owner.close()


@pytest.fixture
def index(code: Path) -> Path:
    (code / "index.py").write_text(INDEX)
    return code


async def invoke(owner: RuntimeOwner, code: Path, name: str, event: Any = None, **fields: Any) -> tuple[str, Any]:
    environment, _ = await owner.started(code, runtime=HERE, handler=f"index.{name}")
    return await owner.invoke(environment, event, **fields)


async def test_a_hundred_invocations_are_served_one_after_the_other(either: RuntimeOwner, index: Path) -> None:
    environment, _ = await either.started(index, runtime=HERE)

    for number in range(100):
        error, value = await either.invoke(environment, {"number": number, "text": "ü" * number})
        assert error == ""
        assert value["event"] == {"number": number, "text": "ü" * number}
        assert value["count"] == number + 1

    assert either.heard[environment].output[:2] == ["loaded", "event {'number': 0, 'text': ''}"]


async def test_the_largest_event_and_response_pass(either: RuntimeOwner, index: Path) -> None:
    error, value = await invoke(either, index, "handler", "x" * (6 * 1024 * 1024 - 200))

    assert error == ""
    assert len(value["event"]) == 6 * 1024 * 1024 - 200


async def test_the_context_says_what_lambda_says(either: RuntimeOwner, index: Path) -> None:
    context = {"custom": {"k": "é"}, "env": {"e": "1"}, "client": {"app_title": "app"}}

    _, value = await invoke(
        either, index, "describe", trace_id="Root=1-5;Sampled=0", client_context=json.dumps(context, ensure_ascii=False)
    )

    assert value == {
        "left": True,
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "name": "f",
        "version": "$LATEST",
        "memory": "512",
        "group": "/aws/lambda/f",
        "stream": "2026/11/24/[$LATEST]0",
        "client": [{"k": "é"}, {"e": "1"}, "app"],
        "identity": None,
        "trace": "Root=1-5;Sampled=0",
        "path": await either.task_root(index),
    }


async def test_an_exception_is_an_error_with_the_functions_own_frames(either: RuntimeOwner, index: Path) -> None:
    environment, _ = await either.started(index, runtime=HERE, handler="index.fail")

    _, value = await either.invoke(environment)
    request_id = either.heard[environment].answers[0][0]
    root = await either.task_root(index)

    assert (value["errorType"], value["errorMessage"], value["requestId"]) == ("ValueError", "no\nway", request_id)
    assert [re.sub(r"line \d+", "line N", frame) for frame in value["stackTrace"]] == [
        f'  File "{root}/index.py", line N, in fail\n    return [inner()]\n',
        f'  File "{root}/index.py", line N, in inner\n    raise ValueError("no\\nway")\n',
    ]
    assert (await either.invoke(environment))[1]["errorType"] == "ValueError"
    [line] = [line for line in either.heard[environment].output if line.startswith("[ERROR]")][:1]
    assert line.startswith("[ERROR] ValueError: no")


async def test_a_result_that_is_no_json_is_a_marshal_error(either: RuntimeOwner, index: Path) -> None:
    _, value = await invoke(either, index, "unserialisable")

    assert value["errorType"] == "Runtime.MarshalError"
    assert value["errorMessage"] == "Unable to marshal response: Object of type object is not JSON serializable"


async def test_decimals_are_numbers(either: RuntimeOwner, index: Path) -> None:
    assert await invoke(either, index, "number") == ("", [1.5])


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
async def test_log_lines_carry_level_time_and_request(either: RuntimeOwner, index: Path, log_format: str) -> None:
    environment, _ = await either.started(index, runtime=HERE, handler="index.log", AWS_LAMBDA_LOG_FORMAT=log_format)
    await either.invoke(environment, "it")
    request_id = either.heard[environment].answers[0][0]
    lines = [line for line in either.heard[environment].output if line not in ("", "loaded")]

    if log_format == "JSON":
        assert [json.loads(line)["message"] for line in lines] == ["told it", "warned"]
        assert json.loads(lines[0])["requestId"] == request_id
    else:
        assert re.fullmatch(rf"\[INFO\]\t[0-9T:.-]+Z\t{request_id}\ttold it", lines[0])
        assert re.fullmatch(rf"\[WARNING\]\t[0-9T:.-]+Z\t{request_id}\twarned", lines[1])


async def test_what_is_logged_at_once_is_one_event_and_what_is_printed_one_for_each_line(
    either: RuntimeOwner, index: Path
) -> None:
    environment, process = await either.started(index, runtime=HERE, handler="index.traceback")
    assert await either.invoke(environment) == ("", False)
    process.drain_output()
    failing, _ = await either.started(index, runtime=HERE, handler="index.fail")
    await either.invoke(failing)

    loaded, *printed, logged, rest = either.heard[environment].output
    assert (loaded, printed, rest) == ("loaded", ["of", "two lines"], "unfinished")
    first, second, *frames, last = logged.split("\n")
    assert first.endswith("\tcaught")
    assert (second, last) == ("Traceback (most recent call last):", "way")
    assert len(frames) >= 4
    [told] = [line for line in either.heard[failing].output if line.startswith("[ERROR]")]
    assert told.startswith("[ERROR] ValueError: no\nway\nTraceback (most recent call last):\n")


async def test_what_exit_handlers_write_is_heard(either: RuntimeOwner, index: Path) -> None:
    (index / "leaving.py").write_text(
        "import atexit, sys\natexit.register(print, 'bye')\ndef handler(event, context): sys.exit(4)\n"
    )
    environment, _ = await either.started(index, runtime=HERE, handler="leaving.handler")
    either.dispatch(environment)

    heard = await either.until(environment, lambda heard: heard.exit)

    assert heard.exit == "exit status 4"
    assert heard.output == ["bye"]


async def test_a_function_may_have_a_search_path_of_its_own(either: RuntimeOwner, index: Path) -> None:
    (index / "more").mkdir()
    (index / "more" / "beside.py").write_text("FOUND = True")
    (index / "searching.py").write_text("import beside, boto3\ndef handler(event, context): return beside.FOUND\n")
    more = f"{await either.task_root(index)}/more"

    environment, _ = await either.started(index, runtime=HERE, handler="searching.handler", PYTHONPATH=more)

    assert await either.invoke(environment) == ("", True)


async def test_an_exit_in_the_handler_is_an_exit(either: RuntimeOwner, index: Path) -> None:
    environment, _ = await either.started(index, runtime=HERE, handler="index.leave")
    either.dispatch(environment)

    assert (await either.until(environment, lambda heard: heard.exit)).exit == "exit status 4"


async def test_a_function_finds_the_sdk_and_none_of_workshapes_packages(either: RuntimeOwner, index: Path) -> None:
    assert await invoke(either, index, "packages") == ("", ["boto3", "dateutil"])


INIT_ERRORS = {
    "nosuch.handler": ("Runtime.ImportModuleError", "Unable to import module 'nosuch': No module named 'nosuch'"),
    "needy.handler": ("Runtime.ImportModuleError", "Unable to import module 'needy': No module named 'not_here'"),
    "index.nosuch": ("Runtime.HandlerNotFound", "Handler 'nosuch' missing on module 'index'"),
    "broken.handler": ("Runtime.UserCodeSyntaxError", "Syntax error in module 'broken': "),
    "nodot": ("Runtime.MalformedHandlerName", "Bad handler 'nodot': "),
    "sys.handler": ("Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
    "raising.handler": ("ZeroDivisionError", "division by zero"),
}


@pytest.mark.parametrize("handler", INIT_ERRORS)
async def test_what_cannot_be_loaded_is_an_init_error(either: RuntimeOwner, index: Path, handler: str) -> None:
    (index / "needy.py").write_text("import not_here")
    (index / "broken.py").write_text("def handler(:\n")
    (index / "raising.py").write_text("1 / 0\n")

    environment, _ = await either.start(index, runtime=HERE, handler=handler)
    heard = await either.until(environment, lambda heard: heard.exit)

    assert heard.init_error is not None
    error_type, value = heard.init_error
    kind, message = INIT_ERRORS[handler]
    assert (error_type, value["errorType"]) == (kind, kind)
    assert value["errorMessage"].startswith(message)
    assert heard.exit == "exit status 1"
    assert heard.ready == 0
    if handler == "raising.handler":
        assert value["stackTrace"][-1].split(", ")[0] == f'  File "{await either.task_root(index)}/raising.py"'


async def test_a_handler_may_live_in_a_folder(either: RuntimeOwner, index: Path) -> None:
    (index / "package").mkdir()
    (index / "package" / "deep.py").write_text("def handler(event, context): return 'deep'")

    for name in ("package/deep.handler", "package.deep.handler"):
        environment, _ = await either.started(index, runtime=HERE, handler=name)
        assert await either.invoke(environment) == ("", "deep")


def _other_versions() -> list[str]:
    others = [minor for minor in range(10, 15) if minor != sys.version_info.minor]
    folders = [Path.home() / ".pyenv/versions", Path("/usr/bin")]
    here: Callable[[int], bool] = lambda minor: any(  # noqa: E731 - a predicate of one line
        any(folder.glob(f"python3.{minor}")) or any(folder.glob(f"3.{minor}.*")) for folder in folders
    )
    return [f"python3.{minor}" for minor in others if here(minor)]


@pytest.mark.parametrize("runtime", _other_versions())
async def test_other_interpreters_of_this_machine_serve_on_awss_bootstrap(
    owner: RuntimeOwner, index: Path, runtime: str
) -> None:
    (index / "version.py").write_text(
        "import sys, boto3\ndef handler(event, context): return '%d.%d' % sys.version_info[:2], sys.executable"
    )

    environment, _ = await owner.started(index, runtime=runtime, handler="version.handler")
    _, (version, program) = await owner.invoke(environment)

    assert f"python{version}" == runtime
    assert "shims" not in os.path.realpath(program)
    assert owner.notes == []
