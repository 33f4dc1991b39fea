"""Values in XML, by the shapes of a service model: what the query protocol answers with. Compiled once.

Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#response-serialization
Source: https://smithy.io/2.0/spec/protocol-traits.html#xml-bindings
"""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from workshape.aws.protocol.query_layout import QueryLayout
from workshape.aws.protocol.timestamps import ISO, timestamp_writer
from workshape.aws.protocol.xml_text import escaped

Write = Callable[[str, Any], str]
"""Takes the element's name and the value, returns the element."""


class XmlWriters:
    """The writers of one service. A structure's is made once: structures may contain themselves."""

    def __init__(self, layout: QueryLayout) -> None:
        self._layout = layout
        self._structures: dict[str, Write] = {}

    def result_writer(self, shape: StructureShape | None, wrapper: str) -> Callable[[Any], str]:
        """Make the writer of an operation's whole output; no output, no element."""
        if shape is None:
            return lambda _output: ""
        write = self._writer(shape)
        return lambda output: write(wrapper, output)

    def _writer(self, shape: Shape) -> Write:
        if isinstance(shape, StructureShape):
            return self._structure_writer(shape)
        if isinstance(shape, ListShape):
            element_name = None if self._layout.is_flat(shape) else self._layout.element_name(shape)
            return _list_writer(element_name, self._writer(shape.member))
        if isinstance(shape, MapShape):
            entry_name = None if self._layout.is_flat(shape) else "entry"
            key_name, value_name = self._layout.entry_names(shape)
            return _map_writer(entry_name, key_name, value_name, self._writer(shape.value))
        text = _text(shape)
        return lambda name, value: f"<{name}>{text(value)}</{name}>"

    def _structure_writer(self, shape: StructureShape) -> Write:
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, Write]] = {}

        def write(name: str, value: Any) -> str:
            parts = []
            for member, item in value.items():
                if item is not None:
                    wire_name, write_member = members[member]
                    parts.append(write_member(wire_name, item))
            return f"<{name}>{''.join(parts)}</{name}>"

        self._structures[shape.name] = write
        for member_name, member in shape.members.items():
            members[member_name] = (self._layout.member_name(member_name, member), self._writer(member))
        return write


def _list_writer(element_name: str | None, write: Write) -> Write:
    if element_name is None:
        return lambda name, values: "".join(write(name, value) for value in values)
    return lambda name, values: f"<{name}>{''.join(write(element_name, value) for value in values)}</{name}>"


def _map_writer(entry_name: str | None, key_name: str, value_name: str, write: Write) -> Write:
    def entry(name: str, key: Any, value: Any) -> str:
        return f"<{name}><{key_name}>{escaped(key)}</{key_name}>{write(value_name, value)}</{name}>"

    if entry_name is None:
        return lambda name, values: "".join(entry(name, key, value) for key, value in values.items())
    return lambda name, values: (
        f"<{name}>{''.join(entry(entry_name, key, value) for key, value in values.items())}</{name}>"
    )


def _text(shape: Shape) -> Callable[[Any], str]:
    match shape.type_name:
        case "boolean":
            return lambda value: "true" if value else "false"
        case "blob":
            return lambda value: b64encode(value).decode()
        case "timestamp":
            write = timestamp_writer(shape.serialization.get("timestampFormat", ISO))
            return lambda value: str(write(value))
        case _:
            return escaped
