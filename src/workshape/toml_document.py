"""A file in TOML on its way to structs, refusing by file, line, table and key what they do not take. A core.

Source: https://toml.io/en/v1.0.0
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from workshape.errors import Invalid

Place = tuple[str | int, ...]
"""Where something is: `("functions", "search", "memory_mb")`."""

T = TypeVar("T", bound=msgspec.Struct)


class TomlInvalid(Invalid):
    """{file}{position}: {what}"""

    file: str
    position: str
    what: str


class TomlDocument:
    """One file. `tables` is all of it, as it was read."""

    def __init__(self, text: bytes, name: str, tables: Collection[str], single: Collection[str]) -> None:
        """Read it. `name` is the file's; `tables` are all it may have, `single` those that are no tables of tables.

        Raises:
            TomlInvalid: it is no TOML, or has other tables.
        """
        self._name = name
        self._single = single
        try:
            decoded = text.decode()
            self.tables: dict[str, Any] = tomllib.loads(decoded)
        except UnicodeDecodeError as error:
            raise TomlInvalid(file=name, position="", what=f"not UTF-8 text: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise _not_toml(name, str(error), last_line=len(decoded.splitlines())) from error
        self._lines = _lines(decoded)
        self._refuse_unknown(self.tables, tables, ())

    def invalid(self, place: Place, what: str) -> TomlInvalid:
        """Make the error for a place: its line where that is known, its table, its key."""
        line = next(filter(None, (self._line(place[:n]) for n in range(len(place), 0, -1))), None)
        position = f", line {line}" if line else ""
        return TomlInvalid(file=self._name, position=position, what=f"{self._described(place)}{what}")

    def _line(self, place: Place) -> int | None:
        """Find a table's or a key's own line; of a table that has none (`[functions.search]` makes two) its first."""
        within = (line for known, line in self._lines.items() if known[: len(place)] == place)
        return self._lines.get(place) or min(within, default=None)

    def named(self, table: str) -> list[tuple[str, Place]]:
        """List the names of a table of tables, with their places."""
        entries = self.tables.get(table, {})
        if not isinstance(entries, dict):
            raise self.invalid((table,), f"it is a table of tables: write [{table}.NAME]")
        return [(name, (table, name)) for name in entries]

    def listed(self, table: str) -> list[tuple[Any, Place]]:
        """List the entries of a list of tables, with their places."""
        entries = self.tables.get(table, [])
        if not isinstance(entries, list):
            raise self.invalid((table,), f"it is a list of tables: write [[{table}]]")
        return [(entry, (table, index)) for index, entry in enumerate(entries)]

    def named_struct(self, kind: type[T], name: str, place: Place) -> T:
        """Read a table of a table of tables into a struct that knows its name."""
        return self.struct(self.tables[str(place[0])][name], kind, place, given={"name": name})

    def struct(self, table: Any, kind: type[T], place: Place, given: dict[str, str] | None = None) -> T:
        """Read a table key by key, so that whatever is wrong has a place."""
        if not isinstance(table, dict):
            raise self.invalid(place, f"it is a table, not {_toml_kind(table)}")
        given = given or {}
        fields = {field.name: field for field in msgspec.structs.fields(kind) if field.name not in given}
        self._refuse_unknown(table, fields, place)
        values: dict[str, Any] = dict(given)
        for name, field in fields.items():
            if name in table:
                values[name] = self._value(table[name], field.type, (*place, name))
            elif field.required:
                raise self.invalid(place, f"{name} is missing, and has no default")
        return kind(**values)

    def _value(self, value: Any, kind: Any, place: Place) -> Any:
        item = _struct_listed(kind)
        if item is not None and isinstance(value, list):
            value = tuple(self.struct(entry, item, (*place, index)) for index, entry in enumerate(value))
            return self._checked(value, kind, place)
        if (mapped := _struct_mapped(kind)) is not None:
            if not isinstance(value, dict):
                raise self.invalid(place, f"it is a table of tables: write [{_dotted(place)}.NAME]")
            return {name: self._value(entry, mapped, (*place, name)) for name, entry in value.items()}
        nested = _struct_in(kind)
        if nested is not None and (isinstance(value, dict) or str not in get_args(kind)):
            return self.struct(value, nested, place)
        return self._checked(value, kind, place)

    def _checked(self, value: Any, kind: Any, place: Place) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise self.invalid(place, _in_words(error, value, kind)) from error

    def _refuse_unknown(self, table: dict[str, Any], known: Collection[str], place: Place) -> None:
        for key in table:
            if key not in known:
                kind = "key" if place else "table"
                raise self.invalid((*place, key), f"there is no such {kind}; {did_you_mean(key, known)}")

    def _described(self, place: Place) -> str:
        """Write a place as the file has it: `[functions.search] memory_mb: `."""
        head, *rest = place
        if not rest and isinstance(head, str):
            return f"[{head}]: " if isinstance(self.tables.get(head), dict | list) else f"{head}: "
        if isinstance(rest[0], int):
            table, keys = f"[[{head}]] number {rest[0] + 1}", rest[1:]
        elif head in self._single:
            table, keys = f"[{head}]", rest
        else:
            table, keys = f"[{head}.{rest[0]}]", rest[1:]
        return f"{table}{' ' if keys else ''}{_dotted(keys)}: "


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, or list them all: the end of a sentence about an unknown one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"there are: {', '.join(names)}" if names else "there are none"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and kind is not NoneType and issubclass(kind, msgspec.Struct)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is, or may be."""
    return next((one for one in (kind, *get_args(kind)) if _is_struct(one)), None)


