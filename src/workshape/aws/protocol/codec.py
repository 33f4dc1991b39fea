"""What a wire protocol does for the door, whichever it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from workshape.http1.message import HeaderPairs, Request, Response

REQUEST_ID_HEADER = "x-amzn-RequestId"
Labels = Mapping[str, str]
"""The parts of the path that a REST operation names, percent-decoded, by member."""


@dataclass(frozen=True, slots=True)
class WireFault:
    """An error, ready to be written."""

    code: str
    """The exception's name in the service model."""
    status: int
    message: str
    members: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the exception, by their names in the model."""
    query_code: str = ""
    """The code in the query protocol, where it differs."""

    @property
    def blame(self) -> str:
        """Whose fault it is, as the query protocol says it."""
        return "Sender" if self.status < 500 else "Receiver"


class Codec(Protocol):
    """One service in one protocol. All of it is a function of the request: nothing is kept between requests."""

    protocol: str
    """As botocore names it."""

    def accepts(self, request: Request) -> bool:
        """Tell whether the request is in this protocol; asked only of a request to this service."""

    def route(self, request: Request) -> tuple[str, Labels]:
        """Name the operation.

        Raises:
            UnknownOperation: the service has none such.
        """

    def read(self, operation: str, labels: Labels, request: Request) -> dict[str, Any]:
        """Read the operation's input.

        Raises:
            UnreadableBody, Malformed: it does not have the shape of the model.
            ConstraintsViolated: it has, but members are missing or out of their bounds.
        """

    def write(self, operation: str, output: Mapping[str, Any], request_id: str) -> Response:
        """Write the operation's output."""

    def write_fault(self, fault: WireFault, request_id: str) -> Response:
        """Write an error."""


def request_id_header(request_id: str) -> HeaderPairs:
    """The header that every response carries."""
    return ((REQUEST_ID_HEADER, request_id),)
