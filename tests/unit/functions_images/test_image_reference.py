"""Names of images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.images.reference import (
    Digest,
    InvalidImageReference,
    LocalImage,
    RegistryImage,
    parse_reference,
    pinned,
)

DIGEST = Digest("sha256:" + "a" * 64)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("oci:/images/app", LocalImage("/images/app")),
        ("oci:/images/app:v1", LocalImage("/images/app", "v1")),
        (f"oci:/images/app@{DIGEST}", LocalImage("/images/app", None, DIGEST)),
        ("oci:build/app.tar:v1", LocalImage("build/app.tar", "v1")),
        ("registry.example.com/team/app", RegistryImage("registry.example.com", "team/app")),
        ("registry.example.com:5000/app:v1", RegistryImage("registry.example.com:5000", "app", "v1")),
        (f"localhost:5000/app:v1@{DIGEST}", RegistryImage("localhost:5000", "app", "v1", DIGEST)),
        ("docker.io/library/python:3.12", RegistryImage("registry-1.docker.io", "library/python", "3.12")),
        ("public.ecr.aws/lambda/python:3.12", RegistryImage("public.ecr.aws", "lambda/python", "3.12")),
    ],
)
def test_a_name_says_where_an_image_is(uri: str, expected: object) -> None:
    assert parse_reference(uri) == expected


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "empty"),
        ("python:3.12", "docker.io/library/NAME"),
        ("oci:", "oci:PATH"),
        ("registry.example.com/App", "no name of a repository"),
        ("registry.example.com/app:", "no tag"),
        ("registry.example.com/app@sha256:12", "no digest"),
        ("registry.example.com/../app", "no name of a repository"),
        ("x" * 5_000, "too long"),
    ],
)
def test_what_is_no_name_is_refused_with_what_it_should_be(uri: str, reason: str) -> None:
    with pytest.raises(InvalidImageReference, match=reason) as refused:
        parse_reference(uri)

    assert str(refused.value).startswith("Source image")
    assert "is not valid. Provide a valid source image." in str(refused.value)


def test_amazon_ecr_is_the_registry_that_stands_for_it() -> None:
    uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1"

    assert parse_reference(uri, ecr_registry="127.0.0.1:5000") == RegistryImage("127.0.0.1:5000", "team/app", "v1")
    with pytest.raises(InvalidImageReference, match=r"platform\.functions\.ecr_registry"):
        parse_reference(uri)


@pytest.mark.parametrize(
    ("host", "is_plain"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("registry.example.com:5000", False),
        ("10.0.0.1:5000", False),
        ("127.0.0.1.example.com", False),
        ("[::2]:5000", False),
    ],
)
def test_only_the_loopback_interface_is_asked_without_encryption(host: str, is_plain: bool) -> None:
    reference = parse_reference(f"{host}/app")

    assert isinstance(reference, RegistryImage)
    assert reference.is_plain is is_plain


@given(
    host=st.sampled_from(["oci:", "r.example.com/", "localhost:5000/", "oci:/a/b-"]),
    name=st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}", fullmatch=True),
    tag=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
)
def test_a_pinned_name_means_the_same_place_at_that_digest(host: str, name: str, tag: str | None) -> None:
    uri = host + name + (f":{tag}" if tag is not None else "")
    plain, fixed = parse_reference(uri), parse_reference(pinned(uri, DIGEST))

    assert (plain.tag, fixed.digest, fixed.tag) == (tag, DIGEST, None)
    for field in ("path",) if isinstance(plain, LocalImage) else ("host", "repository"):
        assert getattr(plain, field) == getattr(fixed, field)


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_is_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidImageReference:
        return

    assert isinstance(reference, LocalImage | RegistryImage)