def _struct_mapped(kind: Any) -> Any:
    """The type of what is named in a table of tables: `dict[str, UserEntry]`."""
    named = get_args(kind)[1] if get_origin(kind) is dict else None
    return named if _struct_in(named) is not None else None


def _struct_listed(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is a list of, in TOML's words: `tuple[Target, ...]`, with its bounds or without."""
    listed = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(listed) is not tuple:
        return None
    item = get_args(listed)[0]
    return item if _is_struct(item) else None


def _dotted(keys: Sequence[str | int]) -> str:
    """Write a way into a table: `targets[0].function`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _not_toml(name: str, what: str, last_line: int) -> TomlInvalid:
    """Put what `tomllib` says, `Invalid value (at line 2, column 9)`, in our own order."""
    what = re.sub(r"\(('[^)]*)\)", lambda key: f"[{'.'.join(_parts(key[1]))}]", what)  # `('functions', 'search')`
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), (column \d+)|end of document)\)", what)
    if found is None:
        return TomlInvalid(file=name, position="", what=f"not TOML: {what}")
    line, where = found[2] or last_line, found[3] or "its end"
    return TomlInvalid(file=name, position=f", line {line}", what=f"not TOML: {found[1]} ({where})")


def _choices(kind: Any) -> list[str]:
    """List what a type takes, where that is one of some words."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return [member.value for member in kind]
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind)]
    return [choice for part in get_args(kind) for choice in _choices(part)]


def _in_words(error: msgspec.ValidationError, value: Any, kind: Any) -> str:
    """Say what a value should have been, in TOML's words."""
    if str(error).startswith("Invalid enum value"):
        return f"expected one of {', '.join(_choices(kind))}, got {value!r}"
    text = str(error).partition(" - at ")[0].replace("`", "").replace(" | null", "")
    for name, word in (("int", "integer"), ("str", "string"), ("bool", "boolean"), ("object", "table")):
        text = re.sub(rf"\b{name}\b", word, text)
    return f"{text[:1].lower()}{text[1:]}" + ("" if "got" in text else f", got {value!r}")


def _toml_kind(value: Any) -> str:
    kinds = {str: "a string", bool: "a boolean", int: "an integer", float: "a float", list: "an array"}
    return kinds.get(type(value), "a value")


def _lines(text: str) -> dict[Place, int]:
    """Find the lines of tables and keys. Enough for messages: in a multi-line string it may see keys that are none."""
    found: dict[Place, int] = {}
    table: Place = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)([^\[\]]+)\]", line)
        key = re.match(r"\s*([\w\"'.\- ]+?)\s*=", line)
        if header and header.group(1) == "[[":
            name = header.group(2).strip()
            counts[name] = counts.get(name, -1) + 1
            table = (name, counts[name])
            found[table] = number
        elif header:
            table = _parts(header.group(2))
            found[table] = number
        elif key:
            found.setdefault((*table, *_parts(key.group(1))), number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    quoted = re.findall(r'"([^"]*)"|\'([^\']*)\'|([\w\-]+)', dotted)
    return tuple(next(part for part in parts if part) for parts in quoted if any(parts))
