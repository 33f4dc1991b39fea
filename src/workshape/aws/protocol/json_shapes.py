"""Values in JSON, by the shapes of a service model: readers check and convert, writers convert. Compiled once.

A value that a reader cannot take is `Malformed`, and the error names its place.

Source: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#shape-serialization
"""

import binascii
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from workshape.aws.protocol.errors import Malformed
from workshape.aws.protocol.timestamps import UNIX, timestamp_reader, timestamp_writer

Convert = Callable[[Any], Any]
_FLOAT_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class JsonReaders:
    """The readers of one service. A structure's is made once: structures may contain themselves."""

    def __init__(self) -> None:
        self._structures: dict[str, Convert] = {}

    def reader(self, shape: Shape) -> Convert:
        """Make, or find, the reader of a shape."""
        if isinstance(shape, StructureShape):
            if shape.metadata.get("document"):
                return _same
            return self.structure(shape, list(shape.members))
        if isinstance(shape, ListShape):
            return _list_reader(self.reader(shape.member))
        if isinstance(shape, MapShape):
            return _map_reader(self.reader(shape.value))
        if shape.type_name == "timestamp":
            return timestamp_reader(shape.serialization.get("timestampFormat", UNIX))
        return _SCALAR_READERS[shape.type_name]

    def structure(self, shape: StructureShape, names: list[str]) -> Convert:
        """Make the reader of some members of a structure; null and unknown members are passed over."""
        whole = len(names) == len(shape.members)
        if whole and shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, Convert]] = {}
        read = _structure_reader(members)
        if whole:
            self._structures[shape.name] = read
        for name in names:
            member = shape.members[name]
            members[member.serialization.get("name", name)] = (name, self.reader(member))
        return read


class JsonWriters:
    """The writers of one service; what they return goes to `msgspec.json.encode`, which writes bytes as base64."""

    def __init__(self) -> None:
        self._structures: dict[str, Convert] = {}

    def writer(self, shape: Shape) -> Convert:
        """Make, or find, the writer of a shape."""
        if isinstance(shape, StructureShape):
            return _same if shape.metadata.get("document") else self.structure(shape, list(shape.members))
        if isinstance(shape, ListShape):
            return _list_writer(self.writer(shape.member))
        if isinstance(shape, MapShape):
            return _map_writer(self.writer(shape.value))
        if shape.type_name == "timestamp":
            return timestamp_writer(shape.serialization.get("timestampFormat", UNIX))
        return _same

    def structure(self, shape: StructureShape, names: list[str]) -> Convert:
        """Make the writer of some members of a structure; members that are None are left out."""
        whole = len(names) == len(shape.members)
        if whole and shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, Convert]] = {}
        write = _structure_writer(members)
        if whole:
            self._structures[shape.name] = write
        for name in names:
            member = shape.members[name]
            members[name] = (member.serialization.get("name", name), self.writer(member))
        return write


def _structure_reader(members: dict[str, tuple[str, Convert]]) -> Convert:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Malformed(place="", expected="a structure")
        found: dict[str, Any] = {}
        for wire_name, item in value.items():
            if item is None or (member := members.get(wire_name)) is None:
                continue
            name, convert = member
            try:
                found[name] = convert(item)
            except Malformed as error:
                raise error.within(name) from error
        return found

    return read


def _list_reader(convert: Convert) -> Convert:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Malformed(place="", expected="a list")
        found = []
        for index, item in enumerate(value):
            try:
                found.append(convert(item))
            except Malformed as error:
                raise error.within(str(index)) from error
        return found

    return read


def _map_reader(convert: Convert) -> Convert:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Malformed(place="", expected="a map")
        found: dict[str, Any] = {}
        for key, item in value.items():
            if item is None:
                continue
            try:
                found[key] = convert(item)
            except Malformed as error:
                raise error.within(key) from error
        return found

    return read


def _structure_writer(members: dict[str, tuple[str, Convert]]) -> Convert:
    def write(value: Any) -> dict[str, Any]:
        written = {}
        for name, item in value.items():
            if item is not None:
                wire_name, convert = members[name]
                written[wire_name] = item if convert is _same else convert(item)
        return written

    return write


def _list_writer(convert: Convert) -> Convert:
    return _same if convert is _same else lambda value: [convert(item) for item in value]


def _map_writer(convert: Convert) -> Convert:
    return _same if convert is _same else lambda value: {key: convert(item) for key, item in value.items()}


def _same(value: Any) -> Any:
    return value


def _read_string(value: Any) -> str:
    if type(value) is not str:
        raise Malformed(place="", expected="a string")
    return value


def _read_integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise Malformed(place="", expected="an integer")


def _read_float(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    if type(value) is str and value in _FLOAT_WORDS:
        return _FLOAT_WORDS[value]
    raise Malformed(place="", expected="a number")


def _read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Malformed(place="", expected="true or false")
    return value


def _read_blob(value: Any) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Malformed(place="", expected="base64 text") from error


_SCALAR_READERS: dict[str, Convert] = {
    "string": _read_string,
    "character": _read_string,
    "integer": _read_integer,
    "long": _read_integer,
    "float": _read_float,
    "double": _read_float,
    "boolean": _read_boolean,
    "blob": _read_blob,
}
