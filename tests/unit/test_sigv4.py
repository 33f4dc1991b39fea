"""Signatures made by botocore's own signers hold; whatever is changed afterwards, they do not."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from workshape.http1.message import Request
from workshape.sigv4 import (
    Credential,
    Keys,
    MissingAuthentication,
    SignatureExpired,
    SignatureMismatch,
    UnknownAccessKey,
    find_credential,
    sign,
    verify,
)

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SECRETS = {KEY: SECRET}
CREDENTIALS = Credentials(KEY, SECRET)
HOST = "127.0.0.1:4566"


def signed(
    signer: Any, method: str = "POST", target: str = "/", body: bytes = b"", headers: dict[str, str] | None = None
) -> Request:
    """A request as botocore signs and sends it."""
    wire = AWSRequest(method, f"http://{HOST}{target}", headers={"host": HOST, **(headers or {})}, data=body)
    signer.add_auth(wire)
    url = urlsplit(str(wire.url))
    pairs = tuple((name.lower(), str(value)) for name, value in wire.headers.items())
    return Request(method, (url.path or "/") + (f"?{url.query}" if url.query else ""), pairs, body)


def now() -> float:
    return datetime.now(UTC).timestamp()


SIGNERS: list[Callable[[], Any]] = [
    lambda: SigV4Auth(CREDENTIALS, "lambda", "us-east-1"),
    lambda: SigV4QueryAuth(CREDENTIALS, "sqs", "eu-west-1", expires=60),
    lambda: S3SigV4Auth(CREDENTIALS, "s3", "us-east-1"),
    lambda: S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=60),
]
segments = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)


@pytest.mark.parametrize("signer", SIGNERS, ids=["header", "query", "s3 header", "s3 query"])
@settings(max_examples=20, deadline=None)
@given(
    path=st.lists(segments.map(lambda text: quote(text, safe="")), max_size=3),
    query=st.dictionaries(segments, segments, max_size=3),
    body=st.binary(max_size=20),
)
def test_what_botocore_signed_holds(
    signer: Callable[[], Any], path: list[str], query: dict[str, str], body: bytes
) -> None:
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    target = "/" + "/".join(path) + (f"?{pairs}" if pairs else "")

    own = signer()
    sent = b"" if isinstance(own, SigV4QueryAuth) else body  # botocore presigns requests without a body

    request = signed(own, "POST", target, sent, {"x-amz-thing": "  two   spaces "})

    verify(request, SECRETS, now())


@pytest.mark.parametrize(
    "change",
    [
        lambda request: replace(request, body=b"other"),
        lambda request: replace(request, method="PUT"),
        lambda request: replace(request, target="/other"),
        lambda request: replace(request, target=f"{request.target}?more=1"),
        lambda request: replace(
            request, headers=tuple(("host", "else") if name == "host" else (name, v) for name, v in request.headers)
        ),
    ],
    ids=["body", "method", "path", "query", "header"],
)
def test_a_changed_request_does_not_hold(change: Callable[[Request], Request]) -> None:
    request = signed(SigV4Auth(CREDENTIALS, "lambda", "us-east-1"), body=b"{}")

    with pytest.raises(SignatureMismatch):
        verify(change(request), SECRETS, now())


def test_a_body_under_another_ones_hash_does_not_hold() -> None:
    request = signed(S3SigV4Auth(CREDENTIALS, "s3", "us-east-1"), "PUT", "/b/k", b"one")

    with pytest.raises(SignatureMismatch, match="not the one that was signed"):
        verify(replace(request, body=b"two"), SECRETS, now())


def test_other_keys_do_not_hold() -> None:
    request = signed(SigV4Auth(CREDENTIALS, "lambda", "us-east-1"))

    with pytest.raises(SignatureMismatch):
        verify(request, {KEY: "other"}, now())
    with pytest.raises(UnknownAccessKey):
        verify(request, {"OTHER": SECRET}, now())


def test_nobody_signed() -> None:
    with pytest.raises(MissingAuthentication):
        verify(Request("GET", "/", (("host", HOST),)), SECRETS, now())


@pytest.mark.parametrize(("signer", "late_s"), [(SIGNERS[0], 901), (SIGNERS[1], 61), (SIGNERS[0], -901)])
def test_a_signature_has_its_time(signer: Callable[[], Any], late_s: float) -> None:
    request = signed(signer())

    with pytest.raises(SignatureExpired):
        verify(request, SECRETS, now() + late_s)


@pytest.mark.parametrize("signer", SIGNERS[:2], ids=["header", "query"])
def test_the_scope_names_service_and_region(signer: Callable[[], Any]) -> None:
    own = signer()

    credential = find_credential(signed(own))

    assert isinstance(credential, Credential)
    assert (credential.access_key, credential.service) == (KEY, own._service_name)
    assert credential.region == own._region_name


def test_an_unsigned_request_has_no_scope() -> None:
    assert find_credential(Request("GET", "/?a=b", (("authorization", "Basic eDp5"),))) is None
    assert find_credential(Request("GET", "/")) is None


@pytest.mark.parametrize("session_token", ["", "FQoG/+="])
def test_what_we_sign_is_what_botocore_signs(session_token: str) -> None:
    own = SigV4Auth(Credentials(KEY, SECRET, session_token or None), "secretsmanager", "eu-west-1")
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.GetSecretValue"}
    theirs = signed(own, body=b"{}", headers=headers)
    signed_at = datetime.strptime(theirs.header("x-amz-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    bare = Request("POST", "/", (("host", HOST), *headers.items()), b"{}")

    ours = sign(bare, Keys(KEY, SECRET, session_token), "eu-west-1", "secretsmanager", signed_at)

    assert ours.header("authorization") == theirs.header("authorization")
    verify(ours, SECRETS, now())
