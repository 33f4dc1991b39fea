"""Images on this machine: each unpacked once, by the digest of its manifest, into a root folder that all share.

A root folder appears whole or not at all. What a crash has left of one is removed at the next start; what it has left
of a download is gone on with.
"""

import asyncio
import contextlib
import os
import shutil
import stat
import threading
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from workshape.functions.images.blob import Blob, ImageSource
from workshape.functions.images.credentials import CredentialFile
from workshape.functions.images.layers import Layer, LayerWriter
from workshape.functions.images.local import open_local
from workshape.functions.images.manifest import (
    COMPRESSIONS,
    Descriptor,
    Manifest,
    choose_manifest,
    digest_of,
    is_index,
    read_configuration,
    read_index,
    read_manifest,
)
from workshape.functions.images.model import Image
from workshape.functions.images.reference import (
    Digest,
    InvalidImageReference,
    LocalImage,
    hexadecimal,
    parse_reference,
    pinned,
)
from workshape.functions.images.registry import DownloadLocks, RegistrySource
from workshape.functions.images.root import RootFolder
from workshape.functions.launch.sandbox import IMAGE_FILES, IMAGE_FOLDERS

DOWNLOADS_MAX = 3  # layers of an image at once, as Docker has it
PREPARING_MAX = 2  # images at once: unpacking keeps a processor busy
_DESCRIPTION = "image.json"
_ROOT = "root"


class _Kept(msgspec.Struct):
    """What is written beside a root folder."""

    blobs: list[str]


