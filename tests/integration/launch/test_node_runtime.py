"""JavaScript functions on our Runtime API client."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.runtime_owner import RuntimeOwner
from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters
from workshape.settings import FunctionSettings

OLD, NEW = "nodejs22.x", "nodejs24.x"
"""The last runtime with callback handlers, and the first without. Any Node.js of the machine may play either."""

KNOWN = ("LANG", "LD_LIBRARY_PATH", "NODE_PATH", "PATH", "TZ", "_HANDLER")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[RuntimeOwner]:
    try:
        await Interpreters(allow_substitute=True).find(NEW)
    except InterpreterMissing as missing:
        pytest.skip(str(missing))
    owner = RuntimeOwner(tmp_path / "environments", FunctionSettings(allow_substitute=True))
    yield owner
    await owner.close()


async def invoke(
    owner: RuntimeOwner, code: Path, text: str, event: Any = None, *, runtime: str = NEW, file: str = "index.js"
) -> tuple[str, Any]:
    (code / file).write_text(text)
    environment, _ = await owner.started(code, runtime=runtime)
    return await owner.invoke(environment, event)


async def test_a_hundred_invocations_are_served_one_after_the_other(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text(
        "let n = 0; exports.handler = async (event, context) => ({ event, n: ++n, id: context.awsRequestId });"
    )
    environment, _ = await node.started(code, runtime=NEW)

    for number in range(100):
        error, value = await node.invoke(environment, {"text": "ü" * number})
        assert (error, value["n"], value["event"]) == ("", number + 1, {"text": "ü" * number})


async def test_a_function_finds_nothing_of_what_was_rehearsed_before_it(node: RuntimeOwner, code: Path) -> None:
    text = """exports.handler = async () => ({
        modules: Object.keys(require.cache).map((file) => file.split("/").pop()).sort(),
        handles: process.getActiveResourcesInfo().filter((kind) => kind !== "PipeWrap"),
        names: Object.keys(process.env).filter((name) => !/^(AWS|LAMBDA)_/.test(name)),
    });"""

    error, found = await invoke(node, code, text)

    assert error == ""
    assert found["modules"] == ["index.js", "rehearsal.js", "response_stream.js", "runtime_client.js"]
    assert found["handles"] == []
    assert {"PATH", "TZ", "_HANDLER"} <= set(found["names"]) <= {*KNOWN, "HOME", "TMPDIR"}


@pytest.mark.parametrize("runtime", [OLD, NEW])
async def test_the_largest_event_and_response_pass(node: RuntimeOwner, code: Path, runtime: str) -> None:
    text = "x" * (6 * 1024 * 1024 - 200)

    assert await invoke(node, code, "exports.handler = async (event) => event;", text, runtime=runtime) == ("", text)


async def test_the_context_says_what_lambda_says(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text(
        """exports.handler = async (event, context) => {
            const left = context.getRemainingTimeInMillis();
            const { functionName, functionVersion, memoryLimitInMB, logGroupName } = context;
            const { invokedFunctionArn, clientContext } = context;
            return { left: left > 0 && left <= 3000, functionName, functionVersion, memoryLimitInMB, logGroupName,
                invokedFunctionArn, clientContext, trace: process.env._X_AMZN_TRACE_ID };
        };"""
    )
    environment, _ = await node.started(code, runtime=NEW)

    _, value = await node.invoke(environment, trace_id="Root=1-5", client_context='{"custom":{"k":"é"}}')
    _, without = await node.invoke(environment)

    assert value == {
        "left": True,
        "functionName": "f",
        "functionVersion": "$LATEST",
        "memoryLimitInMB": "512",
        "logGroupName": "/aws/lambda/f",
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "clientContext": {"custom": {"k": "é"}},
        "trace": "Root=1-5",
    }
    assert "trace" not in without
    assert "clientContext" not in without


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("index.mjs", "const value = await Promise.resolve('esm'); export const handler = async () => value;"),
        ("index.cjs", "exports.handler = async () => 'esm';"),
        ("index.js", "module.exports = { handler: () => 'esm' };"),
    ],
)
async def test_modules_of_every_kind_are_loaded(node: RuntimeOwner, code: Path, file: str, text: str) -> None:
    assert await invoke(node, code, text, file=file) == ("", "esm")


async def test_a_js_file_is_a_module_when_its_package_says_so(node: RuntimeOwner, code: Path) -> None:
    (code / "package.json").write_text('{"type": "module"}')

    assert await invoke(node, code, "export default { handler: async () => import.meta.url.slice(0, 8) };") == (
        "",
        "file:///",
    )


async def test_a_handler_may_be_nested_and_live_in_a_folder(node: RuntimeOwner, code: Path) -> None:
    (code / "sub").mkdir()
    (code / "sub" / "deep.js").write_text("exports.a = { b: async () => 'nested' };")
    environment, _ = await node.started(code, runtime=NEW, handler="sub/deep.a.b")

    assert await node.invoke(environment) == ("", "nested")


CALLBACKS = {
    "an error": ("(e, c, cb) => cb(new Error('bad'))", "bad"),
    "a value": ("(e, c, cb) => { setTimeout(() => cb(null, 'value'), 5); }", "value"),
    "a value that waits for the event loop": (
        "(e, c, cb) => { let late = 'early'; setTimeout(() => { late = 'late'; }, 20); "
        "cb(null, { toJSON: () => late }); }",
        "late",
    ),
    "a value that does not": (
        "(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; let late = 'early'; "
        "setTimeout(() => { late = 'late'; }, 20); cb(null, { toJSON: () => late }); }",
        "early",
    ),
    "context.succeed": ("(e, c) => c.succeed('value')", "value"),
    "context.done": ("(e, c) => c.done(null, 'value')", "value"),
    "nothing": ("(e, c, cb) => {}", None),
    "a promise that never settles": ("() => new Promise(() => {})", None),
    "two calls": ("(e, c, cb) => { c.succeed('first'); cb(null, 'second'); }", "first"),
}


@pytest.mark.parametrize("case", CALLBACKS)
async def test_the_older_runtimes_have_callbacks(node: RuntimeOwner, code: Path, case: str) -> None:
    handler, expected = CALLBACKS[case]
    (code / "index.js").write_text(f"exports.handler = {handler};")
    environment, _ = await node.started(code, runtime=OLD)

    for _ in range(2):
        error, value = await node.invoke(environment)
        assert (value["errorMessage"] if error else value) == expected


async def test_the_newer_runtimes_refuse_callback_handlers(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text("exports.handler = (event, context, callback) => callback(null, 1);")

    environment, _ = await node.start(code, runtime=NEW)
    heard = await node.until(environment, lambda heard: heard.exit)

    assert heard.init_error is not None
    assert heard.init_error[0] == "Runtime.CallbackHandlerDeprecated"
    assert heard.init_error[1]["errorMessage"].startswith("ERROR: AWS Lambda has removed support for callback-based")


FAILURES = {
    "throw new TypeError('no\\nway')": ("TypeError", "no\nway"),
    "throw 'text'": ("string", "text"),
    "const a = {}; a.a = a; return a": ("Runtime.JSONStringifyError", "Unable to stringify response body: "),
    "class Odd extends Error { constructor() { super('odd'); this.name = 'Odd\\u2603'; } }; throw new Odd()": (
        "Odd?",
        "odd",
    ),
}


@pytest.mark.parametrize("body", FAILURES)
@pytest.mark.parametrize("runtime", [OLD, NEW])
async def test_a_failure_is_an_error_of_lambdas_shape(node: RuntimeOwner, code: Path, body: str, runtime: str) -> None:
    (code / "index.js").write_text(f"exports.handler = async () => {{ {body} }};")
    environment, _ = await node.started(code, runtime=runtime)

    for _ in range(2):
        error, value = await node.invoke(environment)
        kind, message = FAILURES[body]
        assert error == kind
        assert value["errorMessage"].startswith(message)
        assert set(value) == {"errorType", "errorMessage", "trace"}
    logged = node.heard[environment].output[0].split("\t")
    assert logged[1:4] == [node.heard[environment].answers[0][0], "ERROR", "Invoke Error "]


INIT_ERRORS = {
    "nosuch.handler": ("Runtime.ImportModuleError", "Error: Cannot find module 'nosuch'"),
    "needy.handler": ("Runtime.ImportModuleError", "Error: Cannot find module 'not-here'"),
    "needier.handler": ("Runtime.ImportModuleError", "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'not-here'"),
    "index.nosuch": ("Runtime.HandlerNotFound", "index.nosuch is undefined or not exported"),
    "index.value": ("Runtime.HandlerNotFound", "index.value is not a function"),
    "broken.handler": ("Runtime.UserCodeSyntaxError", ""),
    "nodot": ("Runtime.MalformedHandlerName", "Bad handler"),
    "../index.handler": ("Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name"),
    "raising.handler": ("RangeError", "at load"),
}


@pytest.mark.parametrize("handler", INIT_ERRORS)
async def test_what_cannot_be_loaded_is_an_init_error(node: RuntimeOwner, code: Path, handler: str) -> None:
    (code / "index.js").write_text("exports.value = 3;")
    (code / "needy.js").write_text("require('not-here');")
    (code / "needier.mjs").write_text("import 'not-here';")
    (code / "broken.js").write_text("exports.x = (")
    (code / "raising.js").write_text("throw new RangeError('at load');")

    environment, _ = await node.start(code, runtime=NEW, handler=handler)
    heard = await node.until(environment, lambda heard: heard.exit)

    assert heard.init_error is not None
    kind, message = INIT_ERRORS[handler]
    assert (heard.init_error[0], heard.init_error[1]["errorType"]) == (kind, kind)
    assert heard.init_error[1]["errorMessage"].startswith(message)
    assert (heard.exit, heard.ready) == ("exit status 1", 0)


UNCAUGHT = {
    "Promise.reject(new Error('nobody'))": ("Runtime.UnhandledPromiseRejection", "Error: nobody", "exit status 128"),
    "setTimeout(() => { throw new RangeError('later'); }, 5)": ("RangeError", "later", "exit status 129"),
}


@pytest.mark.parametrize("body", UNCAUGHT)
async def test_what_nobody_catches_fails_the_invocation_and_ends_the_process(
    node: RuntimeOwner, code: Path, body: str
) -> None:
    wait = "await new Promise((resolve) => setTimeout(resolve, 200));"
    (code / "index.js").write_text(f"exports.handler = async () => {{ {body}; {wait} }};")
    environment, _ = await node.started(code, runtime=OLD)

    request_id = node.dispatch(environment)
    heard = await node.until(environment, lambda heard: heard.exit)

    kind, message, words = UNCAUGHT[body]
    [(answered, error_type, value)] = heard.answers
    assert (answered, error_type, value["errorMessage"], heard.exit) == (request_id, kind, message, words)


async def test_what_nobody_catches_while_loading_is_an_init_error(node: RuntimeOwner, code: Path) -> None:
    (code / "index.mjs").write_text(
        "setTimeout(() => { throw new Error('late'); }, 1); await new Promise(() => setTimeout(() => {}, 999));"
    )

    environment, _ = await node.start(code, runtime=OLD)
    heard = await node.until(environment, lambda heard: heard.exit)

    assert heard.init_error is not None
    assert (heard.init_error[0], heard.exit) == ("Error", "exit status 129")


@pytest.mark.parametrize(
    ("body", "words"), [("process.exit(3)", "exit status 3"), ("return new Promise(() => {})", "exit status 0")]
)
async def test_a_process_that_ends_without_an_answer_is_an_exit(
    node: RuntimeOwner, code: Path, body: str, words: str
) -> None:
    (code / "index.js").write_text(f"exports.handler = async () => {{ {body}; }};")
    environment, _ = await node.started(code, runtime=NEW)

    node.dispatch(environment)
    heard = await node.until(environment, lambda heard: heard.exit)

    assert (heard.exit, heard.answers) == (words, [])


async def test_a_response_over_the_limit_fails_and_the_process_ends(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text("exports.handler = async () => 'x'.repeat(7 * 1024 * 1024);")
    environment, _ = await node.started(code, runtime=NEW)

    node.dispatch(environment)
    heard = await node.until(environment, lambda heard: heard.exit)

    assert [answer[1] for answer in heard.answers] == ["Function.ResponseSizeTooLarge"]
    assert heard.ready == 1


async def test_console_lines_are_log_events_in_lambdas_text_format(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text(
        """console.log("loading");
        exports.handler = async () => {
            console.log("a %s", "b", { c: 1 }); console.error("two\\nlines"); console.debug("d");
        };"""
    )
    environment, _ = await node.started(code, runtime=NEW)
    await node.invoke(environment)
    heard = node.heard[environment]
    request_id = heard.answers[0][0]
    fields = [line.split("\t") for line in heard.output]

    assert fields[0][1:] == ["undefined", "INFO", "loading"]
    assert [line[1:] for line in fields[1:]] == [
        [request_id, "INFO", "a b { c: 1 }"],
        [request_id, "ERROR", "two\nlines"],
        [request_id, "DEBUG", "d"],
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line[0]) for line in fields)


async def test_console_lines_are_json_when_the_function_says_so(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text(
        """exports.handler = async () => {
            console.info({ a: 1 }); console.warn("b %d", 2); console.debug("hidden");
            console.error("c", new TypeError("no"));
        };"""
    )
    environment, _ = await node.started(code, runtime=NEW, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
    await node.invoke(environment)
    events = [json.loads(line) for line in node.heard[environment].output]

    assert [(event["level"], event["message"]) for event in events[:2]] == [("INFO", {"a": 1}), ("WARN", "b 2")]
    assert len(events) == 3
    assert (events[2]["errorType"], events[2]["errorMessage"]) == ("TypeError", "no")
    assert {event["requestId"] for event in events} == {node.heard[environment].answers[0][0]}


async def test_the_connection_survives_a_freeze(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text("let n = 0; setInterval(() => n++, 2); exports.handler = async () => n;")
    environment, process = await node.started(code, runtime=NEW)
    _, before = await node.invoke(environment)
    process.freeze()
    process.thaw()
    process.freeze()

    node.dispatch(environment)
    process.thaw()
    heard = await node.until(environment, lambda heard: heard.ready == 3)

    assert heard.answers[-1][2] >= before
