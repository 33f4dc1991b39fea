"""Layers of an image, applied to a root folder one upon the other: tar archives with whiteouts for what is removed.

Source: https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

import errno
import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from workshape.errors import Invalid
from workshape.functions.images.blob import Blob
from workshape.functions.images.manifest import DigestMismatch
from workshape.functions.images.reference import Digest
from workshape.functions.images.root import FOLDER_MODE, Impossible, InvalidLayer, Parts, RootFolder, components
from workshape.functions.limits import IMAGE_BYTES_MAX

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # from Python 3.14 on
except ImportError:
    try:
        from backports import zstd
    except ImportError:
        zstd = None

ENTRIES_MAX = 2_000_000  # of an image: more than any within the size limit has; bounds the inodes it takes
HEADER_BYTES_MAX = 1024 * 1024  # of one extended header, which is held in memory
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_METADATA = ".wh..wh."  # files of aufs that some images carry: about the layer, not of it
_PIECE_BYTES = 256 * 1024
_OWN_FOLDER = 0o700
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_DAMAGED: tuple[type[Exception], ...] = (
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    *(() if zstd is None else (zstd.ZstdError,)),
)
_IMPOSSIBLE = (
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EINVAL,
    errno.ENOENT,  # a hard link to what the same entry has taken away
    errno.ENOTDIR,
    errno.EMLINK,
    errno.EILSEQ,
)


class ImageTooLarge(Invalid):
    """InvalidImage: uncompressed, its layers are larger than {bytes_max} bytes"""

    bytes_max: int


class CompressionMissing(Invalid):
    """InvalidImage: layer {layer} is compressed with zstd, and this Python cannot read that: install
    'workshape[images]', or build the image with gzip
    """

    layer: str


class Stopped(Exception):
    """Nobody wants the root folder any more."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is on this machine."""

    blob: Blob
    digest: Digest
    """Of its bytes as they are."""
    diff_id: Digest
    """Of its bytes uncompressed."""
    compression: str


class LayerWriter:
    """Applies an image's layers to a root folder, in their order."""

    def __init__(self, root: RootFolder, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """`is_stopped` is asked at each entry, and ends the work with `Stopped`."""
        self._root = root
        self._is_stopped = is_stopped
        self._owns = os.geteuid() == 0
        self._entries = 0
        self._bytes = 0
        """Of the layers so far, uncompressed."""
        self._file_bytes = 0

    def apply(self, layer: Layer) -> None:
        """Apply one layer. When it fails, the root folder is of no use.

        Raises:
            DigestMismatch, InvalidLayer, ImageTooLarge, CompressionMissing: the image's fault.
            OSError: the machine's: no space, say.
        """
        self._root.begin_layer()
        with layer.blob.path.open("rb") as opened:
            opened.seek(layer.blob.offset)
            packed = _Hashing(_stretch(opened, layer.blob.size_bytes).read)
            unpacked = _Hashing(_decompressed(packed, layer).read, bytes_max=IMAGE_BYTES_MAX - self._bytes)
            try:
                self._read(unpacked, layer)
                unpacked.drain()
                packed.drain()
            except _DAMAGED as error:
                raise InvalidLayer(name="the archive", layer=layer.digest, reason=f"is damaged: {error}") from error
        self._bytes += unpacked.count
        _check(packed.digest, layer.digest, "a layer")
        _check(unpacked.digest, layer.diff_id, "a layer, uncompressed,")

    def _read(self, unpacked: "_Hashing", layer: Layer) -> None:
        with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Entry, errorlevel=2) as archive:  # type: ignore[call-overload]  # any object with read()
            for entry in archive:
                archive.members = []  # else it would remember every one
                if self._is_stopped():
                    raise Stopped
                self._entries += 1
                if self._entries > ENTRIES_MAX:
                    raise InvalidLayer(name=entry.name, layer=layer.digest, reason=f"is one of over {ENTRIES_MAX}")
                try:
                    self._write(archive, entry)
                except Impossible as error:
                    raise InvalidLayer(name=entry.name, layer=layer.digest, reason=str(error)) from error
                except (OverflowError, ValueError) as error:
                    raise InvalidLayer(name=entry.name, layer=layer.digest, reason=f"is odd: {error}") from error
                except OSError as error:
                    if error.errno not in _IMPOSSIBLE:
                        raise
                    reason = f"cannot be written: {error.strerror}"
                    raise InvalidLayer(name=entry.name, layer=layer.digest, reason=reason) from error

    def _write(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        parts = components(entry.name)
        if ".." in parts:
            raise Impossible("leads outside the image")
        if parts and parts[-1].startswith(WHITEOUT):
            self._white_out(parts)
        elif entry.isdir():
            self._write_folder(parts, entry)
        elif not parts:
            raise Impossible("is not a folder, and names the root")
        elif entry.isreg():
            self._write_file(archive, entry, parts)
        elif entry.islnk():
            self._write_hard_link(entry, parts)
        elif entry.issym():
            self._write_link(entry, parts)
        elif entry.isfifo():
            path = self._fresh(parts)
            os.mkfifo(path)
            self._own(path, entry)
        elif not entry.isdev():
            raise Impossible(f"is of type {entry.type!r}, which no image has")
        # Device files are left out: an environment has a /dev of its own, and opens no device elsewhere.

    def _white_out(self, parts: Parts) -> None:
        folder, name = parts[:-1], parts[-1]
        if name == OPAQUE:
            self._root.empty_below(folder)
        elif not name.startswith(_METADATA):
            hidden = name.removeprefix(WHITEOUT)
            if hidden in ("", ".", ".."):
                raise Impossible("removes what is no entry")
            self._root.remove_below((*folder, hidden))

    def _write_folder(self, parts: Parts, entry: tarfile.TarInfo) -> None:
        path = self._root.place(parts) if parts else os.fspath(self._root.path)
        if not self._root.vacate(path, for_folder=True):
            os.mkdir(path, FOLDER_MODE)
        self._give(path, entry)
        # Now, not at the end of the layer: by then a link may be in its place. Whoever is not root must still be able
        # to fill it.
        os.chmod(path, stat.S_IMODE(entry.mode) & 0o1777 | (0 if self._owns else _OWN_FOLDER))

    def _write_file(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parts: Parts) -> None:
        self._file_bytes += entry.size
        if self._file_bytes > IMAGE_BYTES_MAX:  # sparse files may be far larger than their archive
            raise ImageTooLarge(bytes_max=IMAGE_BYTES_MAX)
        source = archive.extractfile(entry)
        assert source is not None, "it is a regular file"
        path = self._fresh(parts)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            while piece := source.read(_PIECE_BYTES):
                written.write(piece)
        self._own(path, entry)
        os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)

    def _write_hard_link(self, entry: tarfile.TarInfo, parts: Parts) -> None:
        target = components(entry.linkname)
        if ".." in target:
            raise Impossible(f"is linked to {entry.linkname!r}, outside the image")
        source = self._root.linked(target)
        if source is None:
            raise Impossible(f"is linked to {entry.linkname!r}, which is no file of the image")
        path = self._root.place(parts)
        if path != source:
            self._root.vacate(path)
            os.link(source, path, follow_symlinks=False)

    def _write_link(self, entry: tarfile.TarInfo, parts: Parts) -> None:
        path = self._fresh(parts)
        os.symlink(entry.linkname, path)
        self._root.forget_links()
        self._give(path, entry)

    def _fresh(self, parts: Parts) -> str:
        path = self._root.place(parts)
        self._root.vacate(path)
        return path

    def _own(self, path: str, entry: tarfile.TarInfo) -> None:
        """Give a new file its owner and mode. Set-user-id bits go: nothing gains a privilege in an environment, and
        on this machine such a file would lend one to whoever finds it.
        """
        self._give(path, entry)
        os.chmod(path, stat.S_IMODE(entry.mode) & 0o777)

    def _give(self, path: str, entry: tarfile.TarInfo) -> None:
        """Make an entry its owner's, as far as we may."""
        if not self._owns:
            return
        try:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        except OSError as error:
            # Root of a user namespace may not know that owner, nor be allowed to give anything away.
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise


