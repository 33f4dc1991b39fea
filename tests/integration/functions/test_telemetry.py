"""The Telemetry API with real extensions that subscribe, and listeners that take what comes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.extension_layer import Layer
from tests.fakes.live_functions import LiveFunctions, live_functions
from workshape.http1.message import Request, Response
from workshape.http1.server import serve_tcp

ANSWER = 'POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"ok"'
FINE: list[list[Any]] = [["write", "hello"], ["send", ANSWER], ["read"]]
TYPES = ["platform", "function", "extension"]


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return Layer(tmp_path / "opt")


@pytest.fixture
async def live(tmp_path: Path, layer: Layer) -> AsyncIterator[LiveFunctions]:
    async with live_functions(tmp_path) as live:
        live.opt_folder = str(layer.folder)
        yield live


def subscription(port: int, protocol: str = "HTTP", types: list[str] | None = None) -> dict[str, Any]:
    return {
        "schemaVersion": "2022-07-01",
        "types": types or TYPES,
        "buffering": {"timeoutMs": 25},
        "destination": {"protocol": protocol, "URI": f"{protocol.lower()}://sandbox.localdomain:{port}/in"},
    }


async def invoke(live: LiveFunctions, steps: list[list[Any]]) -> str:
    result = await live.invoke("f", None, json.dumps(steps).encode(), "api")
    return result.request_id


async def until(events: list[dict[str, Any]], kind: str) -> None:
    async with asyncio.timeout(20):
        while not any(event["type"] == kind for event in events):
            await asyncio.sleep(0.01)


async def test_a_subscriber_hears_everything_in_order(live: LiveFunctions, layer: Layer) -> None:
    events: list[dict[str, Any]] = []
    refused = 2

    async def listen(request: Request) -> Response:
        nonlocal refused
        if refused:
            refused -= 1
            return Response(500)  # what is refused comes again
        assert request.target == "/in"
        events.extend(json.loads(request.body))
        return Response(200)

    listener = await serve_tcp(listen, "127.0.0.1", 0)
    layer.add("one", subscribe=subscription(listener.port))
    layer.add("deaf", subscribe=subscription(listener.port, types=["gossip"]))
    await live.create_obedient()

    request_id = await invoke(live, FINE)
    await until(events, "platform.report")
    await listener.close()

    assert live.heard("one")[2] == [200, "OK"]
    assert live.heard("deaf")[2][0] == 400
    by_kind = {event["type"]: event["record"] for event in events}
    platform = [event["type"] for event in events if event["type"].startswith("platform.")]
    assert platform == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.extension",
        "platform.extension",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert by_kind["platform.initStart"]["functionName"] == "f"
    assert by_kind["platform.telemetrySubscription"] == {"name": "one", "state": "Subscribed", "types": TYPES}
    assert by_kind["platform.initReport"]["metrics"]["durationMs"] > 0
    assert by_kind["platform.start"]["requestId"] == request_id
    assert by_kind["platform.start"]["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert by_kind["platform.runtimeDone"]["metrics"]["producedBytes"] == 4
    assert by_kind["platform.report"]["status"] == "success"
    assert by_kind["platform.report"]["metrics"]["memorySizeMB"] == 128
    assert by_kind["function"] == "hello"
    written = [json.loads(event["record"])["from"] for event in events if event["type"] == "extension"]
    assert {"one", "deaf"} <= set(written)


async def test_a_tcp_listener_gets_a_line_an_event(live: LiveFunctions, layer: Layer) -> None:
    events: list[dict[str, Any]] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            events.append(json.loads(line))

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    layer.add("one", subscribe=subscription(port, "TCP", ["function"]))
    await live.create_obedient()

    await invoke(live, FINE)
    await until(events, "function")
    listener.close()

    assert [event["record"] for event in events] == ["hello"]
    assert events[0]["time"].endswith("Z")


async def test_a_subscriber_whom_nobody_hears_holds_nothing_up(live: LiveFunctions, layer: Layer) -> None:
    layer.add("one", subscribe=subscription(1))
    await live.create_obedient()

    await invoke(live, FINE)
    await invoke(live, FINE)

    async with asyncio.timeout(20):
        while len(live.written()) < 2:
            await asyncio.sleep(0.01)
    assert [record.status for record in live.written()] == ["success", "success"]


async def test_a_restore_is_told_in_the_place_of_an_init_phase(live: LiveFunctions, layer: Layer) -> None:
    events: list[dict[str, Any]] = []

    async def listen(request: Request) -> Response:
        events.extend(json.loads(request.body))
        return Response(200)

    listener = await serve_tcp(listen, "127.0.0.1", 0)
    layer.add("one", subscribe=subscription(listener.port))
    settings = {"Runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}, "Timeout": 30, "Publish": True}
    await live.create("f", {"index.py": "def handler(event, context):\n    return event\n"}, **settings)
    await live.until_snapshot("f")

    await live.invoke("f", "1", b"{}", "api")
    await until(events, "platform.report")
    await listener.close()

    by_kind = {event["type"]: event["record"] for event in events}
    restore = [event["type"] for event in events if event["type"].startswith("platform.restore")]
    assert restore == ["platform.restoreStart", "platform.restoreRuntimeDone", "platform.restoreReport"]
    assert by_kind["platform.restoreStart"] == {"functionName": "f", "functionVersion": "1"}
    assert by_kind["platform.restoreReport"]["status"] == "success"
    restored_ms = by_kind["platform.restoreReport"]["metrics"]["durationMs"]
    assert by_kind["platform.report"]["metrics"]["restoreDurationMs"] == restored_ms
