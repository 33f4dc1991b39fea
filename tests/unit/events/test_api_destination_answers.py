"""What answers mean: which are retried and when, and what authorization endpoints give."""

import json
from base64 import b64encode
from urllib.parse import parse_qsl

import pytest

from workshape.delivery import Delivered, Undelivered
from workshape.events.api_destinations.answer import Answer, outcome_of, retry_after_s
from workshape.events.api_destinations.connection import ConnectionParameters, OAuth, Parameter, Secret
from workshape.events.api_destinations.request import OutgoingRequest
from workshape.events.api_destinations.token import NoToken, Token, read_token, token_request
from workshape.events.invocation import failure_of
from workshape.events.retry import Failure, GiveUp, RetryPolicy, TryAgain, after_failure

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundreds_are_delivered(status: int) -> None:
    assert outcome_of(Answer(status), NOW) == Delivered()


@pytest.mark.parametrize(
    ("status", "code", "is_retried"),
    [
        (302, "ERROR_FROM_TARGET", False),
        (400, "ERROR_FROM_TARGET", False),
        (401, "NO_PERMISSIONS", True),
        (403, "ERROR_FROM_TARGET", False),
        (404, "ERROR_FROM_TARGET", False),
        (407, "NO_PERMISSIONS", True),
        (409, "ERROR_FROM_TARGET", True),
        (429, "THROTTLING", True),
        (500, "ERROR_FROM_TARGET", True),
        (503, "ERROR_FROM_TARGET", True),
    ],
)
def test_the_statuses_that_aws_documents_are_retried(status: int, code: str, is_retried: bool) -> None:
    outcome = outcome_of(Answer(status), NOW)

    assert isinstance(outcome, Undelivered)
    assert failure_of(outcome) == Failure(code, f"The API destination returned HTTP status {status}.", is_retried)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-1", -1.0),
        ("Fri, 15 Jan 2027 08:01:30 GMT", 90.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("1.5", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_a_negative_retry_after_ends_the_retries() -> None:
    outcome = outcome_of(Answer(503, (("retry-after", "-1"),)), NOW)

    assert isinstance(outcome, Undelivered)
    assert not outcome.retryable


def test_the_longer_of_the_back_off_and_retry_after_is_waited_for() -> None:
    policy = RetryPolicy(age_s_max=3_600)

    def decided(header: str, retries: int) -> TryAgain | GiveUp:
        outcome = outcome_of(Answer(429, (("retry-after", header),)), NOW)
        assert isinstance(outcome, Undelivered)
        return after_failure(policy, failure_of(outcome), retries, NOW, NOW, chance=1.0)

    assert decided("30", 0) == TryAgain(NOW + 30)
    assert decided("30", 8) == TryAgain(NOW + 256)
    assert decided("3601", 0) == GiveUp("MaximumEventAgeInSeconds")


# Tokens


def auth(method: str = "POST", **parameters: tuple[Parameter, ...]) -> OAuth:
    endpoint = "https://auth.test/token?tenant=1"
    return OAuth("cl:ent", Secret("s&cret"), endpoint, method, ConnectionParameters(**parameters))


def form(request: OutgoingRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


def test_a_token_is_asked_for_with_a_form_that_has_the_client_in_it() -> None:
    request = token_request(auth())

    assert (request.method, request.url) == ("POST", "https://auth.test/token?tenant=1")
    assert ("Content-Type", "application/x-www-form-urlencoded") in request.headers
    assert form(request) == {"grant_type": "client_credentials", "client_id": "cl:ent", "client_secret": "s&cret"}
    assert "Authorization" not in dict(request.headers)


def test_with_get_the_client_is_in_a_header_and_no_secret_in_the_url() -> None:
    request = token_request(auth("GET"))

    assert request.url == "https://auth.test/token?tenant=1&grant_type=client_credentials"
    assert dict(request.headers)["Authorization"] == "Basic " + b64encode(b"cl%3Aent:s%26cret").decode()
    assert request.body == b""


def test_what_the_connection_adds_for_authorization_takes_precedence() -> None:
    request = token_request(
        auth(
            headers=(Parameter("X-Tenant", Secret("t")), Parameter("Host", Secret("evil"))),
            query=(Parameter("audience", Secret("api")),),
            body=(Parameter("grant_type", Secret("password")), Parameter("scope", Secret("a b"))),
        )
    )

    assert request.url == "https://auth.test/token?tenant=1&audience=api"
    assert dict(request.headers)["X-Tenant"] == "t"
    assert "Host" not in dict(request.headers)
    assert form(request) == {
        "grant_type": "password",
        "client_id": "cl:ent",
        "client_secret": "s&cret",
        "scope": "a b",
    }


def test_an_endpoint_that_wants_json_gets_json() -> None:
    request = token_request(auth(headers=(Parameter("content-type", Secret("application/json")),)))

    assert json.loads(request.body)["client_secret"] == "s&cret"
    assert [name for name, _ in request.headers if name.lower() == "content-type"] == ["content-type"]


def answered(status: int, **members: object) -> Answer:
    return Answer(status, (), json.dumps(members).encode())


def test_a_token_is_replaced_a_minute_before_its_end_or_after_half_its_life() -> None:
    long = read_token(answered(200, access_token="t", expires_in=3_600), NOW)
    short = read_token(answered(200, access_token="t", expires_in="20"), NOW)
    endless = read_token(answered(201, access_token="t", token_type="bearer"), NOW)

    assert long == Token("t", NOW + 3_540)
    assert short == Token("t", NOW + 10)
    assert endless == Token("t", None)
    assert isinstance(long, Token)
    assert long.is_good(NOW + 3_539)
    assert not long.is_good(NOW + 3_540)


@pytest.mark.parametrize(
    ("answer", "is_refused"),
    [
        (answered(400, error="invalid_client"), True),
        (answered(401), True),
        (answered(302), True),
        (answered(200, token="t"), True),
        (Answer(200, (), b"<html>"), True),
        (answered(429), False),
        (answered(500), False),
    ],
)
def test_a_refusal_is_told_from_troubles(answer: Answer, is_refused: bool) -> None:
    outcome = read_token(answer, NOW)

    assert isinstance(outcome, NoToken)
    assert outcome.is_refused is is_refused


def test_no_word_of_an_answer_is_repeated() -> None:
    outcome = read_token(answered(400, error_description="client s&cret is unknown"), NOW)

    assert "s&cret" not in repr(outcome)
    assert "hunter2" not in repr(read_token(answered(200, access_token="hunter2"), NOW))
