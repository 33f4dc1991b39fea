"""A response that a runtime streams, as it arrives: chunk by chunk, and its error, if any, in the trailers.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

import binascii
from base64 import b64decode
from collections.abc import Callable

from workshape.functions.runtime_answers import (
    ACCEPTED,
    RESPONSE_BYTES_MAX,
    STREAMED_RESPONSE_BYTES_MAX,
    error_json,
    response_too_large,
)
from workshape.http1.message import HeaderPairs, Response
from workshape.http1.pieces import Pieces

MODE_HEADER = "lambda-runtime-function-response-mode"
ERROR_TYPE_HEADER = "lambda-runtime-function-error-type"
ERROR_BODY_TRAILER = "lambda-runtime-function-error-body"
STREAMING = "streaming"

Settle = Callable[[bytes, str | None], None]
"""Takes the response (empty when its pieces have been handed on), or the error's JSON and its type."""


class Arrival:
    """Takes the body of one streamed response: to the caller who reads it as it comes, else collected."""

    def __init__(self, pieces: Pieces | None, settle: Settle, torn: Callable[[], None]) -> None:
        """`pieces` is the reading caller's. One of the callables is called, once, unless `give_up` comes first."""
        self._pieces = pieces
        self._settle = settle
        self._torn = torn
        self._collected: list[bytes] = []
        self._bytes = 0
        self._bytes_max = RESPONSE_BYTES_MAX if pieces is None else STREAMED_RESPONSE_BYTES_MAX
        self._answer: Response | None = None

    def __repr__(self) -> str:
        return f"<Arrival bytes={self._bytes} answered={self._answer is not None}>"

    def data(self, piece: bytes) -> None:
        """Hand on a chunk; what comes after the end of the invocation, or over the limit, goes nowhere."""
        if self._answer is not None:
            return
        self._bytes += len(piece)
        if self._bytes > self._bytes_max:
            error, self._answer = response_too_large(self._bytes_max)
            self._collected.clear()
            self._let_go()
            self._settle(error, "")
        elif self._pieces is not None:
            self._pieces.push(piece)
        else:
            self._collected.append(piece)

    def end(self, trailers: HeaderPairs) -> Response:
        """Settle the invocation."""
        if self._answer is None:
            self._answer = ACCEPTED
            self._let_go()
            found = dict(reversed(trailers))
            error_type, error_body = found.get(ERROR_TYPE_HEADER, ""), found.get(ERROR_BODY_TRAILER, "")
            if error_type or error_body:
                self._settle(_error(error_type, error_body), error_type)
            else:
                self._settle(b"".join(self._collected), None)
        return self._answer

    def lost(self) -> None:
        """The connection broke before the end."""
        if self._answer is None:
            self._answer = ACCEPTED  # nobody is there to get it
            self._let_go()
            self._torn()

    def give_up(self, answer: Response) -> None:
        """The invocation has ended otherwise: take no more of its response, and say so at its end."""
        self._answer = self._answer or answer
        self._let_go()

    def _let_go(self) -> None:
        if self._pieces is not None:
            self._pieces.let_go()


class Unwanted:
    """Takes the body of a response that is refused, and keeps nothing of it."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer

    def data(self, piece: bytes) -> None:
        """Let it go."""

    def end(self, trailers: HeaderPairs) -> Response:
        """Refuse it."""
        return self._answer

    def lost(self) -> None:
        """Nothing was waited for."""


def _error(error_type: str, body: str) -> bytes:
    """Decode the error a runtime reports in the middle of its response: base64 of a JSON object."""
    if not body:
        return error_json(error_type, "")
    try:
        return b64decode(body, validate=True)
    except binascii.Error:
        return body.encode("latin-1")
