"""Images from layouts, archives and a registry, unpacked once and shared."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.images import (
    BuiltImage,
    digest,
    file,
    folder,
    index_of,
    layer,
    link,
    write_archive,
    write_docker_archive,
    write_layout,
)
from tests.fakes.registry import FakeRegistry
from workshape.errors import BackendUnavailable, Invalid
from workshape.functions.images import registry as registry_module
from workshape.functions.images.blob import ImageNotFound
from workshape.functions.images.manifest import DigestMismatch, ImageUnsupported
from workshape.functions.images.registry import ImageAccessDenied
from workshape.functions.images.store import ImageStore


def built(text: str = "hello", **more: str) -> BuiltImage:
    base = layer(folder("app"), file("app/run", "#!", mode=0o755), file("app/old", "old"))
    return BuiltImage([base, layer(file("app/.wh.old"), file("app/text", text))], {"Entrypoint": ["/app/run"]}, **more)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setattr(registry_module, "BACKOFF_S", 0.001)
    registry = FakeRegistry()
    yield registry
    registry.close()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images", docker_config=tmp_path / "config.json")


async def unpacked(store: ImageStore, uri: str, architecture: str = "x86_64") -> Path:
    image = await store.resolve(uri, architecture)
    await store.prepare(image)
    return store.root(image)


def left_over(store_folder: Path) -> list[Path]:
    return list((store_folder / "staging").glob("*"))


@pytest.mark.parametrize("kind", ["folder", "archive", "packed archive", "docker save"])
@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
async def test_an_image_of_this_machine_becomes_a_root_folder(
    tmp_path: Path, store: ImageStore, kind: str, compression: str
) -> None:
    image = built(compression=compression)
    layout = write_layout(tmp_path / "layout", v1=image)
    places = {
        "folder": lambda: layout,
        "archive": lambda: write_archive(tmp_path / "a.tar", layout),
        "packed archive": lambda: write_archive(tmp_path / "a.tar.gz", layout, packed=True),
        "docker save": lambda: write_docker_archive(tmp_path / "d.tar", "team/app:v1", image),
    }

    root = await unpacked(store, f"oci:{places[kind]()}:v1")

    assert (root / "app" / "text").read_text() == "hello"
    assert not (root / "app" / "old").exists()
    assert left_over(tmp_path / "images") == []


async def test_a_root_has_what_every_environment_mounts_something_on(tmp_path: Path, store: ImageStore) -> None:
    odd = BuiltImage([layer(link("tmp", "/var/tmp"), folder("etc"), link("etc/hosts", "/outside"), file("proc"))])
    write_layout(tmp_path / "layout", latest=odd)

    root = await unpacked(store, f"oci:{tmp_path / 'layout'}")

    for name in ("dev", "proc", "tmp"):
        assert (root / name).is_dir()
        assert not (root / name).is_symlink()
    for name in ("etc/hosts", "etc/resolv.conf"):
        assert (root / name).read_bytes() == b""
        assert not (root / name).is_symlink()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("oci:{0}/nowhere", "there is no image layout folder and no archive"),
        ("oci:{0}/layout:v9", "has no tag v9; it has: v1, v2"),
        ("oci:{0}/layout", "has no tag latest; it has: v1, v2"),
        ("oci:{0}/layout@sha256:" + "a" * 64, "its file blobs/sha256/aaa"),
        ("oci:{0}/docker.tar:v9", "has no tag v9; it has: team/app:v1"),
    ],
)
async def test_an_image_that_is_not_there_is_refused_in_lambdas_words(
    tmp_path: Path, store: ImageStore, uri: str, reason: str
) -> None:
    write_layout(tmp_path / "layout", v1=built(), v2=built("other"))
    write_docker_archive(tmp_path / "docker.tar", "team/app:v1", built())

    with pytest.raises(ImageNotFound, match=reason) as refused:
        await store.resolve(uri.format(tmp_path), "x86_64")

    assert "does not exist. Provide a valid source image." in str(refused.value)


@pytest.mark.parametrize("content", [b"no archive", b"\x1f\x8bno gzip", b""])
async def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, store: ImageStore, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)

    with pytest.raises(ImageUnsupported):
        await store.resolve(f"oci:{tmp_path / 'a.tar'}", "x86_64")

    assert left_over(tmp_path / "images") == []


async def test_a_tag_that_moves_leaves_the_pinned_image_what_it_was(tmp_path: Path, store: ImageStore) -> None:
    first, second = built("first"), built("second")
    layout = write_layout(tmp_path / "layout", v1=first)
    image = await store.resolve(f"oci:{layout}:v1", "x86_64")
    for name, content in second.blobs.items():
        (layout / "blobs" / "sha256" / name.removeprefix("sha256:")).write_bytes(content)
    described = second.described(annotations={"org.opencontainers.image.ref.name": "v1"})
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))

    await store.prepare(image)

    assert image.resolved_uri == f"oci:{layout}@{first.digest}"
    assert (store.root(image) / "app" / "text").read_text() == "first"


async def test_an_image_is_unpacked_once_however_many_ask(registry: FakeRegistry, store: ImageStore) -> None:
    registry.push("v1", built())
    image = await store.resolve(f"{registry.host}/app:v1", "x86_64")

    await asyncio.gather(*(store.prepare(image) for _ in range(5)))
    await store.prepare(image)

    blobs = [path for path, _ in registry.asked if path.startswith("/v2/app/blobs/")]
    assert len(blobs) == 4  # two layers, and the configuration at each of two looks
    assert (store.root(image) / "app" / "text").read_text() == "hello"


@pytest.mark.parametrize("auth", ["", "bearer", "basic"])
async def test_a_registry_is_asked_as_it_wants_to_be(
    tmp_path: Path, registry: FakeRegistry, store: ImageStore, auth: str
) -> None:
    registry.auth = auth
    registry.push("v1", built())
    login = {"auths": {registry.host: {"auth": "bWU6c2VjcmV0"}}}  # me:secret
    (tmp_path / "config.json").write_text(json.dumps(login))

    root = await unpacked(store, f"{registry.host}/app:v1")

    assert (root / "app" / "text").read_text() == "hello"


@pytest.mark.parametrize("auth", ["bearer", "basic"])
@pytest.mark.parametrize("config", [None, {"auths": {}}, {"auths": {"HOST": {"auth": "bWU6d3Jvbmc="}}}])
async def test_a_registry_that_does_not_know_us_is_told_about_with_the_remedy(
    tmp_path: Path, registry: FakeRegistry, store: ImageStore, auth: str, config: object
) -> None:
    registry.auth = auth
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config).replace("HOST", registry.host))

    with pytest.raises(ImageAccessDenied, match=f"docker login {registry.host}"):
        await store.resolve(f"{registry.host}/app:v1", "x86_64")


async def test_a_credential_that_a_program_keeps_is_refused_by_its_name(
    tmp_path: Path, registry: FakeRegistry, store: ImageStore
) -> None:
    registry.auth = "bearer"
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {}}, "credsStore": "pass"}))

    with pytest.raises(Invalid, match="docker-credential-pass, which workshape does not ask"):
        await store.resolve(f"{registry.host}/app:v1", "x86_64")


async def test_an_index_is_resolved_for_the_functions_architecture(registry: FakeRegistry, store: ImageStore) -> None:
    arm, intel = built("arm", architecture="arm64"), built("intel")
    registry.push("v1", arm, intel, index=index_of([arm, intel]))

    root = await unpacked(store, f"{registry.host}/app:v1", "arm64")

    image = await store.resolve(f"{registry.host}/app:v1", "x86_64")
    assert (root / "app" / "text").read_text() == "arm"
    assert (image.digest, image.architecture) == (intel.digest, "amd64")


async def test_a_broken_download_goes_on_where_it_broke(registry: FakeRegistry, store: ImageStore) -> None:
    image = BuiltImage([layer(file("big", "x" * 50_000))], compression="")
    registry.push("v1", image)
    big = digest(image.layers[0])
    registry.break_after[big] = [1_000, 20_000]

    root = await unpacked(store, f"{registry.host}/app:v1")

    ranges = [asked for path, asked in registry.asked if path.endswith(big)]
    assert ranges[0] == ""
    assert ranges[-1] == "bytes=21000-"
    assert (root / "big").read_text() == "x" * 50_000


async def test_a_download_goes_on_in_the_next_run(tmp_path: Path, registry: FakeRegistry, store: ImageStore) -> None:
    image = BuiltImage([layer(file("big", "x" * 50_000))], compression="")
    registry.push("v1", image)
    big = digest(image.layers[0])
    registry.break_after[big] = [5_000] * registry_module.ATTEMPTS_MAX
    pinned = await store.resolve(f"{registry.host}/app:v1", "x86_64")
    with pytest.raises(BackendUnavailable, match="the registry does not answer"):
        await store.prepare(pinned)
    (tmp_path / "images" / "staging" / "half-made").mkdir(parents=True)

    later = ImageStore(tmp_path / "images", docker_config=tmp_path / "config.json")
    later.sweep([pinned])
    await later.prepare(pinned)

    assert [asked for path, asked in registry.asked if path.endswith(big)][-1] == "bytes=25000-"
    assert (later.root(pinned) / "big").exists()
    assert left_over(tmp_path / "images") == []


async def test_a_busy_registry_is_asked_again(registry: FakeRegistry, store: ImageStore) -> None:
    registry.push("v1", built())
    registry.busy = 3

    assert (await store.resolve(f"{registry.host}/app:v1", "x86_64")).digest == built().digest


async def test_a_registry_that_is_not_there_is_named(tmp_path: Path, registry: FakeRegistry, store: ImageStore) -> None:
    gone = FakeRegistry()
    gone.close()

    with pytest.raises(BackendUnavailable, match=f"the registry does not answer at http://{gone.host}"):
        await store.resolve(f"{gone.host}/app:v1", "x86_64")


async def test_a_registry_without_the_image_is_no_failure_of_it(registry: FakeRegistry, store: ImageStore) -> None:
    with pytest.raises(ImageNotFound, match=f"{registry.host} has no v1 in app"):
        await store.resolve(f"{registry.host}/app:v1", "x86_64")

    assert len(registry.asked) == 1


async def test_a_layer_that_is_not_what_it_should_be_is_refused_and_not_kept(
    tmp_path: Path, registry: FakeRegistry, store: ImageStore
) -> None:
    image = built()
    registry.push("v1", image)
    broken = next(name for name in image.blobs if json.loads(image.manifest)["layers"][0]["digest"] == name)
    registry.blobs[broken] = b"x" * len(image.blobs[broken])

    with pytest.raises(DigestMismatch):
        await unpacked(store, f"{registry.host}/app:v1")
    registry.blobs[broken] = image.blobs[broken]
    root = await unpacked(store, f"{registry.host}/app:v1")

    assert (root / "app" / "text").read_text() == "hello"


@pytest.mark.parametrize("place", ["http://storage.example.com", "http://localhost:80@storage.example.com"])
async def test_a_redirect_to_what_is_not_encrypted_is_refused(
    registry: FakeRegistry, store: ImageStore, place: str
) -> None:
    registry.push("v1", built())
    registry.redirect_blobs = place

    with pytest.raises(ImageAccessDenied, match=f"redirects to {place}, which is not encrypted"):
        await store.resolve(f"{registry.host}/app:v1", "x86_64")


@pytest.mark.parametrize("place", ["http://[::1", "https://exa mple", "ftp://127.0.0.1"])
async def test_a_redirect_to_nowhere_is_the_registrys_fault(
    registry: FakeRegistry, store: ImageStore, place: str
) -> None:
    registry.push("v1", built())
    registry.redirect_blobs = place

    with pytest.raises((BackendUnavailable, ImageAccessDenied), match=r"the registry does not answer|redirects to ftp"):
        await store.resolve(f"{registry.host}/app:v1", "x86_64")


async def test_images_that_share_a_layer_download_it_once(registry: FakeRegistry, store: ImageStore) -> None:
    base = layer(file("base", os.urandom(200_000)))
    images = [BuiltImage([base, layer(file("text", text))]) for text in ("one", "two")]
    for number, image in enumerate(images):
        registry.push(f"v{number}", image)
    shared = json.loads(images[0].manifest)["layers"][0]["digest"]
    registry.break_after[shared] = [50_000, 10_000]

    pinned = [await store.resolve(f"{registry.host}/app:v{number}", "x86_64") for number in range(2)]
    await asyncio.gather(*map(store.prepare, pinned))

    assert [asked for path, asked in registry.asked if path.endswith(shared)] == ["", "bytes=50000-", "bytes=60000-"]
    assert [(store.root(image) / "text").read_text() for image in pinned] == ["one", "two"]


async def test_a_root_folder_that_the_disk_has_lost_half_of_is_made_anew(
    tmp_path: Path, registry: FakeRegistry, store: ImageStore
) -> None:
    registry.push("v1", built())
    image = await store.resolve(f"{registry.host}/app:v1", "x86_64")
    await store.prepare(image)
    (store.root(image).parent / "image.json").write_bytes(b"")

    store.sweep([image])
    await store.prepare(image)

    assert (store.root(image) / "app" / "text").read_text() == "hello"


async def test_a_redirect_is_followed_without_our_authorization(
    tmp_path: Path, registry: FakeRegistry, store: ImageStore
) -> None:
    storage = FakeRegistry()
    registry.auth = "bearer"
    for one in (registry, storage):
        one.push("v1", built())
    registry.redirect_blobs = f"http://{storage.host}"
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": "bWU6c2VjcmV0"}}}))

    try:
        root = await unpacked(store, f"{registry.host}/app:v1")
    finally:
        storage.close()

    assert (root / "app" / "text").read_text() == "hello"
    assert storage.authorizations == {None}


async def test_what_no_function_uses_is_swept(tmp_path: Path, registry: FakeRegistry, store: ImageStore) -> None:
    kept, dropped = built("kept"), built("dropped")
    registry.push("kept", kept)
    registry.push("dropped", dropped)
    images = [await store.resolve(f"{registry.host}/app:{tag}", "x86_64") for tag in ("kept", "dropped")]
    for image in images:
        await store.prepare(image)

    ImageStore(tmp_path / "images").sweep(images[:1])

    assert store.is_ready(images[0])
    assert not store.is_ready(images[1])
    assert len(list((tmp_path / "images" / "blobs").iterdir())) == len(kept.layers)


async def test_a_failure_leaves_nothing_behind(tmp_path: Path, store: ImageStore) -> None:
    climbing = BuiltImage([layer(file("a"), file("../b"))])
    write_layout(tmp_path / "layout", latest=climbing)

    with pytest.raises(Invalid, match=r"'\.\./b' of layer sha256:.* leads outside the image"):
        await unpacked(store, f"oci:{tmp_path / 'layout'}")

    assert left_over(tmp_path / "images") == []
    assert list((tmp_path / "images" / "roots").iterdir()) == []
