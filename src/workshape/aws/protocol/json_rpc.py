"""The protocols awsJson1_0 and awsJson1_1: the operation in X-Amz-Target, everything else in a JSON body.

Source: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#awsquerycompatible-trait (x-amzn-query-error)
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from botocore.model import OperationModel, ServiceModel

from workshape.aws.protocol.codec import Labels, WireFault, request_id_header
from workshape.aws.protocol.constraints import Constraints
from workshape.aws.protocol.errors import UnknownOperation, UnreadableBody
from workshape.aws.protocol.faults import FaultMembers
from workshape.aws.protocol.json_shapes import JsonReaders, JsonWriters
from workshape.aws.protocol.per_operation import PerOperation
from workshape.aws.protocol.query_layout import QueryLayout
from workshape.http1.message import Request, Response

Convert = Callable[[Any], Any]
_NO_LABELS: Labels = {}


class JsonRpcCodec:
    """One service in awsJson. A service whose query names are lost words missing parameters itself: no checks here."""

    protocol = "json"

    def __init__(self, model: ServiceModel) -> None:
        self._service = model.service_name
        self._namespace = f"com.amazonaws.{model.service_name}#"
        self._query_compatible = "awsQueryCompatible" in model.metadata
        self._content_type = ("content-type", f"application/x-amz-json-{model.metadata['jsonVersion']}")
        self._operations = frozenset(model.operation_names)
        self._names_lost = QueryLayout.of(model).names_lost
        self._json_readers, self._json_writers, self._constraints = JsonReaders(), JsonWriters(), Constraints()
        self._readers = PerOperation(model, self._reader)
        self._writers = PerOperation(model, self._writer)
        self._faults = FaultMembers(model, self._json_writers)

    def __repr__(self) -> str:
        return f"<JsonRpcCodec {self._service} operations={len(self._operations)}>"

    def accepts(self, request: Request) -> bool:
        """Requests in this protocol name a target."""
        return bool(request.header("x-amz-target"))

    def route(self, request: Request) -> tuple[str, Labels]:
        """Name the operation by the target: `Prefix.Operation`."""
        operation = request.header("x-amz-target").rpartition(".")[2]
        if operation not in self._operations:
            raise UnknownOperation(service=self._service, operation=operation)
        return operation, _NO_LABELS

    def read(self, operation: str, labels: Labels, request: Request) -> dict[str, Any]:
        """Read the input from the body."""
        convert, check = self._readers[operation]
        try:
            decoded = msgspec.json.decode(request.body) if request.body else {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested thousands deep
            raise UnreadableBody(reason=str(error)) from error
        found: dict[str, Any] = convert(decoded)
        check(found)
        return found

    def write(self, operation: str, output: Mapping[str, Any], request_id: str) -> Response:
        """Write the output as the body."""
        headers = (*request_id_header(request_id), self._content_type)
        return Response(200, headers, msgspec.json.encode(self._writers[operation](output)))

    def write_fault(self, fault: WireFault, request_id: str) -> Response:
        """Write an error; older clients of the query protocol find their code in a header."""
        headers = (*request_id_header(request_id), self._content_type)
        if self._query_compatible:
            headers = (*headers, ("x-amzn-query-error", f"{fault.query_code or fault.code};{fault.blame}"))
        body = {"__type": self._namespace + fault.code, **self._faults.body(fault)}
        return Response(fault.status, headers, msgspec.json.encode(body))

    def _reader(self, operation: OperationModel) -> tuple[Convert, Convert]:
        given = operation.input_shape
        check = self._constraints.check_input(None if self._names_lost else given)
        return self._json_readers.reader(given) if given is not None else _no_members, check

    def _writer(self, operation: OperationModel) -> Convert:
        returned = operation.output_shape
        return self._json_writers.writer(returned) if returned is not None else _no_members


def _no_members(_value: Any) -> dict[str, Any]:
    return {}
