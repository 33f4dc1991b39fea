"""The HTTP API over real sockets, with functions that only say what they are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.api_means import ACCOUNT, REGION, ROLE, api_means
from workshape.apis.http_api import Definition, Integration, Route, Stage
from workshape.arn import function_arn
from workshape.errors import NotFound, PlatformError
from workshape.functions.concurrency import ThrottleReason, TooManyRequests
from workshape.functions.function_invoker import PayloadTooLarge
from workshape.functions.model import LATEST, InvocationRequest, InvocationResult, RequestId
from workshape.gateway.http_front import REQUEST_BYTES_MAX, HttpFront
from workshape.gateway.http_stage import HttpStage
from workshape.gateway.server import Gateway, RouteCount

Function = Callable[[bytes], Awaitable[InvocationResult]]

ROUTES = {
    "GET /posts/{id}": "echo",
    "ANY /files/{path+}": "echo",
    "POST /echo": "echo",
    "GET /slow": "slow",
    **{
        f"GET /{name}": name for name in ("error", "throttled", "gone", "broken", "malformed", "binary", "empty", "big")
    },
}


def stage() -> HttpStage:
    integrations = {
        name: Integration(
            name,
            "AWS_PROXY",
            function_arn(REGION, ACCOUNT, name),
            "2.0",
            timeout_in_millis=100 if name == "slow" else 30_000,
            credentials_arn=ROLE,
        )
        for name in ROUTES.values()
    }
    routes = {key: Route(key, key, f"integrations/{name}") for key, name in ROUTES.items()}
    return HttpStage("workshape", Stage("$default", 0.0, 0.0), Definition(routes, integrations))


def result(payload: object, function_error: str | None = None) -> InvocationResult:
    return InvocationResult(RequestId("id-1"), json.dumps(payload).encode(), LATEST, function_error)


async def echo(event: bytes) -> InvocationResult:
    return result(json.loads(event))


async def slow(event: bytes) -> InvocationResult:
    await asyncio.sleep(30)
    raise AssertionError("the gateway waited")


async def error(event: bytes) -> InvocationResult:
    return result({"errorMessage": "no", "errorType": "ValueError"}, "Unhandled")


async def throttled(event: bytes) -> InvocationResult:
    raise TooManyRequests(reason_code=ThrottleReason.RESERVED.value)


async def gone(event: bytes) -> InvocationResult:
    raise NotFound(kind="function", name="gone")


async def broken(event: bytes) -> InvocationResult:
    raise PlatformError(reason="the disk is full")


async def malformed(event: bytes) -> InvocationResult:
    return result({"statusCode": 200, "headers": {"a": "1\r\nset-cookie: b=2"}})


async def binary(event: bytes) -> InvocationResult:
    headers = {"content-type": "image/png"}
    cookies = ["a=1", "b=2"]
    return result({"statusCode": 201, "isBase64Encoded": True, "body": "AP8=", "headers": headers, "cookies": cookies})


async def empty(event: bytes) -> InvocationResult:
    return result({"statusCode": 204, "body": "never sent"})


async def big(event: bytes) -> InvocationResult:
    raise PayloadTooLarge(size=len(event), limit=1)


FUNCTIONS: dict[str, Function] = {
    "echo": echo,
    "slow": slow,
    "error": error,
    "throttled": throttled,
    "gone": gone,
    "broken": broken,
    "malformed": malformed,
    "binary": binary,
    "empty": empty,
    "big": big,
}


async def invoke(request: InvocationRequest) -> InvocationResult:
    assert (request.qualifier, request.trigger) == (None, "http")
    return await FUNCTIONS[request.name](request.payload)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    means = api_means(tmp_path, invoke)
    yield Gateway(stage(), HttpFront(means))
    await means.close()


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    server = await gateway.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
        yield client
    await server.close()


async def test_a_request_reaches_its_function_and_the_result_comes_back(http: httpx.AsyncClient) -> None:
    answer = await http.get("/posts/a%2Fb?q=1&q=2", headers={"cookie": "a=1", "x-forwarded-proto": "https"})

    event: dict[str, Any] = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert event["routeKey"] == "GET /posts/{id}"
    assert event["pathParameters"] == {"id": "a/b"}
    assert event["queryStringParameters"] == {"q": "1,2"}
    assert event["cookies"] == ["a=1"]
    assert event["headers"]["x-forwarded-proto"] == "https"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["requestContext"]["accountId"] == "123456789012"


async def test_a_body_arrives_whole(http: httpx.AsyncClient) -> None:
    text = (await http.post("/echo", content="grüße", headers={"content-type": "text/plain"})).json()
    octets = (await http.post("/echo", content=b"\x00\xff")).json()

    assert (text["body"], text["isBase64Encoded"]) == ("grüße", False)
    assert (octets["body"], octets["isBase64Encoded"]) == ("AP8=", True)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/nowhere", 404, "Not Found"),
        (f"/posts/{'x' * 10_241}", 431, "Request Header Fields Too Large"),
        ("/posts/", 404, "Not Found"),
        ("/error", 500, "Internal Server Error"),
        ("/malformed", 500, "Internal Server Error"),
        ("/gone", 500, "Internal Server Error"),
        ("/broken", 500, "Internal Server Error"),
        ("/big", 413, "Request Entity Too Large"),
        ("/throttled", 503, "Service Unavailable"),
        ("/slow", 503, "Service Unavailable"),
    ],
)
async def test_what_goes_wrong_is_told_as_api_gateway_tells_it(
    http: httpx.AsyncClient, path: str, status: int, message: str
) -> None:
    answer = await http.get(path)

    assert (answer.status_code, answer.json()) == (status, {"message": message})
    assert len(answer.headers["apigw-requestid"]) == 16
    assert "set-cookie" not in answer.headers


async def test_a_structured_result_is_sent_as_it_says(http: httpx.AsyncClient) -> None:
    answer = await http.get("/binary")

    assert (answer.status_code, answer.content) == (201, b"\x00\xff")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_head_is_a_method_of_its_own_and_gets_no_body(http: httpx.AsyncClient) -> None:
    caught = await http.head("/files/a/b")
    missed = await http.head("/posts/1")

    assert (caught.status_code, caught.content) == (200, b"")
    assert int(caught.headers["content-length"]) > 0
    assert (missed.status_code, missed.content) == (404, b"")


async def test_a_connection_goes_on_after_a_response_without_a_body(http: httpx.AsyncClient) -> None:
    first = await http.get("/empty")
    second = await http.get("/posts/1")

    assert (first.status_code, first.content) == (204, b"")
    assert second.json()["pathParameters"] == {"id": "1"}


async def test_a_body_over_the_payload_limit_is_refused(http: httpx.AsyncClient) -> None:
    largest = await http.post("/nowhere", content=bytes(REQUEST_BYTES_MAX))
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    writer.write(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (REQUEST_BYTES_MAX + 1))
    larger = await reader.read()
    writer.close()

    assert largest.status_code == 404
    assert larger.startswith(b"HTTP/1.1 413 ")


async def test_answers_are_counted_by_route_and_status(gateway: Gateway, http: httpx.AsyncClient) -> None:
    for path in ("/posts/1", "/posts/2", "/error", "/nowhere"):
        await http.get(path)

    assert gateway.counts() == [
        RouteCount("(no route)", 404, 1),
        RouteCount("GET /error", 500, 1),
        RouteCount("GET /posts/{id}", 200, 2),
    ]


async def test_requests_are_answered_side_by_side(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(http.get(f"/posts/{number}") for number in range(50)))

    assert [answer.json()["pathParameters"]["id"] for answer in answers] == [str(number) for number in range(50)]
