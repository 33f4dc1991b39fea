"""The notation `workshape.toml`: text to model, refusing by file, line, table and key what it does not understand.

Source: https://toml.io/en/v1.0.0
"""

import re
import tomllib
from collections.abc import Collection, Sequence
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from workshape.app.check import problems
from workshape.app.code import file_problems
from workshape.app.delivery_model import Notification, Subscription, Topic
from workshape.app.event_model import Bus, Rule, Schedule
from workshape.app.kafka_model import Kafka, KafkaMapping
from workshape.app.model import (
    App,
    Authorizer,
    Bucket,
    Database,
    Function,
    Http,
    Key,
    Layer,
    Mapping,
    Queue,
    Route,
    Table,
)
from workshape.app.problem import Place, did_you_mean
from workshape.errors import Invalid
from workshape.functions.images.reference import LOCAL_SCHEME
from workshape.settings import Settings

APP_FILE_NAME = "workshape.toml"
TABLES = (
    "app",
    "platform",
    "functions",
    "layers",
    "queues",
    "mappings",
    "http",
    "authorizers",
    "routes",
    "tables",
    "buckets",
    "notifications",
    "topics",
    "subscriptions",
    "buses",
    "rules",
    "schedules",
    "kafka",
    "kafka_mappings",
    "database",
)

T = TypeVar("T", bound=msgspec.Struct)


class AppFileInvalid(Invalid):
    """{file}{position}: {what}"""

    file: str
    position: str
    what: str


class _AppTable(msgspec.Struct, frozen=True):
    name: str = ""


class _TableTable(msgspec.Struct, frozen=True):
    partition_key: str
    sort_key: str | None = None


class _BucketTable(msgspec.Struct, frozen=True):
    event_bridge: bool = False


def load_app(folder: Path) -> tuple[App, Settings]:
    """Read `workshape.toml` of that folder and check it, the files it names included.

    Raises:
        FileNotFoundError: there is none. AppFileInvalid: it is wrong; says where and what would be right.
    """
    path = folder / APP_FILE_NAME
    text = path.read_bytes()
    return parse_app(text, path)


def parse_app(text: bytes, path: Path) -> tuple[App, Settings]:
    """Read an app file's text; relative paths in it start at the folder of `path`.

    Raises:
        AppFileInvalid: it is wrong.
    """
    reader = _Reader(text, path)
    app, settings = reader.app(), reader.settings()
    for problem in (*problems(app, settings), *file_problems(app)):
        raise reader.invalid(problem.place, problem.what)
    return app, settings


