"""The notation `workshape.toml`: text to model, refusing by file, line, table and key what it does not understand."""

from pathlib import Path

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
from workshape.functions.images.reference import LOCAL_SCHEME
from workshape.settings import Settings
from workshape.toml_document import Place, TomlDocument

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
SINGLE = ("app", "platform", "http", "kafka", "database")


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
        FileNotFoundError: there is none. TomlInvalid: it is wrong; says where and what would be right.
    """
    path = folder / APP_FILE_NAME
    text = path.read_bytes()
    return parse_app(text, path)


def parse_app(text: bytes, path: Path) -> tuple[App, Settings]:
    """Read an app file's text; relative paths in it start at the folder of `path`.

    Raises:
        TomlInvalid: it is wrong.
    """
    reader = _Reader(text, path)
    app, settings = reader.app(), reader.settings()
    for problem in (*problems(app, settings), *file_problems(app)):
        raise reader.invalid(problem.place, problem.what)
    return app, settings


class _Reader:
    """One app file on its way to the model."""

    def __init__(self, text: bytes, path: Path) -> None:
        self._folder = path.parent.resolve()
        file = TomlDocument(text, str(path), TABLES, SINGLE)
        self._document, self.invalid = file.tables, file.invalid
        self._named, self._listed = file.named, file.listed
        self._struct, self._named_struct = file.struct, file.named_struct

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
