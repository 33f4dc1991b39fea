"""What a service of ours offers the front door: its operations, and how its errors are written.

A service module builds one `Service`; the door finds the operation by name, parses the request by botocore's
service model of `Service.model`, awaits the operation, and serialises what it returns by the same model.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from workshape.errors import CallerError, WorkshapeError


class NotOurs(CallerError):
    """{kind} {name} is not workshape's own.

    Raised by an operation of a shared service: whoever stands upstream is to answer the request.
    """

    kind: str
    name: str


AskUpstream = Callable[[], Awaitable[dict[str, Any] | None]]


async def nobody() -> dict[str, Any] | None:
    """Stand for the upstream where there is none."""
    return None


class Call(msgspec.Struct, frozen=True):
    """Who calls, and where: what an operation may need beside its input."""

    account: str
    region: str
    request_id: str
    endpoint: str
    """The URL this front door is reached at, without a trailing slash: `http://127.0.0.1:4566`."""
    trace_id: str = ""
    """The X-Ray trace header the caller sent, if any."""
    ask_upstream: AskUpstream = nobody
    """Returns what the upstream answers to this very request, shaped as the operation's output; None when nobody
    answers for the service there, or not well."""


Operation = Callable[[Call, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Takes the input and returns the output, both shaped as the service model says (as boto3's are)."""


@dataclass(frozen=True, slots=True)
class WireError:
    """How an error reads on the wire: the exception's name in the service model, and the HTTP status."""

    code: str
    status: int
    members: Callable[[Any], dict[str, Any]] | None = None
    """Further members of the modelled exception (e.g. Lambda's `Type`, `Reason`), taken from the error."""
    query_code: str = ""
    """Its name in the older query protocol, where that differs: the `Code` in the XML, and in the JSON protocol the
    header `x-amzn-query-error`. Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
    """


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS service answered here: model name as botocore's data folder has it (`lambda`, `sqs`)."""

    model: str
    operations: Mapping[str, Operation]
    errors: Mapping[type[WorkshapeError], WireError] = field(default_factory=dict)
    """Looked up along the error's class hierarchy, nearest first; what is absent is an internal failure."""
    is_shared: bool = False
    """Only some of its things are ours: operations that are not here, or raise `NotOurs`, go on to the upstream."""
