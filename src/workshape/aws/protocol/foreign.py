"""Errors of the door itself on behalf of a service that is not ours, in the form its clients most likely read."""

import msgspec

from workshape.aws.protocol.codec import WireFault, request_id_header
from workshape.aws.protocol.xml_text import escaped
from workshape.http1.message import Request, Response


def foreign_fault(request: Request, service: str, fault: WireFault, request_id: str) -> Response:
    """Write an error: JSON to those who speak JSON, else XML as S3 or as the query protocol have it."""
    content_type = request.header("content-type")
    headers = request_id_header(request_id)
    if request.header("x-amz-target") or "json" in content_type:
        kind = ("x-amzn-ErrorType", fault.code)
        body = msgspec.json.encode({"__type": fault.code, "message": fault.message})
        return Response(fault.status, (*headers, ("content-type", content_type or "application/json"), kind), body)
    code, message = escaped(fault.code), escaped(fault.message)
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "s3":
        text = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    else:
        blame = f"<Type>{fault.blame}</Type>"
        text = f"<ErrorResponse><Error>{blame}{error}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    return Response(fault.status, (*headers, ("content-type", "application/xml")), text.encode())
