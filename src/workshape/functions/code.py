"""Functions' code on disk: zip archives unpacked once, by the hash of the archive; folders used where they are.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-function-zip.html
"""

import asyncio
import errno
import hashlib
import os
import shutil
import stat
import uuid
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

import msgspec

from workshape.errors import Invalid
from workshape.functions.images.model import Image
from workshape.functions.limits import UNPACKED_BYTES_MAX, ZIP_BYTES_MAX
from workshape.functions.overlay import lay_over
from workshape.run import STATE_FOLDER_NAME

ENTRIES_MAX = 100_000  # of an archive: more than any package within the size limit has
PIECE_BYTES = 1024 * 1024
SHOWN_CHARACTERS_MAX = 200  # of a name in an error
_UNPACKING = ".unpacking-"
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression that Python does not know
    RuntimeError,  # encrypted
    UnicodeDecodeError,
)
_OF_NAMES = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""What the system has against a file's name: too long, or a file here and a folder there."""


class InvalidArchive(Invalid):
    """Could not unzip uploaded file. Please check your file, then try to upload again. ({reason})"""

    reason: str


class ArchiveTooLarge(Invalid):
    """{what} size must be smaller than {bytes_max} bytes"""

    what: str
    bytes_max: int


class Code(msgspec.Struct, frozen=True):
    """A function's code, ready to run."""

    folder: str
    """LAMBDA_TASK_ROOT, absolute."""
    sha256: str
    """Base64, of the archive; of a folder used in place: of its files' names, sizes and times."""
    size_bytes: int
    archive: str | None = None
    """The zip file it came in; None: a folder used in place, or an image."""
    unpacked_bytes: int = 0
    image: Image | None = None
    """The image whose root folder it is; `sha256` is its digest then, in hexadecimal digits as Lambda writes it."""


