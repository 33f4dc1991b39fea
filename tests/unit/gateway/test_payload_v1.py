"""Events and responses of format 1.0, against the documentation's examples."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.gateway.arrival import Arrival, IamCaller, JwtCaller, LambdaCaller
from workshape.gateway.bodies import MalformedResponse
from workshape.gateway.payload_v1 import http_event, http_response, rest_event, rest_response
from workshape.http1.message import Request, Response

ACCOUNT = "123456789012"
HOST = "gy415nuibc.execute-api.us-east-1.amazonaws.com"
NOW = 1_519_166_937.665  # of the documentation's example for REST APIs


def arrival(request: Request, stage: str = "$default", **variables: str) -> Arrival:
    return Arrival(request, "gy415nuibc", stage, "request-id", ACCOUNT, NOW, variables=variables or None)


def rest(request: Request, resource: str = "/{proxy+}", **more: Any) -> dict[str, Any]:
    parameters = more.pop("parameters", {"proxy": "hello/world"})
    more.setdefault("binary_media_types", ())
    here = arrival(request, "testStage", stageVariableName="stageVariableValue")
    event: dict[str, Any] = json.loads(json.dumps(rest_event(here, resource, "roq9wj", parameters, **more)))
    return event


def test_a_rest_event_is_as_in_the_documentations_example() -> None:
    request = Request(
        "POST",
        "/testStage/hello/world?name=me&multivalueName=you&multivalueName=me",
        (("host", HOST), ("content-type", "application/json"), ("accept", "a"), ("accept", "b")),
        b'{\r\n\t"a": 1\r\n}',
        "192.168.196.186",
    )

    event = rest(request)

    assert event == {
        "resource": "/{proxy+}",
        "path": "/hello/world",
        "httpMethod": "POST",
        "headers": {
            "Host": HOST,
            "Content-Type": "application/json",
            "Accept": "b",
            "X-Forwarded-For": "192.168.196.186",
            "X-Forwarded-Port": "80",
            "X-Forwarded-Proto": "http",
        },
        "multiValueHeaders": {
            "Host": [HOST],
            "Content-Type": ["application/json"],
            "Accept": ["a", "b"],
            "X-Forwarded-For": ["192.168.196.186"],
            "X-Forwarded-Port": ["80"],
            "X-Forwarded-Proto": ["http"],
        },
        "queryStringParameters": {"name": "me", "multivalueName": "me"},
        "multiValueQueryStringParameters": {"name": ["me"], "multivalueName": ["you", "me"]},
        "pathParameters": {"proxy": "hello/world"},
        "stageVariables": {"stageVariableName": "stageVariableValue"},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "gy415nuibc",
            "domainName": HOST,
            "domainPrefix": "gy415nuibc",
            "extendedRequestId": "request-id",
            "httpMethod": "POST",
            "identity": {
                "accessKey": None,
                "accountId": None,
                "apiKey": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "sourceIp": "192.168.196.186",
                "user": None,
                "userAgent": None,
                "userArn": None,
            },
            "path": "/testStage/hello/world",
            "protocol": "HTTP/1.1",
            "requestId": "request-id",
            "requestTime": "20/Feb/2018:22:48:57 +0000",
            "requestTimeEpoch": 1_519_166_937_665,
            "resourceId": "roq9wj",
            "resourcePath": "/{proxy+}",
            "stage": "testStage",
        },
        "body": '{\r\n\t"a": 1\r\n}',
        "isBase64Encoded": False,
    }


def test_what_a_rest_request_does_not_have_is_null() -> None:
    event = rest(Request("GET", "/testStage"), "/", parameters={})

    assert (event["path"], event["requestContext"]["path"]) == ("/", "/testStage")
    for member in ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "body"):
        assert event[member] is None


def test_a_rest_events_path_is_as_it_came_and_its_parameters_are_not() -> None:
    event = rest(Request("GET", "/testStage/a%2Bb/c%20d"), parameters={"proxy": "a+b/c d"})

    assert (event["path"], event["requestContext"]["path"]) == ("/a%2Bb/c%20d", "/testStage/a%2Bb/c%20d")
    assert event["pathParameters"] == {"proxy": "a+b/c d"}


def test_some_headers_do_not_get_to_a_rest_apis_function() -> None:
    names = ("connection", "content-md5", "expect", "max-forwards", "te", "upgrade", "via", "x-a", "authorization")

    event = rest(Request("GET", "/testStage/a", tuple((name, "v") for name in names)))

    assert event["headers"].keys() & {name.title() for name in names} == {"Via", "X-A", "Authorization"}
    assert event["multiValueHeaders"].keys() == event["headers"].keys()


@pytest.mark.parametrize(
    ("value", "caller"), [("AWS4-HMAC-SHA256 Credential=a", None), ("other", IamCaller("KEY", ACCOUNT))]
)
def test_a_signature_does_not_get_to_a_rest_apis_function(value: str, caller: IamCaller | None) -> None:
    event = rest(Request("GET", "/testStage/a", (("authorization", value),)), caller=caller)

    assert "Authorization" not in event["headers"]


def test_a_rest_api_renames_or_drops_some_headers_of_a_response() -> None:
    told = {
        "WWW-Authenticate": "Basic",
        "Date": "then",
        "Server": "mine",
        "Connection": "close",
        "Via": "1",
        "X-A": "b",
    }

    response = answered({"statusCode": 401, "headers": told, "multiValueHeaders": {"Authorization": ["a", "b"]}})

    assert response.headers == (
        ("x-amzn-remapped-www-authenticate", "Basic"),
        ("x-amzn-remapped-date", "then"),
        ("x-amzn-remapped-server", "mine"),
        ("x-amzn-remapped-connection", "close"),
        ("x-a", "b"),
        ("x-amzn-remapped-authorization", "a"),
        ("x-amzn-remapped-authorization", "b"),
        ("content-type", "application/json"),
    )


def test_who_calls_is_in_the_context() -> None:
    request = Request("GET", "/testStage/a")
    by_function = rest(
        request, caller=LambdaCaller("me", {"text": "t", "number": 1, "yes": True, "no": None}), api_key="k"
    )
    by_key = rest(request, caller=IamCaller("KEY", ACCOUNT))

    authorizer = by_function["requestContext"]["authorizer"]
    assert authorizer == {"text": "t", "number": "1", "yes": "true", "principalId": "me"}
    assert by_function["requestContext"]["identity"]["apiKey"] == "k"
    assert "authorizer" not in by_key["requestContext"]
    assert by_key["requestContext"]["identity"]["userArn"] == f"arn:aws:iam::{ACCOUNT}:user/KEY"


@pytest.mark.parametrize(
    ("content_type", "binary", "is_base64"),
    [
        ("image/png", (), False),
        ("image/png", ("image/png",), True),
        ("image/png; a=b", ("IMAGE/PNG",), True),
        ("image/png", ("image/*",), True),
        ("image/png", ("text/plain",), False),
        ("text/plain", ("*/*",), True),
        ("", ("*/*",), True),
    ],
)
def test_a_rest_body_is_base64_where_its_media_type_is_listed(
    content_type: str, binary: tuple[str, ...], is_base64: bool
) -> None:
    request = Request("POST", "/testStage/a", (("content-type", content_type),), b"data")

    event = rest(request, binary_media_types=binary)

    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == b"data"


def test_an_event_of_an_http_api_has_its_own_shape() -> None:
    request = Request("GET", "/test/my/path?a=1&a=2", (("host", HOST), ("header2", "1"), ("header2", "2")))

    event = http_event(arrival(request, "test"), "GET /my/{id}", {"id": "path"})

    context = event["requestContext"]
    assert (event["version"], event["resource"], event["path"]) == ("1.0", "/my/{id}", "/test/my/path")
    assert event["headers"]["header2"] == "2"
    assert event["multiValueHeaders"]["header2"] == ["1", "2"]
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["pathParameters"] == {"id": "path"}
    assert context["authorizer"] == {"claims": None, "scopes": None}
    assert (context["resourceId"], context["resourcePath"], context["stage"]) == (None, "/my/{id}", "test")
    assert context["identity"]["principalOrgId"] is None


def test_an_http_apis_callers_are_told_in_format_1_0() -> None:
    here = arrival(Request("GET", "/a"))

    by_token = http_event(here, "GET /a", {}, JwtCaller({"sub": "me"}, ("read",)))["requestContext"]
    by_function = http_event(here, "GET /a", {}, LambdaCaller("me", {"k": 1}))["requestContext"]

    assert by_token["authorizer"] == {"claims": {"sub": "me"}, "scopes": ("read",)}
    assert by_function["authorizer"] == {"k": 1, "principalId": "me"}


def answered(result: object, accept: str = "", *binary: str) -> Response:
    return rest_response(json.dumps(result).encode(), accept, binary)


def test_a_response_says_everything_itself() -> None:
    result = {
        "statusCode": 201,
        "headers": {"X-One": "1", "X-Both": "a", "X-Number": 5},
        "multiValueHeaders": {"x-both": ["a", "b"], "Set-Cookie": ["c=1", "d=2"]},
        "body": "grüße",
    }

    response = answered(result)

    assert (response.status, response.body) == (201, "grüße".encode())
    assert response.headers == (
        ("x-one", "1"),
        ("x-number", "5"),
        ("x-both", "a"),
        ("x-both", "b"),
        ("set-cookie", "c=1"),
        ("set-cookie", "d=2"),
        ("content-type", "application/json"),
    )
    assert http_response(json.dumps(result).encode()).headers[-1] == ("content-type", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("accept", "binary", "body"),
    [
        ("image/webp,*/*", ("image/webp",), b"\x00\xff"),
        ("*/*", ("*/*",), b"\x00\xff"),
        ("", ("*/*",), b"\x00\xff"),
        ("*/*", ("image/png",), b"AP8="),
        ("text/html", (), b"AP8="),
    ],
)
def test_a_rest_response_is_binary_where_the_client_accepts_it(
    accept: str, binary: tuple[str, ...], body: bytes
) -> None:
    assert answered({"statusCode": 200, "body": "AP8=", "isBase64Encoded": True}, accept, *binary).body == body


@pytest.mark.parametrize(
    "result",
    ["hello", None, 5, [], {}, {"body": "a"}, {"statusCode": 200, "body": {}}, {"statusCode": 200, "headers": []}],
)
def test_another_format_is_no_response(result: object) -> None:
    with pytest.raises(MalformedResponse):
        answered(result)


@given(st.binary(max_size=40), st.sampled_from(["text/plain", "image/png", ""]))
def test_no_byte_of_a_body_is_lost_on_its_way_through_a_function(body: bytes, content_type: str) -> None:
    request = Request("POST", "/testStage/a", (("content-type", content_type),), body)

    event = rest(request, binary_media_types=("*/*",))
    result = {"statusCode": 200, "body": event["body"], "isBase64Encoded": event["isBase64Encoded"]}

    assert answered(result, "*/*", "*/*").body == body
