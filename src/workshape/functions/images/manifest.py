"""What an image consists of: manifests, indexes and configurations, of OCI and of Docker. A core: bytes to values.

Source: https://github.com/opencontainers/image-spec/blob/main/manifest.md, image-index.md and config.md beside it,
https://distribution.github.io/distribution/spec/manifest-v2-2/
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import TypeVar

import msgspec

from workshape.errors import Invalid
from workshape.functions.images.model import ImageSettings
from workshape.functions.images.reference import Digest, is_digest

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIG_TYPES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
COMPRESSIONS: Mapping[str, str] = {
    "application/vnd.oci.image.layer.v1.tar": "",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
}
"""How a layer is compressed, by its media type."""
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
"""Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md (pushing manifests)"""
LAYERS_MAX = 127  # Docker's own bound; a longer list is no image that anybody built
ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "arm64": "arm64"}
"""The images' words for Lambda's architectures."""

T = TypeVar("T", bound=msgspec.Struct)


class ImageUnsupported(Invalid):
    """The image manifest, config or layer media type for the source image {uri} is not supported. ({reason})

    The words are Lambda's, the reason is ours.
    """

    uri: str
    reason: str


class DigestMismatch(Invalid):
    """InvalidImage: {what} is not what its digest {digest} says; it is damaged, or somebody has changed it"""

    what: str
    digest: str


class Platform(msgspec.Struct, frozen=True):
    """What a manifest of an index is for."""

    architecture: str = ""
    os: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an image, by its content."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform = Platform()
    annotations: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """One image for one platform."""

    schema_version: int
    config: Descriptor
    layers: list[Descriptor]
    media_type: str = ""


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """Images for several platforms, or the contents of a layout."""

    schema_version: int
    manifests: list[Descriptor]
    media_type: str = ""


class _Execution(msgspec.Struct, frozen=True, rename="pascal"):
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] | None = None
    working_dir: str = ""


class _RootFilesystem(msgspec.Struct, frozen=True):
    diff_ids: list[Digest] = []


class Configuration(msgspec.Struct, frozen=True):
    """What an image says of itself."""

    architecture: str
    os: str
    rootfs: _RootFilesystem
    config: _Execution | None = None

    @property
    def settings(self) -> ImageSettings:
        """How it wants to be run."""
        execution = self.config or _Execution()
        return ImageSettings(tuple(execution.entrypoint or ()), tuple(execution.cmd or ()), execution.working_dir)

    @property
    def variables(self) -> dict[str, str]:
        """Its environment variables."""
        pairs = (one.partition("=") for one in (self.config or _Execution()).env or ())
        return {name: value for name, _, value in pairs if name}


def verify(content: bytes, digest: Digest, what: str) -> bytes:
    """Return the content, which is what its digest says.

    Raises:
        DigestMismatch: it is not.
    """
    if digest_of(content) != digest:
        raise DigestMismatch(what=what, digest=digest)
    return content


def digest_of(content: bytes) -> Digest:
    """The digest of some content."""
    return Digest(f"sha256:{sha256(content).hexdigest()}")


def is_index(content: bytes) -> bool:
    """Tell an index from a manifest; the media type is optional in both."""
    try:
        return "manifests" in msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False


def read_index(content: bytes, uri: str) -> Index:
    """Read an index.

    Raises:
        ImageUnsupported: it is none.
    """
    index = _decode(content, Index, uri)
    for one in index.manifests:
        _check_descriptor(one, uri)
    return index


def read_manifest(content: bytes, uri: str) -> Manifest:
    """Read an image's manifest.

    Raises:
        ImageUnsupported: it is none that Lambda takes.
    """
    manifest = _decode(content, Manifest, uri)
    if manifest.schema_version != 2:
        raise ImageUnsupported(uri=uri, reason=f"its manifest is of schema version {manifest.schema_version}, not 2")
    if manifest.config.media_type not in CONFIG_TYPES:
        raise ImageUnsupported(uri=uri, reason=f"its config is of type {manifest.config.media_type}: no image's")
    if not 1 <= len(manifest.layers) <= LAYERS_MAX:
        raise ImageUnsupported(uri=uri, reason=f"it has {len(manifest.layers)} layers; 1 to {LAYERS_MAX} are possible")
    for part in (manifest.config, *manifest.layers):
        _check_descriptor(part, uri)
    for layer in manifest.layers:
        if layer.media_type not in COMPRESSIONS:
            raise ImageUnsupported(uri=uri, reason=f"layer {layer.digest} is of type {layer.media_type}")
    return manifest


def read_configuration(content: bytes, manifest: Manifest, uri: str) -> Configuration:
    """Read an image's configuration.

    Raises:
        ImageUnsupported: it is none, or not of its manifest, or not for Linux.
    """
    configuration = _decode(content, Configuration, uri)
    if configuration.os != "linux":
        raise ImageUnsupported(uri=uri, reason=f"it is for {configuration.os}, and Lambda runs Linux")
    layers = configuration.rootfs.diff_ids
    if len(layers) != len(manifest.layers) or not all(map(is_digest, layers)):
        raise ImageUnsupported(uri=uri, reason="its configuration and its manifest tell of different layers")
    return configuration


def choose_manifest(index: Index, architecture: str, uri: str) -> Descriptor:
    """Find the image for one of Lambda's architectures in an index.

    Raises:
        ImageUnsupported: there is none.
    """
    wanted = ARCHITECTURES[architecture]
    images = [one for one in index.manifests if one.media_type in MANIFEST_TYPES and one.platform.os in ("linux", "")]
    for one in images:
        if one.platform.architecture == wanted:
            return one
    if len(images) == 1 and not images[0].platform.architecture:
        return images[0]  # it does not say what it is for; its configuration does
    there = sorted({one.platform.architecture for one in images if one.platform.architecture not in ("", "unknown")})
    reason = f"it is there for {', '.join(there) or 'no Linux'}, and the function is for {architecture}"
    raise ImageUnsupported(uri=uri, reason=reason)


def _check_descriptor(descriptor: Descriptor, uri: str) -> None:
    if not is_digest(descriptor.digest) or descriptor.size < 0:
        raise ImageUnsupported(uri=uri, reason=f"it refers to {str(descriptor.digest)[:80]!r}; only SHA-256 is known")


def _decode(content: bytes, kind: type[T], uri: str) -> T:
    if len(content) > MANIFEST_BYTES_MAX:
        raise ImageUnsupported(uri=uri, reason=f"its {kind.__name__.lower()} is larger than {MANIFEST_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ImageUnsupported(uri=uri, reason=f"its {kind.__name__.lower()} cannot be read: {error}") from error
