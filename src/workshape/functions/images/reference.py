"""How an image is named: in a layout folder or an archive of this machine, in a registry, or in Amazon ECR. A core.

Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md (names, tags),
https://github.com/opencontainers/image-spec/blob/main/descriptor.md (digests)
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NewType
from urllib.parse import urlsplit

from workshape.errors import Invalid

Digest = NewType("Digest", str)
"""`sha256:` and 64 hexadecimal digits."""

LOCAL_SCHEME = "oci:"
DEFAULT_TAG = "latest"
DOCKER_HUB = "docker.io"
DOCKER_HUB_REGISTRY = "registry-1.docker.io"
URI_CHARACTERS_MAX = 4_096  # far more than any path or name; bounds what the patterns are run on

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(
    r"(?=.*[.:]|localhost$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?"
)
_ECR_HOST = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
"""Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html"""


class InvalidImageReference(Invalid):
    """Source image {uri} is not valid. Provide a valid source image. ({reason})

    The words are Lambda's, the reason is ours.
    """

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An OCI image layout folder, or an archive of one, or of `docker save`."""

    path: str
    tag: str | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class RegistryImage:
    """An image in a registry that speaks the OCI distribution protocol."""

    host: str
    """With its port, if it has one."""
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is asked over plain http: only where nobody can listen, on the loopback interface."""
        return is_loopback(self.host)


ImageReference = LocalImage | RegistryImage


def parse_reference(uri: str, *, ecr_registry: str = "") -> ImageReference:
    """Read an image's name: `oci:PATH[:TAG|@DIGEST]` or `HOST[:PORT]/NAME[:TAG|@DIGEST]`.

    `ecr_registry` is the registry that stands for Amazon ECR; empty: none does.

    Raises:
        InvalidImageReference: it is neither, or names Amazon ECR and nothing stands for that.
    """
    if not uri or len(uri) > URI_CHARACTERS_MAX or "\0" in uri:
        raise InvalidImageReference(uri=uri[:100], reason="it is empty, too long, or holds a zero byte")
    name, _, digest_text = uri.partition("@")
    digest = read_digest(digest_text, uri) if digest_text else None
    name, tag = _split_tag(name)
    if tag is not None and not _TAG.fullmatch(tag):
        raise InvalidImageReference(
            uri=uri, reason=f"{tag!r} is no tag: letters, digits, `_`, `.` and `-`, at most 128"
        )
    if name.startswith(LOCAL_SCHEME):
        path = name.removeprefix(LOCAL_SCHEME)
        if not path:
            raise InvalidImageReference(uri=uri, reason="it reads oci:PATH, oci:PATH:TAG or oci:PATH@sha256:DIGEST")
        return LocalImage(path, tag, digest)
    host, _, repository = name.partition("/")
    if not repository or not is_host(host):
        reason = f"it reads oci:PATH or HOST/NAME[:TAG]; an image of Docker Hub is {DOCKER_HUB}/library/NAME"
        raise InvalidImageReference(uri=uri, reason=reason)
    if not _REPOSITORY.fullmatch(repository):
        raise InvalidImageReference(uri=uri, reason=f"{repository!r} is no name of a repository")
    return RegistryImage(_registry(host, uri, ecr_registry), repository, tag, digest)


def read_digest(text: str, uri: str) -> Digest:
    """Read a digest.

    Raises:
        InvalidImageReference: it is no SHA-256 digest.
    """
    if not _DIGEST.fullmatch(text):
        raise InvalidImageReference(uri=uri, reason=f"{text[:80]!r} is no digest: sha256: and 64 hexadecimal digits")
    return Digest(text)


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 digest."""
    return _DIGEST.fullmatch(text) is not None


def hexadecimal(digest: Digest) -> str:
    """The digits of a digest: of use as a file's name, and as Lambda's CodeSha256."""
    return digest.removeprefix("sha256:")


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine, and nobody else can listen."""
    name = urlsplit(f"//{host}").hostname
    if name == "localhost":
        return True
    try:
        return name is not None and ip_address(name).is_loopback
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Tell whether a text names a registry: HOST or HOST:PORT."""
    return _HOST.fullmatch(text) is not None


def pinned(uri: str, digest: Digest) -> str:
    """Write a name with its digest instead of its tag: ResolvedImageUri."""
    return f"{_split_tag(uri.partition('@')[0])[0]}@{digest}"


def _split_tag(name: str) -> tuple[str, str | None]:
    """Split at the last colon of the last component, where a port cannot be; `oci:` is none."""
    head, colon, tail = name.rpartition(":")
    if not colon or "/" in tail or f"{head}:" == LOCAL_SCHEME:
        return name, None
    return head, tail


def _registry(host: str, uri: str, ecr_registry: str) -> str:
    if _ECR_HOST.fullmatch(host):
        if not ecr_registry:
            reason = (
                "workshape has no Amazon ECR: set platform.functions.ecr_registry to the HOST:PORT of a registry "
                "that holds its images, or name the image as oci:PATH"
            )
            raise InvalidImageReference(uri=uri, reason=reason)
        return ecr_registry
    return DOCKER_HUB_REGISTRY if host in (DOCKER_HUB, "index.docker.io") else host
