"""What an image consists of."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.images import BuiltImage, file, index_of, layer
from workshape.functions.images.manifest import (
    DigestMismatch,
    ImageUnsupported,
    choose_manifest,
    digest_of,
    is_index,
    read_configuration,
    read_index,
    read_manifest,
    verify,
)
from workshape.functions.images.model import ImageSettings

URI = "r.example.com/app:v1"


def image(**more: Any) -> BuiltImage:
    return BuiltImage([layer(file("a"))], **more)


def changed(built: BuiltImage, **members: Any) -> bytes:
    return json.dumps({**json.loads(built.manifest), **members}).encode()


def test_a_configuration_says_what_to_execute() -> None:
    built = image(config={"Entrypoint": ["/run"], "Cmd": ["a", "b"], "Env": ["A=1", "B=x=y", "C"], "WorkingDir": "/w"})

    configuration = read_configuration(built.configuration, read_manifest(built.manifest, URI), URI)

    assert configuration.settings == ImageSettings(("/run",), ("a", "b"), "/w")
    assert configuration.variables == {"A": "1", "B": "x=y", "C": ""}


def test_an_index_gives_the_image_for_the_functions_architecture() -> None:
    arm, intel = image(architecture="arm64"), image(architecture="amd64")
    index = index_of([arm, intel])

    assert is_index(index)
    assert not is_index(arm.manifest)
    assert choose_manifest(read_index(index, URI), "x86_64", URI).digest == intel.digest
    assert choose_manifest(read_index(index, URI), "arm64", URI).digest == arm.digest


def test_an_index_without_the_architecture_says_which_there_are() -> None:
    index = read_index(index_of([image(architecture="arm64"), image(architecture="s390x")]), URI)

    with pytest.raises(ImageUnsupported, match="it is there for arm64, s390x, and the function is for x86_64"):
        choose_manifest(index, "x86_64", URI)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"schemaVersion": 1}, "schema version 1"),
        ({"layers": []}, "it has 0 layers"),
        ({"config": {"mediaType": "application/vnd.example+json", "digest": "sha256:1", "size": 1}}, "no image's"),
        ({"layers": [{"mediaType": "a/b", "digest": "sha256:" + "a" * 64, "size": 1}]}, "is of type a/b"),
        ({"layers": [{"mediaType": "a/b", "digest": "md5:1", "size": 1}]}, "only SHA-256 is known"),
        ({"layers": "none"}, "cannot be read"),
    ],
)
def test_a_manifest_that_lambda_would_not_take_is_refused_in_its_words(members: dict[str, Any], reason: str) -> None:
    words = f"The image manifest, config or layer media type for the source image {URI} is not supported."

    with pytest.raises(ImageUnsupported, match=reason) as refused:
        read_manifest(changed(image(), **members), URI)

    assert str(refused.value).startswith(words)


def test_an_image_for_another_system_is_refused() -> None:
    built = image()
    configuration = json.dumps({**json.loads(built.configuration), "os": "windows"}).encode()

    with pytest.raises(ImageUnsupported, match="it is for windows"):
        read_configuration(configuration, read_manifest(built.manifest, URI), URI)


def test_content_is_held_to_its_digest() -> None:
    assert verify(b"x", digest_of(b"x"), "it") == b"x"
    with pytest.raises(DigestMismatch, match="it is not what its digest sha256:"):
        verify(b"y", digest_of(b"x"), "it")


SETTINGS = st.builds(
    ImageSettings,
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
    st.text(max_size=3),
)


@given(SETTINGS, st.none() | SETTINGS)
def test_each_setting_of_a_function_goes_before_the_images(own: ImageSettings, by: ImageSettings | None) -> None:
    made = own.overridden(by)

    for field in ("entry_point", "command", "working_directory"):
        wanted = getattr(by, field) if by is not None else None
        assert getattr(made, field) == (wanted or getattr(own, field))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_are_refused(content: bytes) -> None:
    for read in (read_manifest, read_index):
        with pytest.raises(ImageUnsupported):
            read(content, URI)
