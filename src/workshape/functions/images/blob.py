"""Where the bytes of an image's part lie on disk, and what a source of such parts offers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from workshape.errors import Invalid
from workshape.functions.images.manifest import Descriptor


class ImageNotFound(Invalid):
    """Source image {uri} does not exist. Provide a valid source image. ({reason})

    The words are Lambda's, the reason is ours.
    """

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class Blob:
    """A part of an image: a file, or a stretch of one."""

    path: Path
    offset: int
    size_bytes: int


class ImageSource(Protocol):
    """Where one image comes from. Whatever is small enough to be given as bytes has been verified."""

    async def top(self) -> bytes:
        """Read the manifest or index that the reference names.

        Raises:
            ImageNotFound, ImageUnsupported, DigestMismatch, BackendUnavailable: it cannot be had.
        """
        ...

    async def content(self, descriptor: Descriptor) -> bytes:
        """Read a manifest or a configuration.

        Raises:
            ImageNotFound, ImageUnsupported, DigestMismatch, BackendUnavailable: it cannot be had.
        """
        ...

    async def layer(self, descriptor: Descriptor) -> Blob:
        """Bring a layer to this machine, unless it is there; whoever reads it verifies it.

        Raises:
            ImageNotFound, ImageUnsupported, DigestMismatch, BackendUnavailable: it cannot be had.
        """
        ...

    async def aclose(self) -> None:
        """Let go of what it holds."""
        ...
