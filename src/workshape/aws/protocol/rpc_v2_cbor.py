"""The protocol rpcv2Cbor: the operation in the path, everything else in a CBOR body.

Source: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import cbor2
from botocore.model import OperationModel, ServiceModel, Shape

from workshape.aws.protocol.codec import Labels, WireFault, request_id_header
from workshape.aws.protocol.constraints import Constraints
from workshape.aws.protocol.errors import Malformed, UnknownOperation, UnreadableBody
from workshape.aws.protocol.faults import FaultMembers
from workshape.aws.protocol.json_shapes import JsonReaders, JsonWriters
from workshape.aws.protocol.per_operation import PerOperation
from workshape.aws.protocol.timestamps import moment
from workshape.http1.message import HeaderPairs, Request, Response

Convert = Callable[[Any], Any]
PROTOCOL_HEADER = ("smithy-protocol", "rpc-v2-cbor")
_HEADERS: HeaderPairs = (PROTOCOL_HEADER, ("content-type", "application/cbor"))
_NO_LABELS: Labels = {}


class CborCodec:
    """One service in rpcv2Cbor."""

    protocol = "smithy-rpc-v2-cbor"

    def __init__(self, model: ServiceModel) -> None:
        self._service = model.service_name
        self._namespace = f"com.amazonaws.{model.service_name}#"
        self._query_compatible = "awsQueryCompatible" in model.metadata
        self._operations = frozenset(model.operation_names)
        self._cbor_readers, self._cbor_writers, self._constraints = _CborReaders(), _CborWriters(), Constraints()
        self._readers = PerOperation(model, self._reader)
        self._writers = PerOperation(model, self._writer)
        self._faults = FaultMembers(model, self._cbor_writers)

    def __repr__(self) -> str:
        return f"<CborCodec {self._service} operations={len(self._operations)}>"

    def accepts(self, request: Request) -> bool:
        """Requests in this protocol say so in a header."""
        return PROTOCOL_HEADER in request.headers

    def route(self, request: Request) -> tuple[str, Labels]:
        """Name the operation by the path: `/service/NAME/operation/OPERATION`."""
        before, _, operation = request.path.rpartition("/operation/")
        if operation not in self._operations or "/service/" not in before:
            raise UnknownOperation(service=self._service, operation=operation or request.path)
        return operation, _NO_LABELS

    def read(self, operation: str, labels: Labels, request: Request) -> dict[str, Any]:
        """Read the input from the body."""
        convert, check = self._readers[operation]
        try:
            decoded = cbor2.loads(request.body) if request.body else {}
        except (cbor2.CBORDecodeError, RecursionError) as error:  # the last: nested thousands deep
            raise UnreadableBody(reason=str(error)) from error
        found: dict[str, Any] = convert(decoded)
        check(found)
        return found

    def write(self, operation: str, output: Mapping[str, Any], request_id: str) -> Response:
        """Write the output as the body."""
        return Response(200, (*request_id_header(request_id), *_HEADERS), _encoded(self._writers[operation](output)))

    def write_fault(self, fault: WireFault, request_id: str) -> Response:
        """Write an error; clients of the older query protocol find their code in a header."""
        headers = (*request_id_header(request_id), *_HEADERS)
        if self._query_compatible:
            headers = (*headers, ("x-amzn-query-error", f"{fault.query_code or fault.code};{fault.blame}"))
        body = {"__type": self._namespace + fault.code, **self._faults.body(fault)}
        return Response(fault.status, headers, _encoded(body))

    def _reader(self, operation: OperationModel) -> tuple[Convert, Convert]:
        given = operation.input_shape
        read = self._cbor_readers.reader(given) if given is not None else _no_members
        return read, self._constraints.check_input(given)

    def _writer(self, operation: OperationModel) -> Convert:
        returned = operation.output_shape
        return self._cbor_writers.writer(returned) if returned is not None else _no_members


class _CborReaders(JsonReaders):
    """CBOR has types of its own for moments and bytes; the rest is read as in JSON."""

    def reader(self, shape: Shape) -> Convert:
        match shape.type_name:
            case "timestamp":
                return _read_moment
            case "blob":
                return _read_bytes
            case _:
                return super().reader(shape)


class _CborWriters(JsonWriters):
    def writer(self, shape: Shape) -> Convert:
        return moment if shape.type_name == "timestamp" else super().writer(shape)


def _read_moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise Malformed(place="", expected="a timestamp (tag 1)")
    return value


def _read_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed(place="", expected="a byte string")
    return value


def _encoded(value: Any) -> bytes:
    return cbor2.dumps(value, datetime_as_timestamp=True)


def _no_members(_value: Any) -> dict[str, Any]:
    return {}
