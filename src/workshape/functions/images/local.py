"""Images of this machine: an OCI image layout as a folder or as an archive, and what `docker save` writes.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md,
https://github.com/moby/docker-image-spec/blob/main/spec.md (combined image JSON and filesystem changeset format)
"""

import asyncio
import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from workshape.functions.images.blob import Blob, ImageNotFound
from workshape.functions.images.manifest import (
    COMPRESSIONS,
    CONFIG_TYPES,
    MANIFEST_BYTES_MAX,
    MANIFEST_TYPES,
    Configuration,
    Descriptor,
    ImageUnsupported,
    Index,
    digest_of,
    read_index,
    verify,
)
from workshape.functions.images.reference import DEFAULT_TAG, Digest, LocalImage, hexadecimal
from workshape.functions.limits import IMAGE_BYTES_MAX

MEMBERS_MAX = 10_000  # of an archive of layers: some dozen a layer at most
REF_NAME = "org.opencontainers.image.ref.name"
"""Source: https://github.com/opencontainers/image-spec/blob/main/annotations.md"""
CONTAINERD_NAME = "io.containerd.image.name"
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE_BYTES = 1024 * 1024


class LocalSource:
    """One image of a layout or archive; `open_local` makes it."""

    def __init__(self, uri: str, top: bytes, names: "_Names", scratch: Path | None) -> None:
        self._uri = uri
        self._top = top
        self._names = names
        self._scratch = scratch

    async def top(self) -> bytes:
        """Read the manifest or index that the reference names."""
        return self._top

    async def content(self, descriptor: Descriptor) -> bytes:
        """Read a manifest or a configuration."""
        return await asyncio.to_thread(self._content, descriptor.digest)

    async def layer(self, descriptor: Descriptor) -> Blob:
        """Tell where a layer lies."""
        return self._names.blob(descriptor.digest, self._uri)

    async def aclose(self) -> None:
        """Remove what was unpacked."""
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def _content(self, digest: Digest) -> bytes:
        return verify(_read(self._names.blob(digest, self._uri), self._uri), digest, "a manifest or configuration")


class _Names:
    """The files of a layout by their names: in a folder, or in a tar archive."""

    def __init__(self, folder: Path | None, members: Mapping[str, Blob]) -> None:
        self._folder = folder
        self._members = members
        self._digests: dict[Digest, str] = {}

    def find(self, name: str) -> Blob | None:
        if self._folder is None:
            return self._members.get(name)
        path = self._folder / name
        return Blob(path, 0, path.stat().st_size) if path.is_file() else None

    def call(self, digest: Digest, name: str) -> None:
        """Note what a digest is called, where names do not follow from digests."""
        self._digests[digest] = name

    def blob(self, digest: Digest, uri: str) -> Blob:
        name = self._digests.get(digest, f"blobs/sha256/{hexadecimal(digest)}")
        found = self.find(name)
        if found is None:
            raise ImageNotFound(uri=uri, reason=f"its file {name} is not there")
        return found


class _SavedImage(msgspec.Struct, frozen=True, rename="pascal"):
    """An entry of `docker save`'s manifest.json."""

    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


async def open_local(reference: LocalImage, uri: str, scratch: Path) -> LocalSource:
    """Open a layout or archive and find the image that is meant.

    `scratch` is a folder where a compressed archive is unpacked for as long as the source is open.

    Raises:
        ImageNotFound: there is no such file or image. ImageUnsupported: it is no layout and no archive of one.
    """
    return await asyncio.to_thread(_open, reference, uri, scratch)


def _open(reference: LocalImage, uri: str, scratch: Path) -> LocalSource:
    path, unpacked = Path(reference.path), None
    if path.is_dir():
        names = _Names(path, {})
    elif path.is_file():
        if _is_gzip(path):
            path = unpacked = _gunzip(path, uri, scratch)
        names = _Names(None, _members(path, uri))
    else:
        raise ImageNotFound(uri=uri, reason=f"there is no image layout folder and no archive {path}")
    held = unpacked.parent if unpacked is not None else None
    try:
        index, saved = names.find("index.json"), names.find("manifest.json")
        if names.find("oci-layout") is not None and index is not None:
            content = _read(index, uri)
            digest = reference.digest or _choose(read_index(content, uri), reference, uri).digest
            top = verify(_read(names.blob(digest, uri), uri), digest, "the manifest")
            return LocalSource(uri, top, names, held)
        if saved is not None:
            return LocalSource(uri, _saved(names, saved, reference, uri), names, held)
        reason = f"{reference.path} has neither oci-layout and index.json nor manifest.json at its top"
        raise ImageUnsupported(uri=uri, reason=reason)
    except BaseException:
        if held is not None:
            shutil.rmtree(held, ignore_errors=True)
        raise


def _choose(index: Index, reference: LocalImage, uri: str) -> Descriptor:
    tag = reference.tag or DEFAULT_TAG
    for one in index.manifests:
        if tag in _tags(one):
            return one
    if reference.tag is None and len(index.manifests) == 1:
        return index.manifests[0]
    there = sorted(tag for one in index.manifests for tag in _tags(one))
    raise ImageNotFound(uri=uri, reason=f"{reference.path} has no tag {tag}; it has: {', '.join(there) or 'none'}")


