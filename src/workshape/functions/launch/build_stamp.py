"""What a build was made from, so that the next one can see that nothing has changed."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec


class _Stamp(msgspec.Struct, frozen=True):
    state: str
    inputs: dict[str, str] = {}
    """Path, relative to the code, to the hash of its content: of every file that went into a bundle."""


class _Metadata(msgspec.Struct, frozen=True):
    """esbuild's metafile, as far as it matters here. Source: https://esbuild.github.io/api/#metafile"""

    inputs: dict[str, msgspec.Raw]


class BuildStamp:
    """A file in a build folder; written last, so that an unfinished build has none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, state: str, code: Path) -> bool:
        """True when the build was made for this state, and none of its inputs has changed."""
        try:
            stamp = msgspec.json.decode(self._path.read_bytes(), type=_Stamp)
        except (OSError, msgspec.DecodeError):
            return False
        return stamp.state == state and all(_hash_file(code / path) == known for path, known in stamp.inputs.items())

    def write(self, state: str) -> None:
        """Say what the build was made for."""
        self._path.write_bytes(msgspec.json.encode(_Stamp(state)))

    def write_esbuild(self, state: str, code: Path, metadata: Path) -> None:
        """Say what a bundle was made for, and of which files."""
        inputs = msgspec.json.decode(metadata.read_bytes(), type=_Metadata).inputs
        files = {path: _hash_file(code / path) for path in inputs if (code / path).is_file()}
        self._path.write_bytes(msgspec.json.encode(_Stamp(state, files)))


def fingerprint(parts: Iterable[str]) -> str:
    """Return one hash of several texts."""
    return hashlib.sha256(msgspec.json.encode(list(parts))).hexdigest()


def fingerprint_folder(folder: Path, left_out: Sequence[str], build_folder: Path) -> str:
    """Return one hash of the names and contents of all files below a folder."""
    found: list[str] = []
    pending = [folder]
    while pending:
        for path in pending.pop().iterdir():
            if path.name in left_out or path == build_folder:
                continue
            if path.is_dir() and not path.is_symlink():
                pending.append(path)
            elif path.is_file():
                found.append(f"{path.relative_to(folder)} {_hash_file(path)}")
    return fingerprint(sorted(found))


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