class ImageStore:
    """Root folders by digest. Used on the event loop's thread."""

    def __init__(self, folder: Path, *, ecr_registry: str = "", docker_config: Path | None = None) -> None:
        """`ecr_registry` stands for Amazon ECR; `docker_config` is where `docker login` writes."""
        self._folder = folder.absolute()
        self._ecr_registry = ecr_registry
        self._credentials = CredentialFile(docker_config or _docker_config())
        self._locks: DownloadLocks = WeakValueDictionary()
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(PREPARING_MAX)

    def __repr__(self) -> str:
        return f"<ImageStore {self._folder} preparing={len(self._preparing)}>"

    async def resolve(self, uri: str, architecture: str) -> Image:
        """Find out which image a name means at this moment, for one of Lambda's architectures.

        Raises:
            InvalidImageReference, ImageNotFound, ImageUnsupported, ImageAccessDenied, DigestMismatch: it is none.
            CredentialsUnreadable: Docker's configuration file is of no use.
            BackendUnavailable: the registry does not answer.
        """
        async with contextlib.aclosing(await self._source(uri)) as source:
            content = await source.top()
            if is_index(content):
                content = await source.content(choose_manifest(read_index(content, uri), architecture, uri))
            manifest = read_manifest(content, uri)
            configuration = read_configuration(await source.content(manifest.config), manifest, uri)
        digest = digest_of(content)
        return Image(
            uri,
            pinned(uri, digest),
            digest,
            configuration.architecture,
            configuration.settings,
            configuration.variables,
        )

    def root(self, image: Image) -> Path:
        """Where an image's root folder is, once it is ready."""
        return self._place(image.digest) / _ROOT

    def is_ready(self, image: Image) -> bool:
        """Tell whether its root folder is there."""
        return self._place(image.digest).exists()

    async def prepare(self, image: Image) -> None:
        """Make an image's root folder, unless it is there; whoever asks at the same time waits for the same work.

        Raises:
            InvalidLayer, ImageTooLarge, CompressionMissing: the image cannot be unpacked.
            OSError: this machine cannot hold it.
            See `resolve` for the others.
        """
        if self.is_ready(image):
            return
        task = self._preparing.get(image.digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._prepare(image))
            self._preparing[image.digest] = task
            task.add_done_callback(lambda ended: self._prepared(image.digest, ended))
        await asyncio.shield(task)

    def sweep(self, used: Collection[Image]) -> None:
        """Remove what no function uses. For the start only: later, environments may still run replaced images."""
        digests = {hexadecimal(Digest(image.digest)) for image in used}
        blobs = set[str]()
        for place in self._folder.glob("roots/*"):
            kept = _read_kept(place) if place.name in digests else None
            if kept is None:
                shutil.rmtree(place, ignore_errors=True)
            else:
                blobs |= set(kept.blobs)
        shutil.rmtree(self._folder / "staging", ignore_errors=True)
        unfinished = any(not self.is_ready(image) for image in used)
        for blob in self._folder.glob("blobs/*"):
            if blob.name not in blobs and not unfinished:  # a download may be gone on with
                blob.unlink(missing_ok=True)

    async def close(self) -> None:
        """Stop what is under way; the next start goes on with it."""
        tasks = list(self._preparing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _source(self, uri: str) -> ImageSource:
        reference = parse_reference(uri, ecr_registry=self._ecr_registry)
        if isinstance(reference, LocalImage):
            if not Path(reference.path).is_absolute():
                raise InvalidImageReference(uri=uri, reason="its path must begin with /: nobody knows where it starts")
            return await open_local(reference, uri, self._folder / "staging")
        return RegistrySource(reference, uri, self._folder / "blobs", self._credentials, self._locks)

    def _prepared(self, digest: str, task: asyncio.Task[None]) -> None:
        del self._preparing[digest]
        if not task.cancelled():
            task.exception()  # whoever waited has it; perhaps nobody did until the end

    async def _prepare(self, image: Image) -> None:
        async with self._places, contextlib.aclosing(await self._source(image.resolved_uri)) as source:
            uri = image.resolved_uri
            manifest = read_manifest(await source.top(), uri)
            configuration = read_configuration(await source.content(manifest.config), manifest, uri)
            blobs = await _bring(source, manifest.layers)
            layers = [
                Layer(blob, descriptor.digest, diff_id, COMPRESSIONS[descriptor.media_type])
                for blob, descriptor, diff_id in zip(blobs, manifest.layers, configuration.rootfs.diff_ids, strict=True)
            ]
            stopped = threading.Event()
            try:
                await asyncio.to_thread(self._unpack, image, manifest, layers, stopped)
            finally:
                stopped.set()

    def _unpack(self, image: Image, manifest: Manifest, layers: Sequence[Layer], stopped: threading.Event) -> None:
        place = self._place(image.digest)
        staging = self._folder / "staging" / uuid.uuid4().hex
        try:
            self._make_folders(place.parent, staging)
            root = RootFolder(staging / _ROOT)
            root.path.mkdir(0o755)
            writer = LayerWriter(root, stopped.is_set)
            for layer in layers:
                writer.apply(layer)
            _make_mount_points(root)
            kept = _Kept([hexadecimal(layer.digest) for layer in manifest.layers])
            (staging / _DESCRIPTION).write_bytes(msgspec.json.encode(kept))
            staging.rename(place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _make_folders(self, roots: Path, staging: Path) -> None:
        # Images hold other people's files, some writable for all: nobody else of this machine is to reach them.
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        roots.mkdir(parents=True, exist_ok=True)
        staging.mkdir(parents=True)

    def _place(self, digest: str) -> Path:
        return self._folder / "roots" / hexadecimal(Digest(digest))


async def _bring(source: ImageSource, layers: Sequence[Descriptor]) -> list[Blob]:
    """Bring an image's layers here, several at once; a layer that is there twice once."""
    places = asyncio.Semaphore(DOWNLOADS_MAX)

    async def bring(layer: Descriptor) -> Blob:
        async with places:
            return await source.layer(layer)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {
                layer.digest: group.create_task(bring(layer)) for layer in {one.digest: one for one in layers}.values()
            }
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the others were cancelled for it, or fail for the same reason
    return [tasks[layer.digest].result() for layer in layers]


def _make_mount_points(root: RootFolder) -> None:
    """Make what every environment mounts something on; an image that needs nothing of it may lack it."""
    root.begin_layer()
    for name in IMAGE_FOLDERS:
        path = root.place((name,))
        if not root.vacate(path, for_folder=True):
            os.mkdir(path, 0o755)
    for name in IMAGE_FILES:
        path = root.place(tuple(name.split("/")))
        if os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode):
            continue
        root.vacate(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        os.close(descriptor)


def _read_kept(place: Path) -> _Kept | None:
    """Read what lies beside a root folder; None: the disk has lost it, and who knows what else."""
    try:
        return msgspec.json.decode((place / _DESCRIPTION).read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return None


def _docker_config() -> Path:
    """Source: https://docs.docker.com/reference/cli/docker/#environment-variables (DOCKER_CONFIG)"""
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")) / "config.json"
