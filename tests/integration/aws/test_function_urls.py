"""Function URLs: configured over a real boto3 client, and used by curl as they are."""

import json
import shutil
import subprocess
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec.structs import replace

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.invocations import echo
from tests.fakes.live_door import LiveDoor
from workshape.errors import BackendUnavailable
from workshape.functions.concurrency import ThrottleReason, TooManyRequests
from workshape.functions.model import InvocationRequest, InvocationResult

OPEN: dict[str, Any] = {"FunctionName": "f", "AuthType": "NONE"}


@pytest.fixture
def client(door: LiveDoor, archive: Archive) -> Any:
    """A client, and a function with an alias that greets."""
    client = door.client("lambda")
    create(client, archive(), Publish=True)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    def greet(asked: InvocationRequest) -> InvocationResult:
        answer = {"statusCode": 201, "headers": {"x-own": "1"}, "cookies": ["a=1", "b=2"], "body": "hello"}
        return replace(echo(asked), payload=json.dumps(answer).encode())

    door.invoke.answer = greet
    return client


def call(door: LiveDoor, url: str, method: str = "GET", **more: Any) -> httpx.Response:
    """Call a function URL as a client does whose resolver knows nothing of localhost's subdomains."""
    parts = urlsplit(url)
    headers = {**more.pop("headers", {}), "host": parts.netloc}
    return httpx.request(method, f"{door.url}{parts.path}?{parts.query}", headers=headers, **more)


def event_of(door: LiveDoor) -> Any:
    return json.loads(door.invoke.asked[-1].payload)