class _Entry(tarfile.TarInfo):
    """An entry whose extended headers are bounded."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # Here the rest of an entry is read; `frombuf` is passed by in later versions of Python, 3.13.4 for one.
        if self.type in _EXTENDED and self.size > HEADER_BYTES_MAX:
            raise tarfile.ReadError(f"an extended header of {self.size} bytes")
        entry: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # not documented, in all versions
        return entry


class _Hashing:
    """Hashes and counts what is read through it."""

    def __init__(self, read: Callable[[int], bytes], bytes_max: int | None = None) -> None:
        self._read = read
        self._hash = hashlib.sha256()
        self._bytes_max = bytes_max
        self.count = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def read(self, size: int = _PIECE_BYTES) -> bytes:
        piece = self._read(size)
        self._hash.update(piece)
        self.count += len(piece)
        if self._bytes_max is not None and self.count > self._bytes_max:
            raise ImageTooLarge(bytes_max=IMAGE_BYTES_MAX)
        return piece

    def drain(self) -> None:
        """Read what is left: the digest is of all."""
        while self.read():
            pass


def _stretch(opened: IO[bytes], size_bytes: int) -> IO[bytes]:
    """Limit a file to the bytes of one blob."""

    class Stretch(io.RawIOBase):
        left = size_bytes

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            piece = opened.read(min(len(buffer), self.left))
            buffer[: len(piece)] = piece
            self.left -= len(piece)
            return len(piece)

    return io.BufferedReader(Stretch(), _PIECE_BYTES)


def _decompressed(packed: _Hashing, layer: Layer) -> Any:
    if layer.compression == "gzip":
        return gzip.GzipFile(fileobj=packed, mode="rb")  # type: ignore[call-overload]  # reads only
    if layer.compression == "zstd":
        if zstd is None:
            raise CompressionMissing(layer=layer.digest)
        return zstd.ZstdFile(packed, mode="rb")
    return packed


def _check(found: str, digest: Digest, what: str) -> None:
    if found != digest:
        raise DigestMismatch(what=what, digest=digest)
