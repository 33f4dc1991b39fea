"""IAM tokens as botocore makes them hold for whom, where and when they are made for, and for nobody else."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote

import botocore.session
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.fakes.iam_tokens import HOST, KEY, PORT, REGION, SECRET, presigned
from workshape.pgproxy.iam_token import TokenRefused, TokenRules, check_token, is_token, make_token
from workshape.sigv4 import Keys

USER = "app"
RULES = TokenRules({KEY: SECRET}, REGION, frozenset({HOST, "127.0.0.1", "::1"}), frozenset({"db.internal:5432"}))
Generate = Callable[..., str]


@pytest.fixture(scope="module")
def generate() -> Generate:
    """`aws rds generate-db-auth-token`, by the SDK."""
    session = botocore.session.Session()

    def client(session_token: str | None) -> Any:
        return session.create_client(
            "rds",
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            aws_session_token=session_token,
        )

    lasting, temporary = client(None), client("FQoG+/=session")

    def make(host: str = HOST, port: int = PORT, user: str = USER, *, is_temporary: bool = False) -> str:
        signer = temporary if is_temporary else lasting
        return str(signer.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user))

    return make


def now() -> float:
    return datetime.now(UTC).timestamp()


@pytest.mark.parametrize(
    ("host", "port"), [(HOST, PORT), ("LOCALHOST", PORT), ("127.0.0.1", PORT), ("[::1]", PORT), ("db.internal", 5432)]
)
def test_a_token_holds_under_every_name_of_the_proxy(generate: Generate, host: str, port: int) -> None:
    check_token(generate(host, port), USER, PORT, RULES, now())


def test_a_token_of_temporary_credentials_holds(generate: Generate) -> None:
    token = generate(is_temporary=True)

    check_token(token, USER, PORT, RULES, now())


@settings(max_examples=50, deadline=None)
@given(user=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12))
def test_a_token_holds_for_its_user_and_for_nobody_else(generate: Generate, user: str) -> None:
    token = generate(user=user)

    check_token(token, user, PORT, RULES, now())
    with pytest.raises(TokenRefused, match="is for user"):
        check_token(token, user + "x", PORT, RULES, now())


@settings(max_examples=100, deadline=None)
@given(place=st.floats(min_value=0, max_value=1, exclude_max=True), character=st.sampled_from("aZ09%&=/?-_.:"))
def test_a_token_of_which_one_character_is_another_does_not_hold(
    generate: Generate, place: float, character: str
) -> None:
    token = generate()
    position = int(place * len(token))
    assume(token[position] != character)

    with pytest.raises(TokenRefused):
        check_token(token[:position] + character + token[position + 1 :], USER, PORT, RULES, now())


@pytest.mark.parametrize(("late_s", "holds"), [(899, True), (902, False), (-890, True), (-910, False)])
def test_a_token_holds_for_fifteen_minutes(generate: Generate, late_s: float, holds: bool) -> None:
    token = generate()

    if holds:
        check_token(token, USER, PORT, RULES, now() + late_s)
    else:
        with pytest.raises(TokenRefused, match="not valid now"):
            check_token(token, USER, PORT, RULES, now() + late_s)


def test_a_token_that_says_it_holds_for_a_week_does_not() -> None:
    token = presigned(f"Action=connect&DBUser={USER}", expires=604_800)

    check_token(token, USER, PORT, RULES, now() + 890)
    with pytest.raises(TokenRefused, match="not valid now"):
        check_token(token, USER, PORT, RULES, now() + 910)


def test_why_a_token_is_refused_is_said(generate: Generate) -> None:
    other_region = TokenRules({KEY: SECRET}, "us-east-1", frozenset({HOST}))
    for token, rules, told in (
        ("a password", RULES, "is no IAM token"),
        ("", RULES, "is no IAM token"),
        (
            generate(host="elsewhere"),
            RULES,
            "is for elsewhere:6432; here is 127.0.0.1:6432, [::1]:6432, db.internal:5432",
        ),
        (generate(port=5432), RULES, "is for localhost:5432"),
        (generate(), other_region, "is signed for region 'eu-west-1'; here is 'us-east-1'"),
        (
            generate(),
            TokenRules({"OTHER": SECRET}, REGION, frozenset({HOST})),
            "access key that the proxy does not know",
        ),
        (generate(), TokenRules({KEY: "other"}, REGION, frozenset({HOST})), "signature does not hold"),
        (generate().replace("&X-Amz-SignedHeaders=host", "&X-Amz-SignedHeaders="), RULES, "does not cover its host"),
        (presigned(f"Action=drop&DBUser={USER}"), RULES, "not for Action=connect"),
        (f"{generate()}&DBUser=root", RULES, "is for user 'app'"),
        (presigned("Action=connect"), RULES, "is for user ''"),
        (presigned(f"Action=connect&DBUser={USER}", service="s3"), RULES, "signed for service 's3'"),
    ):
        with pytest.raises(TokenRefused, match=told.replace("[", r"\[")):
            check_token(token, USER, PORT, rules, now())


@settings(max_examples=50, deadline=None)
@given(
    user=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12),
    session_token=st.sampled_from(["", "FQoG+/=session"]),
)
def test_a_token_that_we_make_is_the_sdks(generate: Generate, user: str, session_token: str) -> None:
    theirs = generate(user=user, is_temporary=bool(session_token))
    said_at = parse_qs(theirs)["X-Amz-Date"][0]
    made_at = datetime.strptime(said_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()

    ours = make_token(HOST, PORT, user, REGION, Keys(KEY, SECRET, session_token), made_at)

    assert sorted(ours.split("?")[1].split("&")) == sorted(theirs.split("?")[1].split("&"))
    assert ours.partition("?")[0] == theirs.partition("?")[0]
    check_token(ours, user, PORT, RULES, now())


def test_a_token_that_we_make_for_an_address_has_it_in_brackets() -> None:
    check_token(make_token("::1", PORT, USER, REGION, Keys(KEY, SECRET), now()), USER, PORT, RULES, now())


def test_no_region_means_any(generate: Generate) -> None:
    check_token(generate(), USER, PORT, TokenRules({KEY: SECRET}, "", frozenset({HOST})), now())


def test_a_token_is_told_from_a_password(generate: Generate) -> None:
    assert is_token(generate())
    assert not is_token("pass/word?X-Amz")
    assert not is_token(quote(generate(), safe=""))


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from(["", f"{HOST}:{PORT}/?", f"{HOST}:{PORT}/?Action=connect&DBUser={USER}&"]),
    fields=st.lists(
        st.tuples(
            st.sampled_from(
                ["X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Algorithm"]
            ),
            st.text(max_size=30) | st.sampled_from([f"{KEY}/20260101/{REGION}/rds-db/aws4_request", "host", "900"]),
        ),
        max_size=6,
    ),
    end=st.sampled_from(["", "X-Amz-Signature=", "X-Amz-Signature=\udcff"]),
)
def test_nonsense_is_refused(start: str, fields: list[tuple[str, str]], end: str) -> None:
    with pytest.raises(TokenRefused):
        check_token(start + "".join(f"{name}={value}&" for name, value in fields) + end, USER, PORT, RULES, now())
