"""Streamed responses on the Runtime API: by runtimes that behave, by those that lie, and by our Node.js client."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.raw_runtime import RawRuntime
from tests.fakes.runtime_owner import RuntimeOwner
from workshape.functions import response_arrival
from workshape.functions.launch.interpreters import InterpreterMissing, Interpreters
from workshape.functions.model import EnvironmentId, RequestId
from workshape.http1.pieces import UNREAD_BYTES_MAX, Pieces
from workshape.settings import FunctionSettings

STREAMING = "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"


async def begin(owner: RuntimeOwner, *, read: bool = True) -> tuple[EnvironmentId, RawRuntime, RequestId, Pieces]:
    """A runtime with an invocation, whose response is read as it comes unless it is to be collected."""
    environment = await owner.open()
    runtime = await RawRuntime.connect(owner.addresses[environment])
    await runtime.send_next()
    await owner.until(environment, lambda heard: heard.ready == 1)
    request_id = owner.dispatch(environment, {})
    pieces = Pieces()
    if read:
        owner.readers[request_id] = pieces
    await runtime.answer()
    return environment, runtime, request_id, pieces


async def test_chunks_are_handed_on_as_they_come(owner: RuntimeOwner) -> None:
    environment, runtime, request_id, pieces = await begin(owner)
    await runtime.send_head("POST", f"invocation/{request_id}/response", STREAMING)

    await runtime.send(b"5\r\nfirst\r\n")
    first = await anext(pieces)
    heard_before_the_end = list(owner.heard[environment].answers)
    await runtime.send(b"6\r\nsecond\r\n0\r\n\r\n")
    second = await anext(pieces)

    assert (first, second, heard_before_the_end) == (b"first", b"second", [])
    assert (await runtime.answer()).status == 202
    assert owner.heard[environment].answers == [(request_id, "", None)]


async def test_nobody_reads_so_the_response_is_collected(owner: RuntimeOwner) -> None:
    environment, runtime, request_id, _ = await begin(owner, read=False)
    await runtime.send_head("POST", f"invocation/{request_id}/response", STREAMING)

    await runtime.send(b'3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n')

    assert (await runtime.answer()).status == 202
    assert owner.heard[environment].answers == [(request_id, "", {"a": 1})]


@pytest.mark.parametrize("read", [True, False])
async def test_an_error_in_the_middle_comes_in_the_trailers(owner: RuntimeOwner, read: bool) -> None:
    environment, runtime, request_id, _ = await begin(owner, read=read)
    error = {"errorMessage": "no more", "errorType": "Lost"}
    body = b64encode(json.dumps(error).encode()).decode()
    await runtime.send_head("POST", f"invocation/{request_id}/response", STREAMING)

    trailers = f"Lambda-Runtime-Function-Error-Type: Lost\r\nLambda-Runtime-Function-Error-Body: {body}\r\n"
    await runtime.send(b"1\r\nx\r\n0\r\n" + trailers.encode() + b"\r\n")

    assert (await runtime.answer()).status == 202
    assert owner.heard[environment].answers == [(request_id, "Lost", error)]


async def test_a_slow_reader_makes_the_runtime_wait_and_one_who_leaves_does_not(owner: RuntimeOwner) -> None:
    environment, runtime, request_id, pieces = await begin(owner)
    await runtime.send_head("POST", f"invocation/{request_id}/response", STREAMING)
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    count = 40 * 1024 * 1024 // 65_536  # far more than all the buffers between us hold

    async def stream() -> None:
        for _ in range(count):
            await runtime.send(piece)
        await runtime.send(b"0\r\n\r\n")

    streaming = asyncio.create_task(stream())
    while pieces.bytes <= UNREAD_BYTES_MAX:
        await asyncio.sleep(0.001)
    held_bytes = pieces.bytes
    await asyncio.sleep(0.05)
    held_later_bytes, is_waiting = pieces.bytes, not streaming.done()
    pieces.discard()
    await streaming

    assert (held_later_bytes, is_waiting) == (held_bytes, True)
    assert held_bytes <= UNREAD_BYTES_MAX + 1024 * 1024, "what one read from the socket may bring beside"
    assert (await runtime.answer()).status == 202
    assert pieces.bytes == count * 65_536
    assert owner.heard[environment].answers == [(request_id, "", None)]


@pytest.mark.parametrize("read", [True, False])
async def test_a_response_over_the_limit_is_cut_off(
    owner: RuntimeOwner, monkeypatch: pytest.MonkeyPatch, read: bool
) -> None:
    monkeypatch.setattr(response_arrival, "STREAMED_RESPONSE_BYTES_MAX" if read else "RESPONSE_BYTES_MAX", 10)
    environment, runtime, request_id, pieces = await begin(owner, read=read)
    await runtime.send_head("POST", f"invocation/{request_id}/response", STREAMING)

    await runtime.send(b"8\r\n12345678\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n")

    assert (await runtime.answer()).status == 413
    [(answered, error_type, error)] = owner.heard[environment].answers
    assert (answered, error_type) == (request_id, "Function.ResponseSizeTooLarge")
    assert error["errorMessage"] == "Response payload size exceeded maximum allowed payload size (10 bytes)."
    assert pieces.bytes == (8 if read else 0)


async def test_a_response_that_breaks_off_fails_the_invocation_when_its_runtime_goes_on(owner: RuntimeOwner) -> None:
    environment, runtime, request_id, _ = await begin(owner)
    await runtime.send_head("POST", f"invocation/{request_id}/response", STREAMING)
    await runtime.send(b"5\r\nfirst\r\n5\r\nsec")

    await runtime.close()
    again = await RawRuntime.connect(owner.addresses[environment])
    await again.send_next()
    heard = await owner.until(environment, lambda heard: heard.ready == 2)

    [(answered, error_type, _)] = heard.answers
    assert (answered, error_type) == (request_id, "Runtime.TruncatedResponse")


async def test_a_second_response_during_the_first_is_refused_and_an_error_ends_it(owner: RuntimeOwner) -> None:
    environment, runtime, request_id, _ = await begin(owner)
    await runtime.send_head("POST", f"invocation/{request_id}/response", STREAMING)
    await runtime.send(b"1\r\nx\r\n")
    other = await RawRuntime.connect(owner.addresses[environment])

    second = await other.post(f"invocation/{request_id}/response", b"2")
    streamed = await other.post(f"invocation/{request_id}/response", b"1\r\ny\r\n0\r\n\r\n", STREAMING)
    too_soon = await other.get("invocation/next")
    error = await other.post(f"invocation/{request_id}/error", b'{"errorType":"Late","errorMessage":""}')
    await runtime.send(b"1\r\nz\r\n0\r\n\r\n")

    assert [each.status for each in (second, streamed, too_soon, error)] == [403, 403, 403, 202]
    assert (await runtime.answer()).status == 403
    assert [(each[0], each[1]) for each in owner.heard[environment].answers] == [(request_id, "Late")]


async def test_a_streamed_response_to_no_invocation_is_refused(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    runtime = await RawRuntime.connect(owner.addresses[environment])

    refused = await runtime.post("invocation/nonsense/response", b"1\r\nx\r\n0\r\n\r\n", STREAMING)

    assert refused.status == 400
    assert owner.heard[environment].answers == []


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[RuntimeOwner]:
    try:
        await Interpreters(allow_substitute=True).find("nodejs24.x")
    except InterpreterMissing as missing:
        pytest.skip(str(missing))
    owner = RuntimeOwner(tmp_path / "environments", FunctionSettings(allow_substitute=True))
    yield owner
    await owner.close()


NODE_HANDLERS = r"""
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  if (event.http) stream = awslambda.HttpResponseStream.from(stream, event.http);
  if (event.early) throw new TypeError(event.early);
  stream.write("first,");
  stream.write({ an: "object" });
  if (event.late) {
    const broken = Readable.from((async function* () { yield "piece"; throw new RangeError(event.late); })());
    await pipeline(broken, stream);
  }
  if (event.uncaught) setTimeout(() => { throw new EvalError(event.uncaught); });
  if (event.uncaught) await new Promise(() => {});
  await pipeline(Readable.from(["x".repeat(event.size || 1)]), stream);
});
"""


async def streamed(owner: RuntimeOwner, environment: EnvironmentId, event: object) -> tuple[bytes, str, object]:
    ready = owner.heard[environment].ready
    request_id = owner.next_request_id()
    pieces = owner.readers[request_id] = Pieces()
    assert owner.dispatch(environment, event) == request_id
    body = b""

    async def read() -> None:
        nonlocal body
        async for piece in pieces:
            body += piece

    reading = asyncio.create_task(read())
    await owner.until(environment, lambda heard: heard.ready > ready or heard.exit is not None)
    pieces.end()
    await reading
    [(_, error_type, value)] = [each for each in owner.heard[environment].answers if each[0] == request_id]
    return body, error_type, value


async def test_a_node_handler_streams_and_is_asked_again(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text(NODE_HANDLERS)
    environment, _ = await node.started(code, runtime="nodejs24.x")
    size = 3 * 1024 * 1024

    small = await streamed(node, environment, {})
    large = await streamed(node, environment, {"size": size})
    metadata = {"statusCode": 201, "headers": {"a": "b"}}
    http = await streamed(node, environment, {"http": metadata})
    collected = await node.invoke_text(environment, {})

    assert small == (b'first,{"an":"object"}x', "", None)
    assert large[0] == b'first,{"an":"object"}' + b"x" * size
    assert http[0] == json.dumps(metadata, separators=(",", ":")).encode() + bytes(8) + b'first,{"an":"object"}x'
    assert collected == b'first,{"an":"object"}x'


async def test_a_node_handler_fails_before_and_in_the_middle_of_its_response(node: RuntimeOwner, code: Path) -> None:
    (code / "index.js").write_text(NODE_HANDLERS)
    environment, _ = await node.started(code, runtime="nodejs22.x")

    early = await streamed(node, environment, {"early": "at once"})
    late = await streamed(node, environment, {"late": "halfway"})
    fine = await streamed(node, environment, {})
    uncaught = await streamed(node, environment, {"uncaught": "nowhere"})

    assert (early[0], early[1]) == (b"", "TypeError")
    assert late[0].startswith(b'first,{"an":"object"}')
    assert (late[1], late[2]["errorMessage"]) == ("RangeError", "halfway")  # type: ignore[index]  # an error object
    assert fine[1] == ""
    assert uncaught[1] == "EvalError"
    assert (await node.until(environment, lambda heard: heard.exit)).exit == "exit status 129"
