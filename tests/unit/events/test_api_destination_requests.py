"""What an API destination is sent: its URL, its headers and its body, from endpoint, connection, target and event."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.events.api_destinations.connection import (
    ApiKeyAuth,
    BasicAuth,
    ConnectionParameters,
    OAuth,
    Parameter,
    Secret,
)
from workshape.events.api_destinations.destination import ApiDestination, InvalidEndpoint, check_endpoint
from workshape.events.api_destinations.request import (
    REMOVED,
    Credentials,
    OutgoingRequest,
    api_key,
    basic,
    bearer,
    invocation_request,
    put_in,
    with_members,
)
from workshape.events.api_destinations.token import token_request
from workshape.events.http_parameters import HttpParameters, compile_http_parameters
from workshape.events.json_path import InvalidPath

KEY = Credentials("X-Key", "k")
NOTHING = ConnectionParameters()


def parameter(key: str, value: str) -> Parameter:
    return Parameter(key, Secret(value))


def made(
    endpoint: str = "https://api.test/hook",
    connection: ConnectionParameters = NOTHING,
    target: HttpParameters | None = None,
    credentials: Credentials = KEY,
    body: bytes = b"{}",
) -> OutgoingRequest:
    destination = ApiDestination(name="d", connection_arn="c", endpoint=endpoint, method="POST")
    return invocation_request(destination, connection, target or HttpParameters(), credentials, body)


def test_the_headers_are_those_that_aws_documents() -> None:
    assert made().headers == (
        ("User-Agent", "Amazon/EventBridge/ApiDestinations"),
        ("Range", "bytes=0-1048575"),
        ("Accept-Encoding", "gzip,deflate"),
        ("Connection", "close"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("X-Key", "k"),
    )


def test_a_connections_parameters_take_precedence_over_the_targets() -> None:
    connection = ConnectionParameters(
        headers=(parameter("x-both", "connection"), parameter("X-Own", " spaced ")), query=(parameter("both", "c"),)
    )
    target = HttpParameters((), {"both": "t", "only": "a b&c"}, {"X-Both": "target", "X-Target": "t"})

    request = made("https://api.test/hook?fixed=1", connection, target)

    assert request.url == "https://api.test/hook?fixed=1&only=a%20b%26c&both=c"
    assert request.headers[5:] == (("X-Target", "t"), ("x-both", "connection"), ("X-Own", "spaced"), ("X-Key", "k"))


def test_what_aws_removes_is_not_sent_whoever_gave_it() -> None:
    given_headers = {name.title(): "mine" for name in REMOVED}
    connection = ConnectionParameters(headers=tuple(parameter(name, "mine") for name in REMOVED))

    request = made(connection=connection, target=HttpParameters((), {}, given_headers))

    assert "mine" not in [value for _, value in request.headers]


def test_a_content_type_can_be_chosen_and_credentials_cannot_be_replaced() -> None:
    target = HttpParameters((), {}, {"content-type": "text/plain", "x-key": "forged"})

    request = made(target=target)

    assert ("content-type", "text/plain") in request.headers
    assert [value for name, value in request.headers if name.lower() in ("content-type", "x-key")] == [
        "text/plain",
        "k",
    ]


def test_path_values_fill_wildcards_in_their_order_and_never_the_host() -> None:
    url = "https://*.test/a/*/b/*?q=*&r=*"

    assert put_in(url, ["1/2", "ü", "x&y"]) == "https://*.test/a/1%2F2/b/%C3%BC?q=x%26y&r=*"
    assert put_in("https://api.test/a", ["left over"]) == "https://api.test/a"


def test_a_connections_members_are_put_into_a_json_object_and_nothing_else() -> None:
    members = (parameter("team", "a"), parameter("id", "mine"))

    assert with_members(b'{"id":1,"n":2}', members) == b'{"id":"mine","n":2,"team":"a"}'
    assert with_members(b"[1]", members) == b"[1]"
    assert with_members(b"no json", members) == b"no json"
    assert with_members(b'{"n" : 1}', ()) == b'{"n" : 1}', "as it came"


def test_credentials_are_written_as_their_kinds_ask() -> None:
    assert basic(BasicAuth("me", Secret("p:w"))).value == "Basic " + b64encode(b"me:p:w").decode()
    assert api_key(ApiKeyAuth("X-Api-Key", Secret("s"))) == Credentials("X-Api-Key", "s")
    assert bearer("t") == Credentials("Authorization", "Bearer t")


def test_nothing_that_is_shown_of_a_request_is_secret() -> None:
    secret = "hunter2"
    connection = ConnectionParameters((parameter("h", secret),), (parameter("q", secret),), (parameter("b", secret),))
    auth = OAuth("client", Secret(secret), "https://a.test", "GET", connection)
    request = made(f"https://api.test/{secret}", connection, credentials=Credentials("X-Key", secret))

    shown = [
        repr(one)
        for one in (connection, auth, request, KEY, token_request(auth), basic(BasicAuth("u", Secret(secret))))
    ]

    assert secret in request.url
    assert secret not in "".join(shown)
    assert "'k'" not in "".join(shown)
    assert Secret(secret).__rich_repr__() == []


@pytest.mark.parametrize(
    "url",
    [
        "https://api.test/x",
        "http://127.0.0.1:8080/x",
        "http://127.9.9.9/",
        "http://localhost:9000/*",
        "http://id.execute-api.us-east-1.localhost:4566/prod",
    ],
)
def test_an_endpoint_is_https_or_on_this_machine(url: str) -> None:
    check_endpoint("InvocationEndpoint", url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://api.test/x", "the URL must use HTTPS; http:// is possible for this machine alone"),
        ("http://10.0.0.1/x", "the URL must use HTTPS"),
        ("http://localhost.evil.test/x", "the URL must use HTTPS"),
        ("http://127.0.0.1.nip.io/", "the URL must use HTTPS"),
        ("http://127.0.0.1@evil.test/", "a user and a password belong into a connection"),
        ("https://me:secret@api.test/", "a user and a password belong into a connection"),
        ("ftp://127.0.0.1/", "it must be a URL that begins with https://"),
        ("api.test/x", "it must be a URL that begins with https://"),
        ("https:///x", "it must be a URL that begins with https://"),
        ("https://api.test:port/", "it is no URL"),
    ],
)
def test_any_other_endpoint_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidEndpoint, match=reason) as refused:
        check_endpoint("InvocationEndpoint", url)

    assert str(refused.value).startswith("Parameter InvocationEndpoint is not valid. Reason: ")


def test_values_that_are_json_paths_come_from_the_event() -> None:
    event = {"detail": {"id": "7/8", "n": 3, "items": [1, 2]}}
    compiled = compile_http_parameters(
        HttpParameters(
            ("$.detail.id", "fixed", "$.detail.gone"),
            {"n": "$.detail.n", "gone": "$.detail.gone", "cost": "5 $.detail.n"},
            {"X-Items": "$.detail.items", "X-Gone": "$.nowhere"},
        )
    )

    assert compiled.fill(event) == HttpParameters(
        ("7/8", "fixed", ""), {"n": "3", "cost": "5 $.detail.n"}, {"X-Items": "[1,2]"}
    )


def test_a_value_that_begins_as_a_path_and_is_none_is_refused() -> None:
    with pytest.raises(InvalidPath):
        compile_http_parameters(HttpParameters((), {"q": "$.detail["}, {}))


@given(values=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_whatever_an_event_has_it_goes_to_the_endpoints_host(values: list[str]) -> None:
    url = put_in("https://api.test/v1/*/*?q=*", values)

    assert url.startswith("https://api.test/v1/")
    assert "#" not in url
    assert url.count("?") == 1
