"""InvokeWithResponseStream over boto3, on real environments: what comes when, and every way it ends."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_functions import Gate, LiveFunctions, live_functions
from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters

STREAM = (
    "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    "Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n"
)
BUFFERED = 'POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n"whole"'
FIRST, SECOND, END = "5\r\nfirst\r\n", "6\r\nsecond\r\n", "0\r\n\r\n"


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveFunctions]:
    async with live_functions(tmp_path) as live:
        yield live


async def stream(live: LiveFunctions, *steps: list[Any], **more: Any) -> Any:
    """Begin a streamed invocation; what is returned may be iterated in a thread."""
    payload = json.dumps(steps).encode()
    return await live.client("invoke_with_response_stream", FunctionName="f", Payload=payload, **more)


async def whole(answer: Any) -> tuple[bytes, dict[str, Any]]:
    """Read a stream to its end: (body, InvokeComplete)."""
    events = await asyncio.to_thread(lambda: list(answer["EventStream"]))
    chunks, last = [event["PayloadChunk"]["Payload"] for event in events[:-1]], events[-1]
    return b"".join(chunks), last["InvokeComplete"]


async def test_each_chunk_reaches_the_caller_while_the_function_runs(live: LiveFunctions) -> None:
    await live.create_obedient()

    async with Gate() as gate:
        answer = await stream(live, ["send", STREAM + FIRST], ["wait", gate.port], ["send", SECOND + END], ["read"])
        events = iter(answer["EventStream"])
        first = await asyncio.to_thread(next, events)
        gate.open()
        second, complete = await asyncio.to_thread(lambda: list(events))

    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert first == {"PayloadChunk": {"Payload": b"first"}}
    assert second == {"PayloadChunk": {"Payload": b"second"}}
    assert complete == {"InvokeComplete": {}}
    [record] = live.written()
    assert (record.status, record.response_bytes) == ("success", 11)


async def test_the_end_has_the_log_when_it_is_asked_for(live: LiveFunctions) -> None:
    await live.create_obedient()

    _, complete = await whole(await stream(live, ["send", STREAM + FIRST + END], ["read"], LogType="Tail"))

    assert b64decode(complete["LogResult"]).startswith(b"START RequestId: ")
    assert b"REPORT RequestId: " in b64decode(complete["LogResult"])


async def test_a_function_that_does_not_stream_answers_in_one_chunk(live: LiveFunctions) -> None:
    await live.create_obedient()

    assert await whole(await stream(live, ["send", BUFFERED], ["read"])) == (b'"whole"', {})


async def test_a_plain_invocation_of_a_function_that_streams_gets_it_whole(live: LiveFunctions) -> None:
    await live.create_obedient()
    steps = [["send", STREAM + FIRST], ["send", SECOND + END], ["read"]]

    answer = await live.client("invoke", FunctionName="f", Payload=json.dumps(steps).encode())

    assert "FunctionError" not in answer
    assert answer["Payload"].read() == b"firstsecond"


async def test_a_timeout_in_the_middle_ends_the_stream_with_its_error(live: LiveFunctions) -> None:
    await live.create_obedient(Timeout=1)

    body, complete = await whole(await stream(live, ["send", STREAM + FIRST], ["sleep", 60]))

    assert body == b"first"
    assert complete["ErrorCode"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in complete["ErrorDetails"]
    assert live.invoker.environments() == []


async def test_an_exit_in_the_middle_ends_the_stream_with_its_error(live: LiveFunctions) -> None:
    await live.create_obedient()

    body, complete = await whole(await stream(live, ["send", STREAM + FIRST + "9\r\nsec"], ["exit", 3]))

    assert body == b"firstsec"
    assert complete["ErrorCode"] == "Runtime.ExitError"
    assert complete["ErrorDetails"].endswith('Error: Runtime exited with error: exit status 3"}')


async def test_an_error_before_the_stream_is_in_its_end(live: LiveFunctions) -> None:
    await live.create_obedient()
    error = '{"errorType":"Early","errorMessage":""}'
    head = (
        f"POST /2018-06-01/runtime/invocation/{{id}}/error HTTP/1.1\r\nHost: x\r\nContent-Length: {len(error)}\r\n\r\n"
    )

    body, complete = await whole(await stream(live, ["send", head + error], ["read"]))

    assert (body, complete) == (b"", {"ErrorCode": "Early", "ErrorDetails": error})


async def test_a_caller_who_goes_away_does_not_stop_the_function(live: LiveFunctions) -> None:
    await live.create_obedient()
    size = 16 * 1024 * 1024  # more than all the buffers on the way hold

    async with Gate() as gate:
        rest: list[list[Any]] = [["send", f"{size:x}\r\n"], ["fill", size], ["send", "\r\n" + END], ["read"]]
        answer = await stream(live, ["send", STREAM + FIRST], ["wait", gate.port], *rest, ["write", "ran"])
        answer["EventStream"].close()
        gate.open()
        await live.until_logged("ran")

    async with asyncio.timeout(20):
        while not live.written():
            await asyncio.sleep(0.01)
    [record] = live.written()
    assert (record.status, record.response_bytes) == ("success", size + 5)


async def test_what_is_refused_is_refused_before_the_stream(live: LiveFunctions) -> None:
    await live.create_obedient()

    dry = await stream(live, InvocationType="DryRun")
    with pytest.raises(ClientError) as unknown:
        await live.client("invoke_with_response_stream", FunctionName="g")
    with pytest.raises(ClientError) as no_json:
        await live.client("invoke_with_response_stream", FunctionName="f", Payload=b"{")

    assert dry["StatusCode"] == 204
    assert unknown.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert no_json.value.response["Error"]["Code"] == "InvalidRequestContentException"
    assert live.invoker.environments() == []


async def test_a_node_function_streams_to_boto3(live: LiveFunctions) -> None:
    try:
        await Interpreters(allow_substitute=True).find("nodejs24.x")
    except InterpreterMissing as missing:
        pytest.skip(str(missing))
    code = """export const handler = awslambda.streamifyResponse(async (event, stream) => {
        for (const word of event.words) stream.write(word);
        if (event.fail) throw new RangeError("enough");
        stream.end();
    });"""
    await live.create("n", {"index.mjs": code}, Runtime="nodejs24.x")

    async def invoke(event: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        payload = json.dumps(event).encode()
        return await whole(await live.client("invoke_with_response_stream", FunctionName="n", Payload=payload))

    fine = await invoke({"words": ["a", "b"]})
    failed_body, failed = await invoke({"words": ["a"], "fail": True})

    assert fine == (b"ab", {})
    assert failed_body == b"a"
    assert failed["ErrorCode"] == "RangeError"
    assert json.loads(failed["ErrorDetails"])["errorMessage"] == "enough"
