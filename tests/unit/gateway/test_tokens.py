"""JSON Web Tokens: what is read of them, and which are taken."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.gateway.authorization import NotAuthorized, Why
from workshape.gateway.tokens import check_claims, check_scopes, claim_texts, read_token

ISSUER = "https://issuer.example"
GOOD: dict[str, Any] = {"iss": ISSUER, "aud": "me", "exp": 200, "nbf": 90, "iat": 90}


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def token(header: object, claims: object = GOOD) -> str:
    return f"{encoded(header)}.{encoded(claims)}.c2ln"


def test_a_token_is_read_with_and_without_its_scheme() -> None:
    text = token({"alg": "RS256", "kid": "k"})

    for value in (text, f"Bearer {text}", f"bearer  {text} "):
        read = read_token(value)
        assert (read.text, read.key_id, read.algorithm, read.claims) == (text, "k", "RS256", GOOD)


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer ", "x", "a.b", "a.b.c", "Basic abc", "Bearer " + "x" * 9_000),
        *(token({"alg": name, "kid": "k"}) for name in ("none", "HS256", "ES256")),
        *(token(header) for header in ({"alg": "RS256"}, {"alg": "RS256", "kid": 5}, ["alg"])),
        token({"alg": "RS256", "kid": "k"}, "claims"),
    ],
)
def test_what_is_no_token_that_can_be_checked_is_refused(value: str) -> None:
    with pytest.raises(NotAuthorized) as refused:
        read_token(value)

    assert refused.value.why is Why.UNAUTHENTICATED
    assert refused.value.challenge.startswith("Bearer")


@pytest.mark.parametrize(
    ("change", "is_good"),
    [
        ({}, True),
        ({"iss": ISSUER + "/"}, False),
        ({"aud": "you"}, False),
        ({"aud": ["you", "me"]}, True),
        ({"aud": None, "client_id": "me"}, True),
        ({"aud": None}, False),
        ({"exp": 100}, False),
        ({"exp": "200"}, False),
        ({"exp": None}, False),
        ({"nbf": 101}, False),
        ({"nbf": None, "iat": None}, True),
        ({"iat": 101}, False),
    ],
)
def test_claims_are_checked_as_documented(change: dict[str, Any], is_good: bool) -> None:
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}

    try:
        check_claims(claims, ISSUER, ["other", "me"], 100)
    except NotAuthorized:
        assert not is_good
    else:
        assert is_good


def test_without_audiences_everybodys_tokens_are_taken() -> None:
    check_claims({"iss": ISSUER, "exp": 200}, ISSUER, [], 100)


@pytest.mark.parametrize("claims", [{"scope": "a read"}, {"scp": ["read"]}, {"scp": "read"}])
def test_one_of_the_routes_scopes_is_enough(claims: dict[str, Any]) -> None:
    check_scopes(claims, ["write", "read"])


@pytest.mark.parametrize("claims", [{"scope": "reader"}, {"scope": "", "scp": "read"}, {}, {"scope": 5}])
def test_a_token_without_any_of_the_routes_scopes_is_not_enough(claims: dict[str, Any]) -> None:
    with pytest.raises(NotAuthorized) as refused:
        check_scopes(claims, ["write", "read"])

    assert refused.value.why is Why.NOT_ALLOWED
    assert refused.value.challenge == 'Bearer scope="write read" error="insufficient_scope"'
    check_scopes(claims, [])


def test_claims_become_text() -> None:
    claims = {"a": "x", "n": 5, "t": True, "l": ["x", "y"], "o": {"k": 1}}

    assert claim_texts(claims) == {"a": "x", "n": "5", "t": "true", "l": "[x y]", "o": '{"k":1}'}


@given(st.text(max_size=60) | st.lists(st.text("abc=-_", max_size=9), min_size=3, max_size=3).map(".".join))
def test_no_text_breaks_the_reading_of_tokens(value: str) -> None:
    with pytest.raises(NotAuthorized):
        read_token(value)