def test_a_function_url_is_shown_as_it_was_made(client: Any) -> None:
    cors = {"AllowOrigins": ["*"], "AllowMethods": ["GET"], "MaxAge": 5, "AllowCredentials": False}
    made = client.create_function_url_config(**OPEN, Cors=cors)
    of_alias = client.create_function_url_config(FunctionName="f", Qualifier="live", AuthType="AWS_IAM")

    shown = client.get_function_url_config(FunctionName="f")
    changed = client.update_function_url_config(FunctionName="f", AuthType="AWS_IAM", Cors={})
    listed = client.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]

    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert {**shown, "ResponseMetadata": 0} == {
        **made,
        "ResponseMetadata": 0,
        "LastModifiedTime": made["CreationTime"],
    }
    assert (made["FunctionArn"], of_alias["FunctionArn"]) == (ARN, f"{ARN}:live")
    assert (made["Cors"], made["InvokeMode"]) == (cors, "BUFFERED")
    assert (changed["FunctionUrl"], changed["AuthType"]) == (made["FunctionUrl"], "AWS_IAM")
    assert "Cors" not in changed
    assert [url["FunctionUrl"] for url in listed] == [made["FunctionUrl"], of_alias["FunctionUrl"]]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_curl_reaches_a_function_url_as_it_is(client: Any, door: LiveDoor) -> None:
    url = client.create_function_url_config(**OPEN)["FunctionUrl"]

    printed = subprocess.run(
        ["curl", "--silent", "--include", "--max-time", "20", "--data", "é=1", f"{url}a/b%20c?x=1&x=2"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    head, _, body = printed.partition("\n\n")
    event = event_of(door)
    assert head.startswith("HTTP/1.1 201")
    assert {"x-own: 1", "set-cookie: a=1", "set-cookie: b=2"} <= {*head.splitlines()}
    assert body == "hello"
    assert (event["rawPath"], event["rawQueryString"], event["version"]) == ("/a/b%20c", "x=1&x=2", "2.0")


def test_every_path_is_the_functions(client: Any, door: LiveDoor) -> None:
    url = client.create_function_url_config(**OPEN)["FunctionUrl"]

    for path in ("_workshape/status", "2015-03-31/functions/f"):
        assert call(door, f"{url}{path}").text == "hello"
        assert event_of(door)["rawPath"] == f"/{path}"


def test_the_event_is_what_aws_sends(client: Any, door: LiveDoor) -> None:
    url = client.create_function_url_config(FunctionName="f", Qualifier="live", AuthType="NONE")["FunctionUrl"]

    call(door, f"{url}x", "POST", json={"a": 1})

    event, host = event_of(door), urlsplit(url).netloc
    context = event["requestContext"]
    url_id = host.partition(".")[0]
    assert (door.invoke.asked[-1].name, door.invoke.asked[-1].qualifier) == ("f", "live")
    assert (event["routeKey"], event["body"], event["isBase64Encoded"]) == ("$default", '{"a":1}', False)
    assert (context["apiId"], context["domainPrefix"], context["domainName"]) == (url_id, url_id, host)
    assert (context["accountId"], context["stage"], context["http"]["method"]) == ("anonymous", "$default", "POST")
    assert "authorizer" not in context


def test_a_url_of_iam_takes_signed_requests_only(client: Any, door: LiveDoor) -> None:
    url = client.create_function_url_config(FunctionName="f", AuthType="AWS_IAM")["FunctionUrl"]

    def signed(service: str, secret: str) -> httpx.Response:
        request = AWSRequest("PUT", url, data=b"x", headers={"host": urlsplit(url).netloc})
        SigV4Auth(Credentials(door.settings.endpoint.access_key, secret), service, "us-east-1").add_auth(request)
        return call(door, url, "PUT", content=b"x", headers=dict(request.headers))

    secret = door.settings.endpoint.secret_key
    unsigned, wrong, other = call(door, url), signed("lambda", "wrong"), signed("sqs", secret)
    asked_before = len(door.invoke.asked)
    right = signed("lambda", secret)

    assert [answer.status_code for answer in (unsigned, wrong, other, right)] == [403, 403, 403, 201]
    assert unsigned.json()["Message"] == "Request is missing Authentication Token"
    assert asked_before == 0, "nobody was let in before"
    assert event_of(door)["requestContext"]["authorizer"]["iam"]["accessKey"] == door.settings.endpoint.access_key
    assert event_of(door)["requestContext"]["accountId"] == "123456789012"


def test_browsers_of_other_origins_are_told_what_is_configured(client: Any, door: LiveDoor) -> None:
    url = client.create_function_url_config(**OPEN, Cors={"AllowOrigins": ["https://a.b"], "AllowMethods": ["PUT"]})
    origin = {"origin": "https://a.b"}

    asking = {**origin, "access-control-request-method": "PUT"}
    preflight = call(door, url["FunctionUrl"], "OPTIONS", headers=asking)
    asked = len(door.invoke.asked)
    answer = call(door, url["FunctionUrl"], headers=origin)

    assert (preflight.status_code, preflight.headers["access-control-allow-methods"], asked) == (200, "PUT", 0)
    assert (answer.text, answer.headers["access-control-allow-origin"]) == ("hello", "https://a.b")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (TooManyRequests(reason_code=ThrottleReason.RESERVED.value), 429),
        (BackendUnavailable(backend="it", address="there", reason='"so"'), 503),
        ("Unhandled", 502),
        (b'{"statusCode": 99}', 502),
    ],
    ids=["throttled", "unavailable", "failed", "malformed"],
)
def test_what_goes_wrong_is_a_status(client: Any, door: LiveDoor, outcome: Any, status: int) -> None:
    url = client.create_function_url_config(**OPEN)["FunctionUrl"]

    def answer(asked: InvocationRequest) -> InvocationResult:
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, bytes):
            return replace(echo(asked), payload=outcome)
        return replace(echo(asked), function_error=outcome)

    door.invoke.answer = answer

    answered = call(door, url)

    assert answered.status_code == status
    assert answered.json()["Message"]


def test_a_url_ends_with_its_configuration_its_alias_or_its_function(client: Any, door: LiveDoor) -> None:
    own = client.create_function_url_config(**OPEN)["FunctionUrl"]
    of_alias = client.create_function_url_config(**OPEN, Qualifier="live")["FunctionUrl"]

    client.delete_function_url_config(FunctionName="f")
    after_config = [call(door, url).status_code for url in (own, of_alias)]
    client.delete_alias(FunctionName="f", Name="live")

    assert after_config == [404, 201]
    assert call(door, of_alias).status_code == 404
    assert client.create_function_url_config(**OPEN)["FunctionUrl"] != own, "an address is never another's"


