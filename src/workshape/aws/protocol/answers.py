"""What an upstream answered, read back into an operation's output: for operations that add ours to theirs."""

from typing import Any

from botocore.awsrequest import HeadersDict
from botocore.model import ServiceModel
from botocore.parsers import ResponseParserError, create_parser

from workshape.http1.message import Response


def read_answer(model: ServiceModel, protocol: str, operation: str, response: Response) -> dict[str, Any] | None:
    """Read a response of the protocol the request was made in; None when it is an error, or not readable."""
    shape = model.operation_model(operation).output_shape
    assert shape is not None, "what has no output has nothing to add to"
    if response.status >= 300 or not isinstance(response.body, bytes):
        return None
    wire = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}
    try:
        found: dict[str, Any] = create_parser(protocol).parse(wire, shape)
    except ResponseParserError:
        return None
    found.pop("ResponseMetadata", None)
    return found
