"""Runtimes that lie, through the whole invoker: the caller gets Lambda's error, and the platform goes on."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.live_functions import LiveFunctions, live_functions
from workshape.functions.runtime_answers import RESPONSE_BYTES_MAX

Steps = list[list[Any]]
MIB = 1024 * 1024


def post(verb: str, body: str, *headers: str, request_id: str = "{id}", length: int | None = None) -> str:
    """A POST of the runtime's; `length` is what it declares, if that is not so."""
    lines = ["Host: x", *headers]
    if length != -1:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return f"POST /2018-06-01/runtime/invocation/{request_id}/{verb} HTTP/1.1\r\n" + "\r\n".join([*lines, "", body])


STREAMING = ("Lambda-Runtime-Function-Response-Mode: streaming", "Transfer-Encoding: chunked")
GOOD: Steps = [["send", post("response", '"good"')], ["read"]]
NEXT = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
OTHER_ID = "00000000-0000-4000-8000-000000000000"

HARMLESS: dict[str, Steps] = {
    "an answer to no invocation": [["send", post("response", '"bad"', request_id=OTHER_ID)], ["read"], *GOOD],
    "an answer without an id": [["send", post("response", '"bad"', request_id="")], ["read"], *GOOD],
    "a second answer": [*GOOD, ["send", post("response", '"bad"')], ["read"]],
    "an error after the answer": [*GOOD, ["send", post("error", "{}")], ["read"]],
    "an init error when the init phase is over": [
        ["send", "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"],
        ["read"],
        *GOOD,
    ],
    "GET next before the answer": [["send", NEXT], ["read"], *GOOD],
    "no HTTP": [["send", "nonsense\r\n\r\n"], ["close"], *GOOD],
    "headers without end": [["send", "GET /x HTTP/1.1\r\nA: "], ["fill", 3 * MIB], ["close"], *GOOD],
    "a body larger than anything": [["send", post("response", "", length=1 << 40)], ["close"], *GOOD],
    "half a body on a connection that stays": [["send", post("response", '"ba', length=9)], ["connect"], *GOOD],
    "half a body": [["send", post("response", '"ba', length=9)], ["close"], *GOOD],
    "a length below zero": [["send", post("response", "x", length=-5)], ["close"], *GOOD],
    "a method unheard of": [["send", "BREW /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n"], ["close"], *GOOD],
    "a path unheard of": [["send", "GET /2018-06-01/runtime/secrets HTTP/1.1\r\nHost: x\r\n\r\n"], ["read"], *GOOD],
}
FATAL: dict[str, tuple[Steps, str]] = {
    "half a body, then the end": ([["send", post("response", '"ba', length=9)], ["exit", 0]], "Runtime.ExitError"),
    "half a body, then nothing": ([["send", post("response", '"ba', length=9)], ["sleep", 60]], "Sandbox.Timedout"),
    "half a stream, then nothing": (
        [["send", post("response", "5\r\nfi", *STREAMING, length=-1)], ["sleep", 60]],
        "Sandbox.Timedout",
    ),
    "half a stream, then the next": (
        [["send", post("response", "5\r\nfi", *STREAMING, length=-1)], ["close"]],
        "Runtime.TruncatedResponse",
    ),
    "a stream that is none": (
        [["send", post("response", "nonsense\r\n", *STREAMING, length=-1)], ["close"]],
        "Runtime.TruncatedResponse",
    ),
    "a response over the limit": (
        [
            ["send", post("response", "", length=RESPONSE_BYTES_MAX + 1)],
            ["fill", RESPONSE_BYTES_MAX + 1],
            ["read"],
        ],
        "Function.ResponseSizeTooLarge",
    ),
    "a stream over the limit of those who do not stream": (
        [
            ["send", post("response", f"{RESPONSE_BYTES_MAX + 1:x}\r\n", *STREAMING, length=-1)],
            ["fill", RESPONSE_BYTES_MAX + 1],
            ["send", "\r\n0\r\n\r\n"],
            ["read"],
        ],
        "Function.ResponseSizeTooLarge",
    ),
    "an error that is no JSON": ([["send", post("error", "no!")], ["read"]], "Runtime.Unknown"),
    "GET next instead of an answer": ([["send", NEXT], ["read"], ["exit", 1]], "Runtime.ExitError"),
}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveFunctions]:
    pids: list[int] = []
    async with live_functions(tmp_path) as live:
        yield live
        pids = [view.pid for view in live.invoker.environments() if view.pid is not None]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "an environment outlived its engine"


async def invoke(live: LiveFunctions, steps: Steps) -> tuple[Any, str]:
    """Run the steps; return the value and the error type, if any."""
    result = await live.invoke("f", None, json.dumps(steps).encode(), "api")
    try:
        value = json.loads(result.payload)
    except ValueError:
        value = result.payload
    return value, result.error_type


async def test_lies_that_harm_nobody(live: LiveFunctions) -> None:
    await live.create_obedient()

    for lie, steps in HARMLESS.items():
        assert await invoke(live, steps) == ("good", ""), lie

    [environment] = live.invoker.environments()
    assert environment.invocations == len(HARMLESS), "one environment survived them all"


async def test_lies_that_cost_the_invocation_and_no_more(live: LiveFunctions) -> None:
    await live.create_obedient(Timeout=3)

    for lie, (steps, expected) in FATAL.items():
        _, kind = await invoke(live, steps)
        after = await invoke(live, GOOD)
        assert (kind, after) == (expected, ("good", "")), lie

    assert len(live.invoker.environments()) == 1


@pytest.mark.parametrize(
    "steps",
    [
        [["send", post("response", '"bad"', request_id=OTHER_ID)], ["read"]],
        [["send", post("response", "1\r\nx\r\n0\r\n\r\n", *STREAMING, request_id=OTHER_ID, length=-1)], ["read"]],
        [["send", post("error", "{}", request_id=OTHER_ID)], ["read"]],
    ],
)
async def test_an_answer_before_the_first_question_is_nobodys(live: LiveFunctions, steps: Steps) -> None:
    await live.create_obedient(Environment={"Variables": {"STEPS": json.dumps(steps)}})

    assert await invoke(live, GOOD) == ("good", "")


async def test_two_polls_get_one_invocation_between_them(live: LiveFunctions) -> None:
    await live.create_obedient()
    await invoke(live, [*GOOD, ["send", NEXT], ["connect"], ["send", NEXT], ["write", "polled"], ["read"]])
    await live.until_logged("polled")

    # The runtime lets this event pass, asks again while it owes the answer, and cannot make sense of the refusal.
    _, kind = await invoke(live, GOOD)

    assert kind == "Runtime.ExitError"
    assert await invoke(live, GOOD) == ("good", "")


async def test_descriptors_do_not_pile_up(live: LiveFunctions) -> None:
    await live.create_obedient()

    async def once() -> None:
        await invoke(live, HARMLESS["half a body"])
        await invoke(live, [["exit", 1]])
        await invoke(live, GOOD)

    await once()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        await once()
    async with asyncio.timeout(20):
        while len(os.listdir("/proc/self/fd")) > before:
            await asyncio.sleep(0.01)
