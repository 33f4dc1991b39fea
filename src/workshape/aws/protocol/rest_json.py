"""The protocol restJson1: operations by method and path, members in path, query, headers and a JSON body.

Source: https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
Source: https://smithy.io/2.0/spec/http-bindings.html
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from workshape.aws.protocol.codec import Labels, WireFault, request_id_header
from workshape.aws.protocol.constraints import Constraints
from workshape.aws.protocol.errors import Malformed, UnknownOperation, UnreadableBody
from workshape.aws.protocol.event_stream import CONTENT_TYPE, EventWriter
from workshape.aws.protocol.faults import FaultMembers
from workshape.aws.protocol.json_shapes import JsonReaders, JsonWriters
from workshape.aws.protocol.paths import PathTable
from workshape.aws.protocol.per_operation import PerOperation
from workshape.aws.protocol.timestamps import HTTP, ISO, timestamp_reader, timestamp_writer
from workshape.http1.message import HeaderPairs, Request, Response

_JSON: HeaderPairs = (("content-type", "application/json"),)
_EVENTS: HeaderPairs = (("content-type", CONTENT_TYPE),)
_BOOLEANS = {"true": True, "false": False}


class RestJsonCodec:
    """One service in restJson1."""

    protocol = "rest-json"

    def __init__(self, model: ServiceModel) -> None:
        self._service = model.service_name
        self._paths = PathTable()
        self._by_query: dict[str, dict[str, str]] = {}
        """By operation: those that share its method and path, by the constant in their query (`List=ALL`)."""
        readers, writers, constraints = JsonReaders(), JsonWriters(), Constraints()
        self._readers = PerOperation(model, lambda operation: _InputReader(operation, readers, constraints))
        self._writers = PerOperation(model, lambda operation: _OutputWriter(operation, writers))
        self._add_paths({name: model.operation_model(name).http for name in model.operation_names})
        self._faults = FaultMembers(model, writers)

    def __repr__(self) -> str:
        return f"<RestJsonCodec {self._service} compiled={len(self._readers)}>"

    def accepts(self, request: Request) -> bool:
        """There is nothing else for such a service."""
        return True

    def route(self, request: Request) -> tuple[str, Labels]:
        """Name the operation by method and path."""
        found = self._paths.find(request.method, request.raw_path)
        if found is None:
            raise UnknownOperation(service=self._service, operation=f"{request.method} {request.path}")
        name, labels = found
        if name in self._by_query:
            others = self._by_query[name]
            name = next((others[item] for item in request.query.split("&") if item in others), name)
        return name, labels

    def _add_paths(self, bindings: Mapping[str, Mapping[str, str]]) -> None:
        with_query = {}
        for name, http in bindings.items():
            path, _, query = http["requestUri"].partition("?")
            if query:
                with_query[name] = (http["method"], path, query)
            else:
                self._paths.add(http["method"], path, name)
        for name, (method, path, query) in with_query.items():
            shared = self._paths.find(method, path)
            if shared is None:
                self._paths.add(method, path, name)
            else:
                self._by_query.setdefault(shared[0], {})[query] = name

    def read(self, operation: str, labels: Labels, request: Request) -> dict[str, Any]:
        """Read the input from wherever its members are bound."""
        return self._readers[operation].read(labels, request)

    def write(self, operation: str, output: Mapping[str, Any], request_id: str) -> Response:
        """Write the output to wherever its members are bound."""
        return self._writers[operation].write(output, request_id)

    def write_fault(self, fault: WireFault, request_id: str) -> Response:
        """Write an error: its name in a header, its members in the body."""
        kind = ("x-amzn-ErrorType", fault.code)
        headers = (*request_id_header(request_id), *_JSON, kind, *self._faults.headers(fault))
        return Response(fault.status, headers, msgspec.json.encode(self._faults.body(fault)))


class _InputReader:
    def __init__(self, operation: OperationModel, readers: JsonReaders, constraints: Constraints) -> None:
        shape = operation.input_shape
        self._check = constraints.check_input(shape)
        self._literals = frozenset(parse_qs(operation.http["requestUri"].partition("?")[2], keep_blank_values=True))
        self._uri: list[tuple[str, str, Callable[[str], Any]]] = []
        self._query: list[tuple[str, str, Callable[[list[str]], Any]]] = []
        self._rest_of_query = ""
        self._headers: dict[str, tuple[str, Callable[[str], Any]]] = {}
        self._body: Callable[[bytes], dict[str, Any]] = lambda _body: {}
        if shape is None:
            return
        body_names = []
        for name, member in shape.members.items():
            wire_name = member.serialization.get("name", name)
            match member.serialization.get("location"):
                case "uri":
                    self._uri.append((name, wire_name, _text_reader(member, ISO)))
                case "querystring" if isinstance(member, MapShape):
                    self._rest_of_query = name
                case "querystring":
                    self._query.append((name, wire_name, _query_reader(member)))
                case "header":
                    self._headers[wire_name.lower()] = (name, _text_reader(member, HTTP))
                case None:
                    body_names.append(name)
                case location:
                    raise NotImplementedError(f"no member of ours is bound to {location}: {shape.name}.{name}")
        self._body = _body_reader(shape, body_names, readers)

    def read(self, labels: Labels, request: Request) -> dict[str, Any]:
        found = self._body(request.body)
        for name, wire_name, convert in self._uri:
            found[name] = _converted(convert, labels[wire_name], name)
        if (self._query or self._rest_of_query) and (query := request.query):
            values = parse_qs(query, keep_blank_values=True)
            for name, wire_name, convert_all in self._query:
                if wire_name in values:
                    found[name] = _converted(convert_all, values.pop(wire_name), name)
            if self._rest_of_query:  # https://smithy.io/2.0/spec/http-bindings.html#httpqueryparams-trait
                more = {name: texts[0] for name, texts in values.items() if name not in self._literals}
                found[self._rest_of_query] = more
        if self._headers:
            for header, value in request.headers:
                if header in self._headers:
                    name, convert = self._headers[header]
                    found[name] = _converted(convert, value, name)
        self._check(found)
        return found


class _OutputWriter:
    def __init__(self, operation: OperationModel, writers: JsonWriters) -> None:
        shape = operation.output_shape
        self._status = int(operation.http.get("responseCode", 200))
        self._status_member = ""
        self._headers: dict[str, tuple[str, Callable[[Any], str]]] = {}
        self._payload = shape.serialization.get("payload", "") if shape is not None else ""
        self._is_raw = False
        self._events: EventWriter | None = None
        self._write_body: Callable[[Any], Any] | None = None
        if shape is None:
            return
        body_names = []
        for name, member in shape.members.items():
            match member.serialization.get("location"):
                case "header":
                    self._headers[name] = (member.serialization.get("name", name), _text_writer(member))
                case "statusCode":
                    self._status_member = name
                case _:
                    body_names.append(name)
        if self._payload:
            member = shape.members[self._payload]
            self._is_raw = member.type_name in ("blob", "string")
            if isinstance(member, StructureShape) and member.serialization.get("eventstream"):
                self._events = EventWriter(member, writers)
                return
            self._write_body = writers.writer(member)
        elif body_names:
            self._write_body = writers.structure(shape, body_names)

    def write(self, output: Mapping[str, Any], request_id: str) -> Response:
        events = output.get(self._payload) if self._events is not None else None
        headers = [*request_id_header(request_id), *(_JSON if events is None else _EVENTS)]
        for name, (wire_name, convert) in self._headers.items():
            if (value := output.get(name)) is not None:
                headers.append((wire_name, convert(value)))
        status = self._status
        if self._status_member and (said := output.get(self._status_member)) is not None:
            status = said
        if self._events is not None and events is not None:
            return Response(status, tuple(headers), self._events.write(events))
        return Response(status, tuple(headers), self._body(output) if status != 204 else b"")

    def _body(self, output: Mapping[str, Any]) -> bytes:
        if self._payload:
            value = output.get(self._payload)
            if self._is_raw:
                return value.encode() if isinstance(value, str) else value or b""
            return msgspec.json.encode(self._write_body(value)) if self._write_body and value is not None else b""
        if self._write_body is None:
            return b""
        elsewhere = (*self._headers, self._status_member)
        return msgspec.json.encode(self._write_body({name: output[name] for name in output if name not in elsewhere}))


def _body_reader(shape: StructureShape, names: list[str], readers: JsonReaders) -> Callable[[bytes], dict[str, Any]]:
    payload = shape.serialization.get("payload")
    if payload is None:
        if not names:
            return lambda _body: {}
        read_members = readers.structure(shape, names)
        return lambda body: read_members(_decoded(body)) if body else {}
    member = shape.members[payload]
    if member.type_name == "blob":
        return lambda body: {payload: body} if body else {}
    if member.type_name == "string":
        return lambda body: {payload: body.decode(errors="replace")} if body else {}
    read_value = readers.reader(member)
    return lambda body: {payload: _converted(read_value, _decoded(body), payload)} if body else {}


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested thousands deep
        raise UnreadableBody(reason=str(error)) from error


def _converted(convert: Callable[[Any], Any], value: Any, name: str) -> Any:
    try:
        return convert(value)
    except Malformed as error:
        raise error.within(name) from error


def _query_reader(shape: Shape) -> Callable[[list[str]], Any]:
    if isinstance(shape, ListShape):
        convert = _text_reader(shape.member, ISO)
        return lambda values: [convert(value) for value in values]
    convert = _text_reader(shape, ISO)
    return lambda values: convert(values[0])


def _text_reader(shape: Shape, timestamp_format: str) -> Callable[[str], Any]:
    """Choose how a path label, query value or header is read."""
    match shape.type_name:
        case "integer" | "long":
            return lambda text: _number(int, text, "an integer")
        case "float" | "double":
            return lambda text: _number(float, text, "a number")
        case "boolean":
            return _read_boolean
        case "timestamp":
            return timestamp_reader(shape.serialization.get("timestampFormat", timestamp_format))
        case "string" if shape.serialization.get("jsonvalue"):
            return lambda text: b64decode(text).decode()
        case "list":
            assert isinstance(shape, ListShape)
            convert = _text_reader(shape.member, timestamp_format)
            return lambda text: [convert(part.strip()) for part in text.split(",")]
        case _:
            return str


def _text_writer(shape: Shape) -> Callable[[Any], str]:
    """Choose how a header is written."""
    match shape.type_name:
        case "boolean":
            return lambda value: "true" if value else "false"
        case "timestamp":
            write = timestamp_writer(shape.serialization.get("timestampFormat", HTTP))
            return lambda value: str(write(value))
        case "blob":
            return lambda value: b64encode(value).decode()
        case "list":
            return lambda values: ",".join(map(str, values))
        case _:
            return str


def _number(convert: Callable[[str], Any], text: str, expected: str) -> Any:
    try:
        return convert(text)
    except ValueError as error:
        raise Malformed(place="", expected=expected) from error


def _read_boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise Malformed(place="", expected="true or false")
    return _BOOLEANS[text]
