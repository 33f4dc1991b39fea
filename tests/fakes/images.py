"""Small images, made on the fly: layers from entries, layouts and archives from layers."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workshape.functions.images import layers as layers_module

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
_zstd: Any = vars(layers_module)["zstd"]
"""Python's own, or its backport."""
LAYER = "application/vnd.oci.image.layer.v1.tar"


def file(name: str, content: bytes | str = b"", mode: int = 0o644, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A regular file."""
    data = content.encode() if isinstance(content, str) else content
    return _entry(name, tarfile.REGTYPE, mode, size=len(data), **fields), data


def folder(name: str, mode: int = 0o755, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A folder."""
    return _entry(name, tarfile.DIRTYPE, mode, **fields), b""


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link."""
    return _entry(name, tarfile.SYMTYPE, 0o777, linkname=target), b""


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A hard link."""
    return _entry(name, tarfile.LNKTYPE, 0o644, linkname=target), b""


def layer(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An uncompressed layer."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, data in entries:
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def digest(content: bytes) -> str:
    """A digest, as manifests write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class BuiltImage:
    """An image's parts by their digests."""

    layers: Sequence[bytes]
    """Uncompressed."""
    config: dict[str, Any] = field(default_factory=dict)
    """Entrypoint, Cmd, Env, WorkingDir."""
    compression: str = "gzip"
    architecture: str = "amd64"
    blobs: dict[str, bytes] = field(default_factory=dict, init=False)
    manifest: bytes = field(default=b"", init=False)
    configuration: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        self.configuration = json.dumps(
            {
                "architecture": self.architecture,
                "os": "linux",
                "config": self.config,
                "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in self.layers]},
            }
        ).encode()
        layers = []
        for one in self.layers:
            packed, suffix = _packed(one, self.compression)
            layers.append(self.add(packed, LAYER + suffix))
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add(self.configuration, CONFIG),
            "layers": layers,
        }
        self.manifest = json.dumps(document).encode()
        self.add(self.manifest, MANIFEST)

    @property
    def digest(self) -> str:
        """Of its manifest."""
        return digest(self.manifest)

    def add(self, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        """Keep a blob and describe it."""
        self.blobs[digest(content)] = content
        return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}

    def described(self, **more: Any) -> dict[str, Any]:
        """Describe its manifest, for an index."""
        return {"mediaType": MANIFEST, "digest": self.digest, "size": len(self.manifest), **more}


def index_of(images: Iterable[BuiltImage]) -> bytes:
    """A multi-architecture index."""
    manifests = [image.described(platform={"os": "linux", "architecture": image.architecture}) for image in images]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def write_layout(path: Path, **tagged: BuiltImage) -> Path:
    """Write an image layout folder, with its images by tag."""
    (path / "blobs" / "sha256").mkdir(parents=True)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    manifests = []
    for tag, image in tagged.items():
        for name, content in image.blobs.items():
            (path / "blobs" / "sha256" / name.removeprefix("sha256:")).write_bytes(content)
        manifests.append(image.described(annotations={"org.opencontainers.image.ref.name": tag}))
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    return path


def write_archive(path: Path, layout: Path, *, packed: bool = False) -> Path:
    """Write a layout as an archive."""
    with tarfile.open(path, "w:gz" if packed else "w:") as archive:
        archive.add(layout, arcname=".")
    return path


def write_docker_archive(path: Path, name: str, image: BuiltImage) -> Path:
    """Write what `docker save` wrote before it wrote layouts."""
    config_name = f"{digest(image.configuration).removeprefix('sha256:')}.json"
    names = [f"{number}/layer.tar" for number, _ in enumerate(image.layers)]
    description = [{"Config": config_name, "RepoTags": [name], "Layers": names}]
    contents = {
        config_name: image.configuration,
        **dict(zip(names, image.layers, strict=True)),
        "manifest.json": json.dumps(description).encode(),
    }
    with tarfile.open(path, "w:") as archive:
        for member, content in contents.items():
            entry, data = file(member, content)
            archive.addfile(entry, io.BytesIO(data))
    return path


def _entry(name: str, kind: bytes, mode: int, **fields: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, mode, 1_700_000_000
    for attribute, value in fields.items():
        setattr(entry, attribute, value)
    return entry


def _packed(content: bytes, compression: str) -> tuple[bytes, str]:
    if compression == "gzip":
        return gzip.compress(content, mtime=0), "+gzip"
    if compression == "zstd":
        return _zstd.compress(content), "+zstd"
    return content, ""
