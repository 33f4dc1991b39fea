"""Tables that the proxy's admin console answers with: columns and rows, as PostgreSQL's protocol carries them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from workshape.pgproxy import messages

Cell = str | int | float | None

TEXT, INT8, FLOAT8 = 25, 20, 701
"""Type identifiers. Source: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat"""
_SIZES = {TEXT: -1, INT8: 8, FLOAT8: 8}
_TYPES: dict[type, int] = {str: TEXT, int: INT8, float: FLOAT8}
_COLUMN = struct.Struct("!IhIhih")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, and what its cells are (`str`, `int` or `float`)."""

    name: str
    holds: type[str] | type[int] | type[float] = str


@dataclass(frozen=True, slots=True)
class TableShown:
    """An answer."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Cell, ...]]

    def description(self, formats: Sequence[int]) -> bytes:
        """Write the RowDescription; `formats` are 0 (text) or 1 (binary), one for each column."""
        body = struct.pack("!H", len(self.columns))
        for column, code in zip(self.columns, formats, strict=True):
            kind = _TYPES[column.holds]
            body += column.name.encode() + b"\0" + _COLUMN.pack(0, 0, kind, _SIZES[kind], -1, code)
        return messages.message(messages.ROW_DESCRIPTION, body)

    def data(self, formats: Sequence[int]) -> bytes:
        """Write the rows, and that they are complete."""
        return b"".join(_row(row, formats) for row in self.rows) + command_complete(f"SHOW {len(self.rows)}")

    def formats(self, asked: Sequence[int]) -> tuple[int, ...]:
        """Spell out what Bind asked for: nothing (all text), one for all, or one for each column.

        Raises:
            ProtocolViolation: some other number of them.
        """
        count = len(self.columns)
        if len(asked) <= 1:
            return (asked[0] if asked else 0,) * count
        if len(asked) != count:
            raise messages.ProtocolViolation(
                reason=f"bind message has {len(asked)} result formats but query has {count} columns"
            )
        return tuple(asked)


def command_complete(tag: str) -> bytes:
    """Tell that a command is done."""
    return messages.message(messages.COMMAND_COMPLETE, tag.encode() + b"\0")


def _row(row: Sequence[Cell], formats: Sequence[int]) -> bytes:
    body = struct.pack("!H", len(row))
    for cell, code in zip(row, formats, strict=True):
        if cell is None:
            body += struct.pack("!i", -1)
            continue
        written = _binary(cell) if code else _text(cell)
        body += struct.pack("!i", len(written)) + written
    return messages.message(messages.DATA_ROW, body)


def _text(cell: str | int | float) -> bytes:
    return (f"{cell:.6g}" if isinstance(cell, float) else str(cell)).encode()


def _binary(cell: str | int | float) -> bytes:
    if isinstance(cell, str):
        return cell.encode()
    return struct.pack("!d" if isinstance(cell, float) else "!q", cell)
