"""The protocol awsQuery: a form with `Action` in, XML out.

Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from workshape.aws.protocol.codec import Labels, WireFault, request_id_header
from workshape.aws.protocol.constraints import Constraints
from workshape.aws.protocol.errors import Malformed, UnknownOperation
from workshape.aws.protocol.per_operation import PerOperation
from workshape.aws.protocol.query_layout import QueryLayout
from workshape.aws.protocol.timestamps import ISO, timestamp_reader
from workshape.aws.protocol.xml_shapes import XmlWriters
from workshape.aws.protocol.xml_text import escaped
from workshape.http1.message import HeaderPairs, Request, Response

Fields = dict[str, Any]
"""Form fields by the first part of their dotted names: text, or further fields."""
Read = Callable[[Any], Any]

DEPTH_MAX = 32  # parts of a dotted name: far more than any model nests
_NUMBER = re.compile(r"-?[0-9]{1,19}")
"""Up to 64 bits, in digits that no other character stands for."""
_FORM = "application/x-www-form-urlencoded"
_XML: HeaderPairs = (("content-type", "text/xml"),)
_NO_LABELS: Labels = {}
_QUEUE_PATH_PARTS = 2


class QueryCodec:
    """One service in awsQuery."""

    protocol = "query"

    def __init__(self, model: ServiceModel) -> None:
        self._service = model.service_name
        layout = QueryLayout.of(model)
        self._names_lost = layout.names_lost
        self._form_readers, self._xml_writers, self._constraints = (
            _QueryReaders(layout),
            XmlWriters(layout),
            Constraints(),
        )
        version = model.metadata["apiVersion"]
        self._namespace = model.metadata.get("xmlNamespace", f"http://queue.amazonaws.com/doc/{version}/")
        self._operations = frozenset(model.operation_names)
        self._readers = PerOperation(model, self._reader)
        self._writers = PerOperation(model, self._writer)

    def __repr__(self) -> str:
        return f"<QueryCodec {self._service} operations={len(self._operations)}>"

    def accepts(self, request: Request) -> bool:
        """Requests in this protocol are forms, or have the form's fields in the query."""
        return request.header("content-type").startswith(_FORM) or "Action=" in request.query

    def route(self, request: Request) -> tuple[str, Labels]:
        """Name the operation by the field `Action`."""
        operation = next((value for name, value in _fields(request) if name == "Action"), "")
        if operation not in self._operations:
            raise UnknownOperation(service=self._service, operation=operation or "(no Action)")
        return operation, _NO_LABELS

    def read(self, operation: str, labels: Labels, request: Request) -> dict[str, Any]:
        """Read the input from the form."""
        convert, check = self._readers[operation]
        form = _nested(_fields(request))
        if self._names_lost and "QueueUrl" not in form and request.path.count("/") >= _QUEUE_PATH_PARTS:
            # Older clients send a request to the queue's own URL.
            form["QueueUrl"] = f"http://{request.header('host')}{request.path}"
        found: dict[str, Any] = convert(form)
        check(found)
        return found

    def write(self, operation: str, output: Mapping[str, Any], request_id: str) -> Response:
        """Write the output as XML."""
        body = (
            f'<?xml version="1.0"?><{operation}Response xmlns="{self._namespace}">{self._writers[operation](output)}'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
        )
        return Response(200, (*request_id_header(request_id), *_XML), body.encode())

    def write_fault(self, fault: WireFault, request_id: str) -> Response:
        """Write an error as XML."""
        body = (
            f'<?xml version="1.0"?><ErrorResponse xmlns="{self._namespace}"><Error><Type>{fault.blame}</Type>'
            f"<Code>{escaped(fault.query_code or fault.code)}</Code><Message>{escaped(fault.message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Response(fault.status, (*request_id_header(request_id), *_XML), body.encode())

    def _reader(self, operation: OperationModel) -> tuple[Read, Read]:
        given = operation.input_shape
        check = self._constraints.check_input(None if self._names_lost else given)
        return self._form_readers.reader(given) if given is not None else _no_members, check

    def _writer(self, operation: OperationModel) -> Callable[[Any], str]:
        returned = operation.output_shape
        wrapper = returned.serialization.get("resultWrapper") if returned is not None else ""
        return self._xml_writers.result_writer(returned, wrapper or f"{operation.name}Result")


class _QueryReaders:
    """The readers of one service's inputs. A structure's is made once: structures may contain themselves."""

    def __init__(self, layout: QueryLayout) -> None:
        self._layout = layout
        self._structures: dict[str, Read] = {}

    def reader(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return self._structure_reader(shape)
        if isinstance(shape, ListShape):
            name = None if self._layout.is_flat(shape) else self._layout.element_name(shape)
            return _list_reader(name, self.reader(shape.member))
        if isinstance(shape, MapShape):
            name = None if self._layout.is_flat(shape) else "entry"
            return _map_reader(name, self._layout.entry_names(shape), self.reader(shape.key), self.reader(shape.value))
        return _scalar_reader(shape)

    def _structure_reader(self, shape: StructureShape) -> Read:
        if shape.name in self._structures:
            return self._structures[shape.name]
        members: dict[str, tuple[str, Read]] = {}

        def read(value: Any) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise Malformed(place="", expected="a structure")
            found = {}
            for wire_name, item in value.items():
                if wire_name not in members:
                    continue
                name, convert = members[wire_name]
                try:
                    found[name] = convert(item)
                except Malformed as error:
                    raise error.within(name) from error
            return found

        self._structures[shape.name] = read
        for name, member in shape.members.items():
            members[self._layout.member_name(name, member)] = (name, self.reader(member))
        return read


def _fields(request: Request) -> list[tuple[str, str]]:
    form = request.body.decode(errors="replace") if request.body else request.query
    return parse_qsl(form, keep_blank_values=True)


def _nested(fields: list[tuple[str, str]]) -> Fields:
    """Take dotted names apart: `A.1.B=x` becomes `{"A": {"1": {"B": "x"}}}`."""
    root: Fields = {}
    for name, value in fields:
        parts = name.split(".")
        if len(parts) > DEPTH_MAX:
            raise Malformed(place=".".join(parts[:3]), expected="a parameter's name")
        node = root
        for part in parts[:-1]:
            below = node.get(part)
            if not isinstance(below, dict):  # `A=` beside `A.1=`: an empty list, then its elements
                below = node[part] = {}
            node = below
        if not isinstance(node.get(parts[-1]), dict):
            node[parts[-1]] = value
    return root


def _list_reader(element_name: str | None, convert: Read) -> Read:
    def read(value: Any) -> list[Any]:
        found = []
        for number, item in _numbered(value, element_name):
            try:
                found.append(convert(item))
            except Malformed as error:
                raise error.within(number) from error
        return found

    return read


def _map_reader(entry_name: str | None, names: tuple[str, str], key_reader: Read, value_reader: Read) -> Read:
    key_name, value_name = names

    def read(value: Any) -> dict[Any, Any]:
        found = {}
        for number, entry in _numbered(value, entry_name):
            if not isinstance(entry, dict) or key_name not in entry or value_name not in entry:
                raise Malformed(place=number, expected=f"an entry of {key_name} and {value_name}")
            try:
                found[key_reader(entry[key_name])] = value_reader(entry[value_name])
            except Malformed as error:
                raise error.within(number) from error
        return found

    return read


def _numbered(value: Any, element_name: str | None) -> list[tuple[str, Any]]:
    """Return a list's elements in the order of their numbers."""
    if value == "":
        return []
    if isinstance(value, dict) and element_name is not None:
        # The model's own name of the elements, or the protocol's default one.
        value = value.get(element_name, value.get("member", {}))
    if not isinstance(value, dict) or not all(map(_NUMBER.fullmatch, value)):
        raise Malformed(place="", expected="numbered elements")
    return sorted(value.items(), key=lambda item: int(item[0]))


def _scalar_reader(shape: Shape) -> Read:
    match shape.type_name:
        case "integer" | "long":
            convert: Callable[[str], Any] = _read_integer
        case "float" | "double":
            convert = float
        case "boolean":
            convert = {"true": True, "false": False, "True": True, "False": False}.__getitem__
        case "blob":
            convert = b64decode
        case "timestamp":
            convert = timestamp_reader(shape.serialization.get("timestampFormat", ISO))
        case _:
            convert = str

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise Malformed(place="", expected=f"a {shape.type_name}")
        try:
            return convert(value)
        except (ValueError, KeyError) as error:
            raise Malformed(place="", expected=f"a {shape.type_name}") from error

    return read


def _read_integer(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _no_members(_value: Any) -> dict[str, Any]:
    return {}
