"""The Runtime API, spoken to by runtimes that behave and by runtimes that lie."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.fakes.runtime_owner import ARN, RuntimeOwner
from workshape.functions.model import EnvironmentId
from workshape.functions.runtime_answers import RESPONSE_BYTES_MAX

NEXT = "/invocation/next"


@asynccontextmanager
async def runtime(owner: RuntimeOwner, environment: EnvironmentId) -> AsyncIterator[httpx.AsyncClient]:
    address = owner.addresses[environment]
    async with httpx.AsyncClient(base_url=f"http://{address}/2018-06-01/runtime", timeout=10) as client:
        yield client


async def test_an_invocation_is_fetched_and_answered(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as client:
        poll = asyncio.create_task(client.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)

        request_id = owner.dispatch(environment, {"a": 1}, trace_id="Root=1-5", client_context='{"custom":\n{"k":"é"}}')
        event = await poll
        answered = await client.post(f"/invocation/{request_id}/response", content=b'{"ok":true}')

    assert event.status_code == 200
    assert event.json() == {"a": 1}
    headers = event.headers
    assert headers["lambda-runtime-aws-request-id"] == request_id
    assert headers["lambda-runtime-invoked-function-arn"] == ARN
    assert headers["lambda-runtime-trace-id"] == "Root=1-5"
    assert json.loads(headers["lambda-runtime-client-context"]) == {"custom": {"k": "é"}}
    assert int(headers["lambda-runtime-deadline-ms"]) > 1_700_000_000_000
    assert "lambda-runtime-cognito-identity" not in headers
    assert (answered.status_code, answered.json()) == (202, {"status": "OK"})
    assert owner.heard[environment].answers == [(request_id, "", {"ok": True})]


async def test_an_error_is_handed_on_with_its_type(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as client:
        poll = asyncio.create_task(client.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)
        request_id = owner.dispatch(environment)
        await poll

        body = {"errorMessage": "no", "errorType": "E"}
        headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.Mine"}
        answered = await client.post(f"/invocation/{request_id}/error", json=body, headers=headers)

    assert answered.status_code == 202
    assert owner.heard[environment].answers == [(request_id, "Runtime.Mine", body)]


async def test_bad_double_and_late_answers_touch_no_invocation(owner: RuntimeOwner) -> None:
    environment, other = await owner.open(), await owner.open()
    async with runtime(owner, environment) as client, runtime(owner, other) as neighbour:
        polls = [asyncio.create_task(each.get(NEXT)) for each in (client, neighbour)]
        for each in (environment, other):
            await owner.until(each, lambda heard: heard.ready == 1)
        early = await client.post("/invocation/00000000-0000-4000-8000-000000000001/response", content=b"1")
        request_id, other_id = owner.dispatch(environment), owner.dispatch(other)
        await asyncio.gather(*polls)

        unknown = await client.post("/invocation/nonsense/response", content=b"2")
        neighbours = await client.post(f"/invocation/{other_id}/response", content=b"3")
        too_soon = await client.get(NEXT)
        good = await client.post(f"/invocation/{request_id}/response", content=b"4")
        double = await client.post(f"/invocation/{request_id}/response", content=b"5")
        late_error = await client.post(f"/invocation/{request_id}/error", json={})

    for refused in (early, unknown, neighbours):
        assert (refused.status_code, refused.json()["errorType"]) == (400, "InvalidRequestID")
    for refused in (too_soon, double, late_error):
        assert (refused.status_code, refused.json()["errorType"]) == (403, "InvalidStateTransition")
    assert double.json()["errorMessage"] == (
        "State transition from RuntimeResponseSentState to InvocationResponse failed for runtime. "
        "Error: State transition is not allowed"
    )
    assert good.status_code == 202
    assert owner.heard[environment].answers == [(request_id, "", 4)]
    assert owner.heard[other].answers == []


async def test_an_answer_may_come_on_another_connection_than_the_poll(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as poller, runtime(owner, environment) as poster:
        poll = asyncio.create_task(poller.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)
        request_id = owner.dispatch(environment)
        await poll

        assert (await poster.post(f"/invocation/{request_id}/response", content=b"1")).status_code == 202


async def test_a_response_over_the_limit_is_refused_and_fails_the_invocation(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as client:
        poll = asyncio.create_task(client.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)
        request_id = owner.dispatch(environment)
        await poll

        refused = await client.post(f"/invocation/{request_id}/response", content=b"x" * (RESPONSE_BYTES_MAX + 1))

    assert refused.status_code == 413
    assert refused.json() == {
        "errorType": "RequestEntityTooLarge",
        "errorMessage": "Exceeded maximum allowed payload size (6291556 bytes).",
    }
    [(answered, error_type, value)] = owner.heard[environment].answers
    assert (answered, error_type) == (request_id, "Function.ResponseSizeTooLarge")
    assert value["errorMessage"] == "Response payload size exceeded maximum allowed payload size (6291556 bytes)."


async def test_a_runtime_that_goes_away_while_it_polls_gets_the_invocation_when_it_is_back(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as client:
        poll = asyncio.create_task(client.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
    await asyncio.sleep(0.02)

    request_id = owner.dispatch(environment, "kept")
    async with runtime(owner, environment) as client:
        event = await client.get(NEXT)

        assert (event.headers["lambda-runtime-aws-request-id"], event.json()) == (request_id, "kept")
        assert (await client.post(f"/invocation/{request_id}/response", content=b"1")).status_code == 202
    assert owner.heard[environment].ready == 1


async def test_of_two_polls_the_later_gets_the_invocation_and_the_earlier_is_refused(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as first, runtime(owner, environment) as second:
        earlier = asyncio.create_task(first.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)
        later = asyncio.create_task(second.get(NEXT))

        assert (await earlier).status_code == 403
        owner.dispatch(environment, "mine")
        assert (await later).json() == "mine"
    assert owner.heard[environment].ready == 1


async def test_an_init_error_is_taken_once_and_only_before_the_first_poll(owner: RuntimeOwner) -> None:
    failing, polling = await owner.open(), await owner.open()
    body = {"errorMessage": "no", "errorType": "Runtime.ImportModuleError", "stackTrace": []}
    headers = {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"}
    async with runtime(owner, failing) as client:
        taken = await client.post("/init/error", json=body, headers=headers)
        again = await client.post("/init/error", json=body, headers=headers)
        poll_after = await client.get(NEXT)
    async with runtime(owner, polling) as client, runtime(owner, polling) as second:
        poll = asyncio.create_task(client.get(NEXT))
        await owner.until(polling, lambda heard: heard.ready == 1)
        too_late = await second.post("/init/error", json=body)
        poll.cancel()

    assert (taken.status_code, taken.json()) == (202, {"status": "OK"})
    assert [each.status_code for each in (again, poll_after, too_late)] == [403, 403, 403]
    assert owner.heard[failing].init_error == ("Runtime.ImportModuleError", body)
    assert owner.heard[polling].init_error is None


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("POST", NEXT), ("POST", "/invocation/1/other"), ("PUT", "/init/error")]
)
async def test_what_the_api_does_not_have_is_not_found(owner: RuntimeOwner, method: str, path: str) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as client:
        assert (await client.request(method, path)).status_code == 404


async def test_torn_requests_and_garbage_leave_the_invocation_to_be_answered(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    host, port = owner.addresses[environment].split(":")
    async with runtime(owner, environment) as client:
        poll = asyncio.create_task(client.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)
        request_id = owner.dispatch(environment)
        await poll
        path = f"/2018-06-01/runtime/invocation/{request_id}/response"
        for lie in (f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", "\x00\xff nonsense\r\n\r\n"):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(lie.encode("latin-1"))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        assert (await client.post(f"/invocation/{request_id}/response", content=b'"whole"')).status_code == 202
    assert owner.heard[environment].answers == [(request_id, "", "whole")]


async def test_closing_a_listener_drops_its_poll_and_frees_its_port(owner: RuntimeOwner) -> None:
    environment = await owner.open()
    async with runtime(owner, environment) as client:
        poll = asyncio.create_task(client.get(NEXT))
        await owner.until(environment, lambda heard: heard.ready == 1)

        await owner.api.close(environment)
        await owner.api.close(environment)

        with pytest.raises(httpx.HTTPError):
            await poll
        with pytest.raises(httpx.ConnectError):
            await client.get(NEXT)
