"""What Lambda authorizers are asked and answer, and what policies allow."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.gateway.arrival import Arrival
from workshape.gateway.authorization import (
    TOKEN,
    V1,
    V2,
    FunctionAuthorizer,
    MalformedAnswer,
    NotAuthorized,
    Why,
    identity_of,
    read_answer,
    request_event,
    token_event,
)
from workshape.gateway.execution_arn import Decision, MalformedPolicy, decide, execution_arn
from workshape.gateway.payload import describe
from workshape.gateway.payload_v1 import http_description, rest_description
from workshape.http1.message import Request

ARN = execution_arn("us-east-1", "123456789012", "abcdef123", "test", "GET", "/request")
REQUEST = Request("GET", "/test/request?q=1", (("headerauth1", "value1"), ("user-agent", "a")), b"", "192.0.2.1")
ARRIVAL = Arrival(REQUEST, "abcdef123", "test", "id-1", "123456789012", 0.0, variables={"color": "red"})


def policy(effect: str, resource: Any = ARN, action: Any = "execute-api:Invoke", **more: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Resource": resource, "Action": action, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def authorizer(*sources: str, form: str = V2, **more: Any) -> FunctionAuthorizer:
    return FunctionAuthorizer("a", "uri", form, sources, **more)


def test_the_arn_names_what_the_request_wants() -> None:
    assert ARN == "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/request"


@pytest.mark.parametrize(
    ("document", "decision"),
    [
        (policy("Allow"), Decision.ALLOWED),
        (policy("Allow", "*"), Decision.ALLOWED),
        (policy("Allow", ["x", "arn:aws:execute-api:*:*:abcdef123/*/GET/*"]), Decision.ALLOWED),
        (policy("Allow", "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GE?/request"), Decision.ALLOWED),
        (policy("Allow", ARN + "/child"), Decision.NOT_ALLOWED),
        (policy("Allow", ARN.lower()), Decision.NOT_ALLOWED),
        (policy("Allow", action=["execute-api:*"]), Decision.ALLOWED),
        (policy("Allow", action="EXECUTE-API:invoke"), Decision.ALLOWED),
        (policy("Allow", action="lambda:*"), Decision.NOT_ALLOWED),
        (policy("Deny"), Decision.DENIED),
        ({"Statement": [*policy("Allow")["Statement"], *policy("Deny", "*")["Statement"]]}, Decision.DENIED),
        ({"Statement": [*policy("Deny", "*")["Statement"], *policy("Allow")["Statement"]]}, Decision.DENIED),
        ({"Statement": policy("Allow")["Statement"][0]}, Decision.ALLOWED),
        ({"Statement": [{"Effect": "Allow", "Action": "*", "NotResource": "arn:other"}]}, Decision.ALLOWED),
        ({"Statement": []}, Decision.NOT_ALLOWED),
    ],
)
def test_policies_are_evaluated_as_iam_does(document: Any, decision: Decision) -> None:
    assert decide(document, ARN) is decision


@pytest.mark.parametrize(
    "document",
    [
        *(None, {}, {"Statement": "x"}, {"Statement": ["x"]}),
        *(policy("Maybe"), policy("Allow", 5), policy("Allow", action=5)),
        policy("Allow", Condition={"IpAddress": {"aws:SourceIp": "1.2.3.4"}}),
    ],
)
def test_what_cannot_be_evaluated_allows_nothing(document: Any) -> None:
    with pytest.raises(MalformedPolicy):
        decide(document, ARN)


@given(st.lists(st.sampled_from([policy("Allow"), policy("Deny"), policy("Allow", "arn:other")]), max_size=4))
def test_a_denial_goes_before_every_allowance(policies: list[dict[str, Any]]) -> None:
    statements = [one["Statement"][0] for one in policies]

    decision = decide({"Statement": statements}, ARN)

    assert (decision is Decision.DENIED) == any(one["Effect"] == "Deny" for one in statements)
    assert (decision is Decision.NOT_ALLOWED) == all(one["Resource"] == "arn:other" for one in statements)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$request.header.HeaderAuth1", "value1"),
        ("$request.querystring.q", "1"),
        ("$context.routeKey", "GET /request"),
        ("$context.identity.sourceIp", "192.0.2.1"),
        ("$stageVariables.color", "red"),
        ("method.request.header.HeaderAuth1", "value1"),
        ("method.request.querystring.q", "1"),
        ("context.httpMethod", "GET"),
        ("stageVariables.color", "red"),
    ],
)
def test_identity_sources_are_found_where_they_say(source: str, value: str) -> None:
    assert identity_of(authorizer(source), ARRIVAL, "GET /request") == (value,)


@pytest.mark.parametrize("source", ["$request.header.none", "$request.querystring.Q", "$stageVariables.none", "x.y"])
def test_a_request_without_its_identity_is_nobodys(source: str) -> None:
    with pytest.raises(NotAuthorized) as refused:
        identity_of(authorizer("$request.header.HeaderAuth1", source), ARRIVAL, "GET /request")

    assert refused.value.why is Why.UNAUTHENTICATED


def test_a_token_must_match_the_expression() -> None:
    source = "method.request.header.HeaderAuth1"

    assert identity_of(authorizer(source, form=TOKEN, token_pattern=r"value\d"), ARRIVAL, "") == ("value1",)
    with pytest.raises(NotAuthorized):
        identity_of(authorizer(source, form=TOKEN, token_pattern="value"), ARRIVAL, "")


def test_authorizers_are_asked_in_their_format() -> None:
    identity = ("user1", "123")

    v2 = request_event(describe(ARRIVAL, "GET /request", {}), identity, ARN, V2)
    v1 = request_event(http_description(ARRIVAL, "GET /request", {}), identity, ARN, V1)
    rest = request_event(rest_description(ARRIVAL, "/request", "05c7jb", {}), identity, ARN, V1)

    assert {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": ARN,
        "identitySource": ["user1", "123"],
    }.items() <= v2.items()
    assert (v1["version"], v1["methodArn"], v1["identitySource"]) == ("1.0", ARN, "user1,123")
    assert v1["authorizationToken"] == "user1,123"
    assert {"version", "identitySource"}.isdisjoint(rest)
    assert (rest["type"], rest["methodArn"], rest["path"]) == ("REQUEST", ARN, "/request")
    assert all("body" not in event for event in (v1, v2, rest))
    assert token_event("allow", ARN) == {"type": "TOKEN", "authorizationToken": "allow", "methodArn": ARN}


def read(answer: object, *, is_simple: bool = False) -> Any:
    return read_answer(json.dumps(answer).encode(), is_simple=is_simple)


def test_answers_let_in_or_not() -> None:
    yes = read({"isAuthorized": True, "context": {"k": [1]}}, is_simple=True)
    allowed = read({"principalId": "me", "policyDocument": policy("Allow"), "context": {"k": "v"}})

    assert yes.caller(ARN).context == {"k": [1]}
    assert (allowed.caller(ARN).principal, allowed.caller(ARN).context) == ("me", {"k": "v"})
    for answer, why in (
        (read({"isAuthorized": False}, is_simple=True), Why.NOT_ALLOWED),
        (read({"principalId": "me", "policyDocument": policy("Deny")}), Why.DENIED),
        (read({"principalId": "me", "policyDocument": policy("Allow", "arn:other")}), Why.NOT_ALLOWED),
        (read({"principalId": "me", "policyDocument": {}}), Why.AUTHORIZER_FAILED),
    ):
        with pytest.raises(NotAuthorized) as refused:
            answer.caller(ARN)
        assert refused.value.why is why


@pytest.mark.parametrize(
    ("answer", "is_simple"),
    [
        (None, False),
        ("yes", True),
        ({}, True),
        ({"isAuthorized": "true"}, True),
        ({"isAuthorized": True}, False),
        ({"policyDocument": policy("Allow")}, False),
        ({"principalId": "me"}, False),
        ({"isAuthorized": True, "context": [1]}, True),
    ],
)
def test_another_answer_is_none(answer: object, is_simple: bool) -> None:
    with pytest.raises(MalformedAnswer):
        read(answer, is_simple=is_simple)