def test_what_lambda_refuses_of_urls_is_refused(client: Any) -> None:
    client.create_function_url_config(**OPEN)
    missing = ("ResourceNotFoundException", 404, "The resource you requested does not exist.")

    assert refusal(lambda: client.create_function_url_config(**OPEN))[:2] == ("ResourceConflictException", 409)
    assert refusal(lambda: client.get_function_url_config(FunctionName="f", Qualifier="live")) == missing
    assert refusal(lambda: client.delete_function_url_config(FunctionName="f", Qualifier="live")) == missing
    assert refusal(lambda: client.get_function_url_config(FunctionName="none"))[:2] == missing[:2]
    assert refusal(lambda: client.create_function_url_config(**OPEN, Qualifier="1"))[:2] == ("ValidationException", 400)


STREAMED = {**OPEN, "InvokeMode": "RESPONSE_STREAM"}
PRELUDE = b'{"statusCode": 202, "headers": {"X-Own": "1", "content-type": "text/plain"}, "cookies": ["a=1", "b=2"]}'


def test_a_url_that_streams_takes_status_headers_and_cookies_from_the_prelude(door: LiveDoor, client: Any) -> None:
    made = client.create_function_url_config(**STREAMED)
    pieces = (PRELUDE[:20], PRELUDE[20:] + bytes(5), bytes(3) + b"he", b"", b"llo")
    door.invoke.streamed = ("application/vnd.awslambda.http-integration-response", pieces)

    answer = call(door, made["FunctionUrl"])

    assert made["InvokeMode"] == client.get_function_url_config(FunctionName="f")["InvokeMode"] == "RESPONSE_STREAM"
    assert (answer.status_code, answer.text) == (202, "hello")
    assert (answer.headers["x-own"], answer.headers["content-type"]) == ("1", "text/plain")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["transfer-encoding"] == "chunked"


def test_without_a_prelude_the_stream_is_the_body_of_a_200(door: LiveDoor, client: Any) -> None:
    url = client.create_function_url_config(**STREAMED)["FunctionUrl"]

    door.invoke.streamed = ("text/html", (b"<p>", b"hello"))
    named = call(door, url)
    door.invoke.streamed = ("", (b"\x00\x01",))
    unnamed = call(door, url)

    assert (named.status_code, named.headers["content-type"], named.text) == (200, "text/html", "<p>hello")
    assert (unnamed.headers["content-type"], unnamed.content) == ("application/octet-stream", b"\x00\x01")


def test_a_function_that_does_not_stream_is_answered_as_ever(door: LiveDoor, client: Any) -> None:
    url = client.create_function_url_config(**STREAMED)["FunctionUrl"]

    whole = call(door, url)
    door.invoke.answer = lambda asked: replace(echo(asked), function_error="Unhandled")
    failed = call(door, url)

    assert (whole.status_code, whole.text) == (201, "hello")
    assert failed.status_code == 502


@pytest.mark.parametrize(
    "pieces", [(b"none" + bytes(8),), (PRELUDE,), (b"{" * 20_000,), (b'{"statusCode": 99}' + bytes(8),)]
)
def test_a_prelude_that_is_none_is_a_bad_gateway(door: LiveDoor, client: Any, pieces: tuple[bytes, ...]) -> None:
    url = client.create_function_url_config(**STREAMED)["FunctionUrl"]
    door.invoke.streamed = ("application/vnd.awslambda.http-integration-response", pieces)

    assert call(door, url).status_code == 502


def test_a_stream_that_breaks_off_does_not_look_whole(door: LiveDoor, client: Any) -> None:
    url = client.create_function_url_config(**STREAMED)["FunctionUrl"]
    door.invoke.streamed = ("text/plain", (b"hel",))
    door.invoke.answer = lambda asked: replace(echo(asked), function_error="Unhandled")

    with pytest.raises(httpx.RemoteProtocolError):
        call(door, url)