class _Reader:
    """One app file on its way to the model."""

    def __init__(self, text: bytes, path: Path) -> None:
        self._path = path
        self._folder = path.parent.resolve()
        try:
            decoded = text.decode()
            self._document: dict[str, Any] = tomllib.loads(decoded)
        except UnicodeDecodeError as error:
            raise AppFileInvalid(file=str(path), position="", what=f"not UTF-8 text: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise _not_toml(path, str(error), last_line=len(decoded.splitlines())) from error
        self._lines = _lines(decoded)
        self._refuse_unknown(self._document, TABLES, ())

    def invalid(self, place: Place, what: str) -> AppFileInvalid:
        """Make the error for a place: its line where that is known, its table, its key."""
        line = next(filter(None, (self._line(place[:n]) for n in range(len(place), 0, -1))), None)
        position = f", line {line}" if line else ""
        return AppFileInvalid(file=str(self._path), position=position, what=f"{_described(place)}{what}")

    def _line(self, place: Place) -> int | None:
        """Find a table's or a key's own line; of a table that has none (`[functions.search]` makes two) its first."""
        within = (line for known, line in self._lines.items() if known[: len(place)] == place)
        return self._lines.get(place) or min(within, default=None)

    def app(self) -> App:
        """Read everything but [platform]."""
        table = self._struct(self._document.get("app", {}), _AppTable, ("app",))
        return App(
            name=table.name or self._folder.name,
            functions=tuple(self._function(name, place) for name, place in self._named("functions")),
            layers=tuple(self._layer(name, place) for name, place in self._named("layers")),
            queues=tuple(self._named_struct(Queue, name, place) for name, place in self._named("queues")),
            mappings=tuple(self._struct(entry, Mapping, place) for entry, place in self._listed("mappings")),
            http=self._struct(self._document.get("http", {}), Http, ("http",)),
            authorizers=tuple(
                self._named_struct(Authorizer, name, place) for name, place in self._named("authorizers")
            ),
            routes=tuple(self._struct(entry, Route, place) for entry, place in self._listed("routes")),
            tables=tuple(self._table(name, place) for name, place in self._named("tables")),
            buckets=tuple(self._bucket(name, place) for name, place in self._named("buckets")),
            notifications=tuple(self._struct(one, Notification, place) for one, place in self._listed("notifications")),
            topics=tuple(self._named_struct(Topic, name, place) for name, place in self._named("topics")),
            subscriptions=tuple(self._struct(one, Subscription, place) for one, place in self._listed("subscriptions")),
            buses=tuple(self._named_struct(Bus, name, place) for name, place in self._named("buses")),
            rules=tuple(self._named_struct(Rule, name, place) for name, place in self._named("rules")),
            schedules=tuple(self._named_struct(Schedule, name, place) for name, place in self._named("schedules")),
            kafka=self._struct(self._document["kafka"], Kafka, ("kafka",)) if "kafka" in self._document else None,
            kafka_mappings=tuple(
                self._struct(entry, KafkaMapping, place) for entry, place in self._listed("kafka_mappings")
            ),
            database=self._database(),
        )

    def settings(self) -> Settings:
        """Read [platform]."""
        return self._struct(self._document.get("platform", {}), Settings, ("platform",))

    # tables of the file

    def _function(self, name: str, place: Place) -> Function:
        function = self._named_struct(Function, name, place)
        image = function.image
        if image is not None and image.startswith(LOCAL_SCHEME):
            image = f"{LOCAL_SCHEME}{self._folder / image.removeprefix(LOCAL_SCHEME)}"
        code = str(self._folder / function.code) if function.code else ""
        return msgspec.structs.replace(function, code=code, image=image)

    def _layer(self, name: str, place: Place) -> Layer:
        layer = self._named_struct(Layer, name, place)
        return msgspec.structs.replace(layer, code=str(self._folder / layer.code))

    def _table(self, name: str, place: Place) -> Table:
        table = self._struct(self._document["tables"][name], _TableTable, place)
        sort_key = None if table.sort_key is None else self._key(table.sort_key, (*place, "sort_key"))
        return Table(name, self._key(table.partition_key, (*place, "partition_key")), sort_key)

    def _key(self, text: str, place: Place) -> Key:
        name, _, key_type = text.partition(":")
        try:
            return msgspec.convert({"name": name, "type": key_type or "S"}, Key)
        except msgspec.ValidationError as error:
            raise self.invalid(place, f'"{text}" is no key: NAME, or NAME:S, NAME:N, NAME:B') from error

    def _bucket(self, name: str, place: Place) -> Bucket:
        table = self._struct(self._document["buckets"][name], _BucketTable, place)
        return Bucket(name, table.event_bridge)

    def _database(self) -> Database | None:
        if "database" not in self._document:
            return None
        database = self._struct(self._document["database"], Database, ("database",))
        if database.init_sql is None:
            return database
        return msgspec.structs.replace(database, init_sql=str(self._folder / database.init_sql))

    # any table

    def _named(self, table: str) -> list[tuple[str, Place]]:
        entries = self._document.get(table, {})
        if not isinstance(entries, dict):
            raise self.invalid((table,), f"it is a table of tables: write [{table}.NAME]")
        return [(name, (table, name)) for name in entries]

    def _listed(self, table: str) -> list[tuple[Any, Place]]:
        entries = self._document.get(table, [])
        if not isinstance(entries, list):
            raise self.invalid((table,), f"it is a list of tables: write [[{table}]]")
        return [(entry, (table, index)) for index, entry in enumerate(entries)]

    def _named_struct(self, kind: type[T], name: str, place: Place) -> T:
        return self._struct(self._document[str(place[0])][name], kind, place, given={"name": name})

    def _struct(self, table: Any, kind: type[T], place: Place, given: dict[str, str] | None = None) -> T:
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
            value = tuple(self._struct(entry, item, (*place, index)) for index, entry in enumerate(value))
            return self._checked(value, kind, place)
        nested = next((one for one in (kind, *get_args(kind)) if _is_struct(one)), None)
        if nested is not None:
            return self._struct(value, nested, place)
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


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and kind is not NoneType and issubclass(kind, msgspec.Struct)


def _struct_listed(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is a list of, in TOML's words: `tuple[Target, ...]`, with its bounds or without."""
    listed = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(listed) is not tuple:
        return None
    item = get_args(listed)[0]
    return item if _is_struct(item) else None


def _described(place: Place) -> str:
    """Write a place as the file has it: `[functions.search] memory_mb: `."""
    head, *rest = place
    if not rest and isinstance(head, str):
        return f"[{head}]: "
    if isinstance(rest[0], int):
        table, keys = f"[[{head}]] number {rest[0] + 1}", rest[1:]
    elif head in ("app", "platform", "http", "kafka", "database"):
        table, keys = f"[{head}]", rest
    else:
        table, keys = f"[{head}.{rest[0]}]", rest[1:]
    return f"{table}{' ' if keys else ''}{_dotted(keys)}: "


def _dotted(keys: Sequence[str | int]) -> str:
    """Write a way into a table: `targets[0].function`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _not_toml(path: Path, what: str, last_line: int) -> AppFileInvalid:
    """Put what `tomllib` says, `Invalid value (at line 2, column 9)`, in our own order."""
    what = re.sub(r"\(('[^)]*)\)", lambda key: f"[{'.'.join(_parts(key[1]))}]", what)  # `('functions', 'search')`
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), (column \d+)|end of document)\)", what)
    if found is None:
        return AppFileInvalid(file=str(path), position="", what=f"not TOML: {what}")
    line, where = found[2] or last_line, found[3] or "its end"
    return AppFileInvalid(file=str(path), position=f", line {line}", what=f"not TOML: {found[1]} ({where})")


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
