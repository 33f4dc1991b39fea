"""Values as JSON lines in a folder of bounded size: `000001.jsonl`, `000002.jsonl` ...; the last file is written.

For facts that are of use but not precious: a crash may lose the last of them and leave half a line, which the reader
passes over. What must never be lost goes to `documents.py` or to the queues' journal.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

MIB = 1024 * 1024
FILE_BYTES_MAX = 16 * MIB
FILES_MAX = 8  # 128 MiB in all: half a million lines or more

T = TypeVar("T", bound=msgspec.Struct)


class JsonLineWriter(Generic[T]):
    """Appends lines and drops the oldest file when there are too many."""

    def __init__(self, folder: Path, *, file_bytes_max: int = FILE_BYTES_MAX, files_max: int = FILES_MAX) -> None:
        self._folder = folder
        self._file_bytes_max = file_bytes_max
        self._files_max = files_max
        folder.mkdir(parents=True, exist_ok=True)
        files = _files(folder)
        self._path = files[-1] if files else folder / "000001.jsonl"
        self._ends_whole = not self._path.exists() or self._path.read_bytes()[-1:] in (b"", b"\n")

    def __repr__(self) -> str:
        return f"<JsonLineWriter {self._path}>"

    def write(self, lines: Sequence[T]) -> None:
        """Append lines, to the operating system: they outlive this process, not a power cut.

        Raises:
            OSError: the disk is full, or the folder is gone.
        """
        data = msgspec.json.Encoder().encode_lines(lines)
        if not self._ends_whole:
            data = b"\n" + data
            self._ends_whole = True
        with self._path.open("ab") as file:
            file.write(data)
            size = file.tell()
        if size >= self._file_bytes_max:
            self._rotate()

    def _rotate(self) -> None:
        self._path = self._folder / f"{int(self._path.stem) + 1:06d}.jsonl"
        for old in _files(self._folder)[: -(self._files_max - 1) or None]:
            old.unlink(missing_ok=True)


def read_json_lines(folder: Path, kind: type[T]) -> Iterator[T]:
    """Read what is on disk, oldest first. No folder: nothing; what is no such line is passed over."""
    decoder = msgspec.json.Decoder(kind)
    for path in _files(folder):
        try:
            with path.open("rb") as file:
                for line in file:
                    try:
                        yield decoder.decode(line)
                    except msgspec.DecodeError:
                        continue  # torn by a crash, or being written right now
        except FileNotFoundError:
            continue  # rotated away since we looked


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.jsonl"))