def _tags(descriptor: Descriptor) -> set[str]:
    """A descriptor's tags. The annotation may be a tag alone or a whole name."""
    names = (descriptor.annotations.get(REF_NAME), descriptor.annotations.get(CONTAINERD_NAME))
    return {_tag(name) for name in names if name}


def _tag(name: str) -> str:
    tail = name.rpartition("/")[2]
    return tail.rpartition(":")[2]


def _saved(names: _Names, saved: Blob, reference: LocalImage, uri: str) -> bytes:
    """Write the manifest that `docker save` leaves out: its layers lie there uncompressed, by the names in its own."""
    try:
        images = msgspec.json.decode(_read(saved, uri), type=list[_SavedImage])
        if reference.digest is None:
            return _made_manifest(names, _choose_saved(images, reference, uri), uri)
        made = [_made_manifest(names, image, uri) for image in images]
    except msgspec.DecodeError as error:
        raise ImageUnsupported(uri=uri, reason=f"its manifest.json or config cannot be read: {error}") from error
    for manifest in made:
        if digest_of(manifest) == reference.digest:
            return manifest
    raise ImageNotFound(uri=uri, reason=f"{reference.path} does not hold that image any more")


def _made_manifest(names: _Names, image: _SavedImage, uri: str) -> bytes:
    config_file = names.find(image.config)
    if config_file is None:
        raise ImageNotFound(uri=uri, reason=f"its file {image.config} is not there")
    content = _read(config_file, uri)
    configuration = msgspec.json.decode(content, type=Configuration)
    config = Descriptor(CONFIG_TYPES[1], digest_of(content), len(content))
    names.call(config.digest, image.config)
    tar_type = next(kind for kind, compression in COMPRESSIONS.items() if not compression)
    layers = []
    for digest, name in zip(configuration.rootfs.diff_ids, image.layers, strict=False):  # unequal: seen by its reader
        names.call(digest, name)
        layers.append(Descriptor(tar_type, digest, names.blob(digest, uri).size_bytes))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[1],
        "config": _described(config),
        "layers": [_described(layer) for layer in layers],
    }
    return msgspec.json.encode(document)


def _described(descriptor: Descriptor) -> dict[str, str | int]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def _choose_saved(images: list[_SavedImage], reference: LocalImage, uri: str) -> _SavedImage:
    tag = reference.tag or DEFAULT_TAG
    for image in images:
        if tag in map(_tag, image.repo_tags or ()):
            return image
    if reference.tag is None and len(images) == 1:
        return images[0]
    there = sorted(name for image in images for name in image.repo_tags or ())
    raise ImageNotFound(uri=uri, reason=f"{reference.path} has no tag {tag}; it has: {', '.join(there) or 'none'}")


def _read(blob: Blob, uri: str) -> bytes:
    if blob.size_bytes > MANIFEST_BYTES_MAX:
        reason = f"{blob.path} has {blob.size_bytes} bytes where a manifest or configuration should be"
        raise ImageUnsupported(uri=uri, reason=reason)
    with blob.path.open("rb") as opened:
        opened.seek(blob.offset)
        return opened.read(blob.size_bytes)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def _gunzip(path: Path, uri: str, scratch: Path) -> Path:
    """Unpack an archive, so that its layers can be read in any order."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    written = 0
    try:
        with gzip.open(path) as packed, (folder / "archive.tar").open("wb") as opened:
            while piece := packed.read(_PIECE_BYTES):
                written += len(piece)
                if written > IMAGE_BYTES_MAX:
                    reason = f"it is larger than {IMAGE_BYTES_MAX} bytes unpacked"
                    raise ImageUnsupported(uri=uri, reason=reason)
                opened.write(piece)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ImageUnsupported(uri=uri, reason=f"{path} is damaged: {error}") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder / "archive.tar"


def _members(path: Path, uri: str) -> dict[str, Blob]:
    """Find the files in a tar archive. `docker save` of old writes a layer it has already written as a link."""
    members: dict[str, Blob] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for count, member in enumerate(archive):
                if count >= MEMBERS_MAX:
                    raise ImageUnsupported(uri=uri, reason=f"{path} has more than {MEMBERS_MAX} entries")
                name = member.name.removeprefix("./")
                if member.isreg():
                    members[name] = Blob(path, member.offset_data, member.size)
                elif member.issym():
                    links[name] = _joined(name, member.linkname)
                elif member.islnk():
                    links[name] = member.linkname
    except tarfile.TarError as error:
        raise ImageUnsupported(uri=uri, reason=f"{path} is no tar archive: {error}") from error
    return members | {name: members[target] for name, target in links.items() if target in members}


def _joined(name: str, target: str) -> str:
    """Where a relative link of an archive leads; one that leads out of it leads nowhere."""
    parts = name.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