class CodeStore:
    """Unpacked archives in one folder: `HASH/` beside `HASH.zip`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<CodeStore {self._folder}>"

    async def unpack(self, archive: bytes) -> Code:
        """Keep a zip archive and unpack it; one that is here already is not unpacked again.

        Raises:
            ArchiveTooLarge: packed or unpacked, it is over Lambda's quota.
            InvalidArchive: it cannot be read, or would write outside its folder.
        """
        if len(archive) > ZIP_BYTES_MAX:
            raise ArchiveTooLarge(what="Zipped", bytes_max=ZIP_BYTES_MAX)
        return await asyncio.to_thread(_keep, archive, self._folder)

    async def from_path(self, path: Path) -> Code:
        """Take a folder as it is, to be run in place, or unpack a zip archive.

        Raises:
            Invalid: there is neither.
            ArchiveTooLarge, InvalidArchive: see `unpack`.
        """
        return await asyncio.to_thread(self._from_path, path)

    async def settle(self, code: Code) -> Code:
        """Return code that stays as it is: an archive's and an image's do, a folder used in place is copied.

        Raises:
            ArchiveTooLarge: the folder is over Lambda's quota. Invalid: something in it cannot be copied.
        """
        stays = code.archive is not None or code.image is not None
        return code if stays else await asyncio.to_thread(_copy, Path(code.folder), self._folder)

    async def merge(self, layers: Sequence[Code]) -> Code:
        """Lay unpacked archives, at least one, over each other in their order: one folder for the same archives."""
        return layers[0] if len(layers) == 1 else await asyncio.to_thread(_merge, layers, self._folder)

    def sweep(self, used: Collection[str]) -> None:
        """Remove what is in none of these folders. For the start only: later, environments may run replaced code."""
        kept = {Path(folder).name for folder in used}
        for path in self._folder.glob("*"):
            if path.name.removesuffix(".zip") in kept:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _from_path(self, path: Path) -> Code:
        if path.is_dir():
            return _describe(path.resolve())
        if not path.is_file():
            raise Invalid(reason=f"there is no code at {path}")
        if path.stat().st_size > ZIP_BYTES_MAX:
            raise ArchiveTooLarge(what="Zipped", bytes_max=ZIP_BYTES_MAX)
        return _keep(path.read_bytes(), self._folder)


def _describe(folder: Path) -> Code:
    digest, size_bytes = hashlib.sha256(), 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != STATE_FOLDER_NAME)
        for name in sorted(files):
            path = os.path.join(parent, name)
            found = os.lstat(path)
            size_bytes += found.st_size
            line = f"{os.path.relpath(path, folder)}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_mode}\n"
            digest.update(os.fsencode(line))
    return Code(str(folder), b64encode(digest.digest()).decode(), size_bytes, unpacked_bytes=size_bytes)


def _copy(folder: Path, store: Path) -> Code:
    present = _describe(folder)
    if present.size_bytes > UNPACKED_BYTES_MAX:
        raise ArchiveTooLarge(what="Unzipped", bytes_max=UNPACKED_BYTES_MAX)
    copied = store / _hexadecimal(present)
    if copied.exists():
        return msgspec.structs.replace(present, folder=str(copied.resolve()))
    store.mkdir(parents=True, exist_ok=True)
    writing = store / f"{_UNPACKING}{uuid.uuid4().hex}"
    try:
        shutil.copytree(folder, writing, symlinks=True, ignore=shutil.ignore_patterns(STATE_FOLDER_NAME))
        present = _describe(writing)  # of the copy: the folder may have changed under way
        copied = store / _hexadecimal(present)
        if not copied.exists():
            writing.rename(copied)
    except shutil.Error as error:
        source, _, why = error.args[0][0]
        raise Invalid(reason=f"{source} cannot be copied: {why}") from error
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return msgspec.structs.replace(present, folder=str(copied.resolve()))


def _merge(layers: Sequence[Code], store: Path) -> Code:
    digest = hashlib.sha256("\n".join(layer.sha256 for layer in layers).encode())
    merged = store / digest.hexdigest()
    if not merged.exists():
        writing = store / f"{_UNPACKING}{uuid.uuid4().hex}"
        try:
            lay_over([Path(layer.folder) for layer in layers], writing)
            if not merged.exists():
                writing.rename(merged)
        finally:
            shutil.rmtree(writing, ignore_errors=True)
    return msgspec.structs.replace(_describe(merged), folder=str(merged.resolve()))


def _hexadecimal(code: Code) -> str:
    return b64decode(code.sha256).hex()


def _keep(archive: bytes, store: Path) -> Code:
    digest = hashlib.sha256(archive)
    folder, kept = store / digest.hexdigest(), store / f"{digest.hexdigest()}.zip"
    if not folder.exists() or not kept.exists():
        store.mkdir(parents=True, exist_ok=True)
        writing = store / f"{_UNPACKING}{uuid.uuid4().hex}"
        try:
            _unpack(archive, writing)
            kept.write_bytes(archive)
            if not folder.exists():
                writing.rename(folder)
        finally:
            shutil.rmtree(writing, ignore_errors=True)
    return Code(
        str(folder.resolve()),
        b64encode(digest.digest()).decode(),
        len(archive),
        str(kept.resolve()),
        _describe(folder).size_bytes,
    )


def _unpack(archive: bytes, folder: Path) -> None:
    try:
        with zipfile.ZipFile(BytesIO(archive)) as packed:
            entries = packed.infolist()
            if len(entries) > ENTRIES_MAX:
                raise InvalidArchive(reason=f"more than {ENTRIES_MAX} entries")
            if sum(entry.file_size for entry in entries) > UNPACKED_BYTES_MAX:
                raise ArchiveTooLarge(what="Unzipped", bytes_max=UNPACKED_BYTES_MAX)
            folder.mkdir()
            for entry in entries:
                _unpack_named(packed, entry, folder)
    except _UNREADABLE as error:
        raise InvalidArchive(reason=str(error) or type(error).__name__) from error


def _unpack_named(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    try:
        _unpack_entry(packed, entry, folder)
    except OSError as error:
        if error.errno not in _OF_NAMES:
            raise
        raise InvalidArchive(reason=f"{entry.filename[:SHOWN_CHARACTERS_MAX]!r}: {error.strerror}") from error


def _unpack_entry(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Write one entry below the folder, never through a symbolic link."""
    name = PurePosixPath(entry.filename)
    if name.is_absolute() or ".." in name.parts or "\0" in entry.filename:
        raise InvalidArchive(reason=f"{entry.filename!r} leads outside the archive")
    path, mode = folder / name, entry.external_attr >> 16
    if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(folder)):
        raise InvalidArchive(reason=f"{entry.filename!r} lies behind a symbolic link")
    if path.is_symlink():
        raise InvalidArchive(reason=f"{entry.filename!r} is there twice, once as a symbolic link")
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(mode):
        path.symlink_to(_link_target(packed.read(entry).decode(), name))
        return
    # Archives made where files have no modes carry none: readable then, as Lambda wants it.
    permissions = stat.S_IMODE(mode) & 0o777 or 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, permissions | stat.S_IRUSR)
    with os.fdopen(descriptor, "wb") as written, packed.open(entry) as source:
        shutil.copyfileobj(source, written, PIECE_BYTES)
    path.chmod(permissions | stat.S_IRUSR)


def _link_target(target: str, name: PurePosixPath) -> str:
    """Check a symbolic link: relative, upwards only at its beginning, and not out of the archive."""
    parts = PurePosixPath(target).parts
    upwards = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    if target.startswith("/") or ".." in parts[upwards:] or upwards > len(name.parent.parts):
        raise InvalidArchive(reason=f"the link {str(name)!r} leads outside the archive")
    return target
