"""A request as an event of format 2.0, and a result as a response."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.gateway.arrival import Arrival
from workshape.gateway.bodies import MalformedResponse
from workshape.gateway.payload import event_of, response_of, url_event_of, url_response_of
from workshape.gateway.payload_v1 import http_event
from workshape.http1.head import response_head
from workshape.http1.message import Request, Response

NOW = 1_583_348_638.390  # the moment in the documentation's example


def event(request: Request, key: str = "POST /path/{id}", **parameters: str) -> dict[str, Any]:
    arrival = Arrival(request, "api-id", "$default", "id-1", "123456789012", NOW)
    decoded: dict[str, Any] = json.loads(json.dumps(event_of(arrival, key, parameters)))
    return decoded


def answered(result: object) -> Response:
    return response_of(json.dumps(result).encode())


def test_an_event_has_every_field_of_format_2_0() -> None:
    request = Request(
        "POST",
        "/path/a%20b?parameter1=value1&parameter1=value2&parameter2=value",
        (
            ("host", "id.execute-api.us-east-1.amazonaws.com"),
            ("cookie", "cookie1; cookie2"),
            ("header1", "value1"),
            ("header2", "value1"),
            ("header2", "value2"),
            ("user-agent", "agent"),
            ("content-type", "application/json"),
        ),
        b'{"key":1}',
        "192.0.2.1",
    )

    assert event(request, id="a b") == {
        "version": "2.0",
        "routeKey": "POST /path/{id}",
        "rawPath": "/path/a b",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1", "cookie2"],
        "headers": {
            "host": "id.execute-api.us-east-1.amazonaws.com",
            "header1": "value1",
            "header2": "value1,value2",
            "user-agent": "agent",
            "content-type": "application/json",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "80",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "id",
            "http": {
                "method": "POST",
                "path": "/path/a b",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": "id-1",
            "routeKey": "POST /path/{id}",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390,
        },
        "body": '{"key":1}',
        "pathParameters": {"id": "a b"},
        "isBase64Encoded": False,
    }


def test_a_function_urls_event_has_the_path_as_it_came() -> None:
    arrival = Arrival(Request("GET", "/a%20b%2Fc?x=%20"), "url-id", "$default", "id-1", "anonymous", NOW)

    made = url_event_of(arrival)

    assert (made["rawPath"], made["requestContext"]["http"]["path"]) == ("/a%20b%2Fc", "/a%20b%2Fc")
    assert (made["routeKey"], made["rawQueryString"]) == ("$default", "x=%20")
    assert made["requestContext"]["authentication"] is None


def test_what_a_request_does_not_have_is_not_in_the_event() -> None:
    made = event(Request("GET", "/"), "$default")

    assert {"cookies", "queryStringParameters", "pathParameters", "body"}.isdisjoint(made)
    assert {"authorizer"}.isdisjoint(made["requestContext"])
    assert (made["rawQueryString"], made["isBase64Encoded"]) == ("", False)


def test_cookies_of_several_headers_become_one_list() -> None:
    made = event(Request("GET", "/", (("cookie", "a=1; b=2"), ("cookie", " c=3;"))))

    assert made["cookies"] == ["a=1", "b=2", "c=3"]
    assert "cookie" not in made["headers"]


def test_headers_of_one_connection_are_not_the_functions() -> None:
    named = ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "x-a")
    request = Request("POST", "/", tuple((name, "v") for name in named), b"body")

    made = event(request)
    old = http_event(Arrival(request, "api-id", "$default", "id-1", "123456789012", NOW), "POST /", {})

    assert made["headers"].keys() & {*named} == {"x-a"}
    assert old["headers"].keys() & {*named} == old["multiValueHeaders"].keys() & {*named} == {"x-a"}


def test_every_proxy_on_the_way_is_told() -> None:
    told = tuple(("x-forwarded-for", value) for value in ("192.0.2.1, 192.0.2.2", "192.0.2.3"))

    made = event(Request("GET", "/", told, peer="192.0.2.4"))

    assert made["headers"]["x-forwarded-for"] == "192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4"


def test_query_strings_are_decoded_but_the_raw_one_is_not() -> None:
    made = event(Request("GET", "/?a=1%202&a=%C3%BC&b=&c=x+y&d"))

    assert made["rawQueryString"] == "a=1%202&a=%C3%BC&b=&c=x+y&d"
    assert made["queryStringParameters"] == {"a": "1 2,ü", "b": "", "c": "x y", "d": ""}


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ((("content-type", "text/plain"),), "grüße".encode(), True),
        ((("content-type", "application/json; charset=utf-8"),), b"{}", True),
        ((("content-type", "Application/XML"),), b"<a/>", True),
        ((("content-type", "application/javascript"),), b"1", True),
        ((("content-type", "text/plain"),), b"\xff\xfe", False),
        ((("content-type", "text/plain"), ("content-encoding", "gzip")), b"\x1f\x8b", False),
        ((("content-type", "image/png"),), b"text", False),
        ((("content-type", "application/x-www-form-urlencoded"),), b"a=1", False),
        ((), b"text", False),
    ],
)
def test_a_body_is_text_where_its_type_says_so_and_base64_elsewhere(
    headers: tuple[tuple[str, str], ...], body: bytes, text: bool
) -> None:
    made = event(Request("POST", "/", headers, body))

    assert made["isBase64Encoded"] is not text
    assert (made["body"].encode() if text else base64.b64decode(made["body"])) == body


def test_a_result_without_a_status_is_the_body_of_a_200() -> None:
    json_type = (("content-type", "application/json"),)

    assert answered({"message": "Hello"}) == Response(200, json_type, b'{"message": "Hello"}')
    assert answered("Hello from Lambda!").body == b"Hello from Lambda!"
    assert answered([1, 2]).body == b"[1, 2]"
    assert answered(None).body == b"null"


def test_a_function_url_answers_a_text_as_the_json_it_is() -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload: content-length 15
    assert url_response_of(b'"Hello, world!"').body == b'"Hello, world!"'
    assert url_response_of(b'{"statusCode": 201, "body": "x"}').body == b"x"


def test_a_structured_result_says_everything_itself() -> None:
    response = answered(
        {
            "cookies": ["a=1; Secure", "b=2"],
            "isBase64Encoded": False,
            "statusCode": 201,
            "headers": {"Content-Type": "text/html", "X-Count": 3, "X-Yes": True},
            "body": "grüße",
        }
    )

    assert response.status == 201
    assert response.body == "grüße".encode()
    assert response.headers == (
        ("content-type", "text/html"),
        ("x-count", "3"),
        ("x-yes", "true"),
        ("set-cookie", "a=1; Secure"),
        ("set-cookie", "b=2"),
    )


def test_a_base64_body_is_decoded() -> None:
    response = answered(
        {
            "statusCode": 200,
            "isBase64Encoded": True,
            "body": base64.b64encode(b"\x00\xff").decode(),
            "headers": {"content-type": "image/png"},
        }
    )

    assert response.body == b"\x00\xff"


def test_what_is_left_out_has_defaults() -> None:
    plain = Response(200, (("content-type", "text/plain; charset=utf-8"),))

    assert answered({"statusCode": 200}) == plain
    assert answered({"statusCode": "200", "headers": None, "body": None, "cookies": None}) == plain
    assert answered({"statusCode": 200, "body": "null"}).body == b"null"


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "ok"},
        {"statusCode": None},
        {"statusCode": 99},
        {"statusCode": 101},
        {"statusCode": 600},
        {"statusCode": True},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": 5},
        {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
        {"statusCode": 200, "body": "ü", "isBase64Encoded": True},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": ["1", "2"]}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "headers": {"": "1"}},
        {"statusCode": 200, "headers": {"a b": "1"}},
        {"statusCode": 200, "headers": {"a:b": "1"}},
        {"statusCode": 200, "headers": {"ü": "1"}},
        {"statusCode": 200, "headers": {"a": "1\r\nset-cookie: b=2"}},
        {"statusCode": 200, "headers": {"a\r\nb": "1"}},
        {"statusCode": 200, "cookies": ["a=1\nb: 2"]},
        {"statusCode": 200, "cookies": ["a\u0000"]},
    ],
)
def test_a_malformed_result_is_refused(result: object) -> None:
    with pytest.raises(MalformedResponse):
        answered(result)


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"nonsense", b'"\xff"', b'{"statusCode":200,"body":"\\ud800"}', b"[" * 9_999 + b"]" * 9_999]
)
def test_a_result_that_is_not_json_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedResponse):
        response_of(payload)


def test_headers_that_frame_the_response_are_the_servers_own() -> None:
    headers = {"Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "close", "x": "1"}

    response = answered({"statusCode": 200, "headers": headers, "body": "a"})

    assert response.headers == (("x", "1"), ("content-type", "text/plain; charset=utf-8"))


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status: int) -> None:
    assert answered({"statusCode": status, "body": "left over"}).body == b""


def test_what_latin_1_lacks_is_percent_encoded() -> None:
    response = answered({"statusCode": 200, "headers": {"x": "5 €", "y": "ü"}, "cookies": ["a=€"]})

    assert ("x", "5 %E2%82%AC") in response.headers
    assert ("y", "ü") in response.headers
    assert ("set-cookie", "a=%E2%82%AC") in response.headers


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20))
results = st.fixed_dictionaries(
    {"statusCode": st.one_of(st.integers(0, 700), values)},
    optional={
        "headers": st.dictionaries(st.text(max_size=8), values, max_size=3) | values,
        "cookies": st.lists(st.text(max_size=8), max_size=2) | values,
        "body": values,
        "isBase64Encoded": values,
    },
)


@given(st.one_of(results, values, st.lists(values)))
def test_every_result_is_refused_or_makes_one_well_formed_head(result: object) -> None:
    try:
        response = answered(result)
    except MalformedResponse:
        return

    assert isinstance(response.body, bytes)
    head = response_head(response.status, response.headers, len(response.body), keep_alive=True)
    assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r")
    assert head.count(b"\r\n\r\n") == 1
    assert head.endswith(b"\r\n\r\n")
    assert 200 <= response.status <= 599


@given(st.binary(max_size=50), st.sampled_from(["text/plain", "application/json", "image/png", ""]))
def test_no_byte_of_a_body_is_lost(body: bytes, content_type: str) -> None:
    made = event(Request("POST", "/", (("content-type", content_type),), body))

    carried = made.get("body", "")
    assert (base64.b64decode(carried) if made["isBase64Encoded"] else carried.encode()) == body
