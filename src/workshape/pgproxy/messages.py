"""PostgreSQL's wire protocol, version 3: names, first packets, whole messages.

Reading is incremental: any split of the stream gives the same messages. Nothing here keeps more than its bound.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workshape.errors import CallerError

KIB = 1024

# What clients send. Source: the page above; one byte each.
BIND, CLOSE, DESCRIBE, EXECUTE, FLUSH, FUNCTION_CALL = b"BCDEHF"
PARSE, PASSWORD, QUERY, SYNC, TERMINATE = b"PpQSX"
COPY_DATA, COPY_DONE, COPY_FAIL = b"dcf"

# What servers send. CopyData and CopyDone have the same letters in both directions.
AUTHENTICATION, BACKEND_KEY_DATA, PARAMETER_STATUS, READY_FOR_QUERY = b"RKSZ"
PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE = b"123"
COMMAND_COMPLETE, DATA_ROW, EMPTY_QUERY_RESPONSE, PORTAL_SUSPENDED = b"CDIs"
ROW_DESCRIPTION, NO_DATA, PARAMETER_DESCRIPTION = b"Tnt"
ERROR_RESPONSE, NOTICE_RESPONSE, NOTIFICATION_RESPONSE = b"ENA"
COPY_IN_RESPONSE, COPY_OUT_RESPONSE, COPY_BOTH_RESPONSE = b"GHW"
FUNCTION_CALL_RESPONSE = ord("V")

# Transaction status, the one byte of ReadyForQuery.
IDLE, IN_TRANSACTION, FAILED_TRANSACTION = b"ITE"

# Authentication requests, the first four bytes of an Authentication message.
AUTH_OK, AUTH_CLEARTEXT, AUTH_MD5, AUTH_SASL, AUTH_SASL_CONTINUE, AUTH_SASL_FINAL = 0, 3, 5, 10, 11, 12

HEAD_BYTES = 5
read_head = struct.Struct("!BI").unpack_from

PROTOCOL_3_0 = 196608
MINOR_VERSION_MAX = 2  # 3.2 is what PostgreSQL 18 speaks: keys for cancel requests may be longer, nothing else differs
SSL_REQUEST_CODE = 80877103
GSSENC_REQUEST_CODE = 80877104
CANCEL_REQUEST_CODE = 80877102
FIRST_PACKET_BYTES_MAX = 10_000  # as the server itself: MAX_STARTUP_PACKET_LENGTH
LOGIN_MESSAGE_BYTES_MAX = 64 * KIB  # as the server itself for SASL and passwords (65,535)

SSL_REQUEST = struct.pack("!II", 8, SSL_REQUEST_CODE)


class ProtocolViolation(CallerError):
    """protocol violation: {reason}"""

    reason: str


# First packets


@dataclass(frozen=True, slots=True)
class SslRequest:
    """The client asks for TLS."""


@dataclass(frozen=True, slots=True)
class GssEncRequest:
    """The client asks for GSSAPI encryption."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Somebody asks to cancel what the holder of this key runs."""

    key: bytes
    """Process id and secret, as BackendKeyData gave them."""


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """A session begins."""

    parameters: Mapping[str, str]
    protocol_extensions: tuple[str, ...] = ()
    """Names beginning with `_pq_.`; none is known."""
    minor_version: int = 0


FirstPacket = SslRequest | GssEncRequest | CancelRequest | StartupMessage


def read_first_packet(data: bytes) -> tuple[FirstPacket, int] | None:
    """Read the packet a connection begins with, and how many bytes it has; None while it is not whole.

    Raises:
        ProtocolViolation: this is no PostgreSQL client, or one of another century.
    """
    if len(data) < 8:
        _check_first_length(data)
        return None
    length, code = struct.unpack_from("!II", data)
    _check_first_length(data)
    if len(data) < length:
        return None
    body = data[8:length]
    if code == SSL_REQUEST_CODE:
        return SslRequest(), length
    if code == GSSENC_REQUEST_CODE:
        return GssEncRequest(), length
    if code == CANCEL_REQUEST_CODE:
        return CancelRequest(body), length
    if code >> 16 != 3:
        raise ProtocolViolation(
            reason=f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.2"
        )
    return _startup(body, code & 0xFFFF), length


def _check_first_length(data: bytes) -> None:
    if len(data) >= 4:
        (length,) = struct.unpack_from("!I", data)
        if not 8 <= length <= FIRST_PACKET_BYTES_MAX:
            raise ProtocolViolation(reason="invalid length of startup packet")


def _startup(body: bytes, minor_version: int) -> StartupMessage:
    fields = body.split(b"\0")
    # name, value, ..., an empty name, and the nothing after its zero byte
    if len(fields) < 2 or fields[-1] or fields[-2] or len(fields) % 2:
        raise ProtocolViolation(reason="invalid startup packet layout: expected terminator as last byte")
    if not all(fields[:-2:2]):  # an empty name ends the list: passed on, what follows it would be the server's to judge
        raise ProtocolViolation(reason="invalid startup packet layout: a parameter without a name")
    texts = [field.decode("utf-8", "surrogateescape") for field in fields[:-2]]
    pairs = dict(zip(texts[::2], texts[1::2], strict=True))
    extensions = tuple(name for name in pairs if name.startswith("_pq_."))
    parameters = {name: value for name, value in pairs.items() if name not in extensions}
    return StartupMessage(parameters, extensions, minor_version)


def startup_message(parameters: Mapping[str, str]) -> bytes:
    """Begin a session with a server."""
    body = b"".join(_zero_ended(text) for pair in parameters.items() for text in pair) + b"\0"
    return struct.pack("!II", len(body) + 8, PROTOCOL_3_0) + body


def cancel_request(key: bytes) -> bytes:
    """Ask a server to cancel what the connection with that key runs."""
    return struct.pack("!II", 8 + len(key), CANCEL_REQUEST_CODE) + key


# Whole messages


class MessageBuffer:
    """Takes bytes as they come and gives whole messages; for log-ins, where messages are few and small."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._data += data

    def next_message(self) -> tuple[int, bytes] | None:
        """Give the next message's type and body; None while it is not whole.

        Raises:
            ProtocolViolation: its length cannot be.
        """
        if len(self._data) < HEAD_BYTES:
            return None
        kind, length = read_head(self._data)
        if not 4 <= length <= LOGIN_MESSAGE_BYTES_MAX:
            raise ProtocolViolation(reason=f"invalid length of message type {chr(kind)!r} during log-in")
        if len(self._data) <= length:
            return None
        body = self._data[HEAD_BYTES : length + 1]
        self._data = self._data[length + 1 :]
        return kind, body

    def rest(self) -> bytes:
        """Give what has not been asked for, and forget it."""
        rest, self._data = self._data, b""
        return rest


def message(kind: int, body: bytes = b"") -> bytes:
    """Frame a message."""
    return struct.pack("!BI", kind, len(body) + 4) + body


def query(sql: str) -> bytes:
    """Make a simple Query."""
    return message(QUERY, sql.encode() + b"\0")


def parse(name: bytes, body: bytes) -> bytes:
    """Make a Parse: `body` is the query, its zero byte, and the parameter types."""
    return message(PARSE, name + b"\0" + body)


def question(sql: str, parameter: str) -> bytes:
    """Make what asks a query with one parameter, both as text, and a Sync after it."""
    value = parameter.encode("utf-8", "surrogateescape")
    bind = b"\0\0" + struct.pack("!hhi", 0, 1, len(value)) + value + struct.pack("!h", 0)
    asked = (
        parse(b"", sql.encode() + b"\0" + struct.pack("!h", 0)),
        message(BIND, bind),
        message(EXECUTE, b"\0" + struct.pack("!i", 0)),
    )
    return b"".join(asked) + message(SYNC)


def read_row(body: bytes) -> list[bytes | None]:
    """Read the values of a DataRow.

    Raises:
        ProtocolViolation: it ends in the middle of one.
    """
    values: list[bytes | None] = []
    position = 2
    while position < len(body):
        if position + 4 > len(body):
            raise ProtocolViolation(reason="a malformed data row")
        (length,) = struct.unpack_from("!i", body, position)
        position += 4
        if length < 0:
            values.append(None)
            continue
        if position + length > len(body):
            raise ProtocolViolation(reason="a malformed data row")
        values.append(body[position : position + length])
        position += length
    return values


def close_statement(name: bytes) -> bytes:
    """Make a Close of a prepared statement."""
    return message(CLOSE, b"S" + name + b"\0")


def authentication(code: int, body: bytes = b"") -> bytes:
    """Make one step of authentication, from the server."""
    return message(AUTHENTICATION, struct.pack("!I", code) + body)


def sasl_mechanisms(names: Iterable[str]) -> bytes:
    """Offer mechanisms to a client, the preferred one first."""
    return authentication(AUTH_SASL, b"".join(_zero_ended(name) for name in names) + b"\0")


def parameter_status(name: str, value: str) -> bytes:
    """Report a parameter."""
    return message(PARAMETER_STATUS, _zero_ended(name) + _zero_ended(value))


def read_parameter_status(body: bytes) -> tuple[str, str]:
    """Read a report of a parameter.

    Raises:
        ProtocolViolation: it is not two strings.
    """
    fields = body.split(b"\0")
    if len(fields) != 3:
        raise ProtocolViolation(reason="a malformed ParameterStatus")
    return fields[0].decode("utf-8", "surrogateescape"), fields[1].decode("utf-8", "surrogateescape")


def ready_for_query(status: int) -> bytes:
    """Tell that the next statement may come."""
    return message(READY_FOR_QUERY, bytes((status,)))


def negotiate_protocol_version(minor_version: int, extensions: Iterable[str]) -> bytes:
    """Tell a client that we speak this version of 3 and none of these extensions."""
    names = tuple(extensions)
    return message(
        ord("v"), struct.pack("!II", PROTOCOL_3_0 + minor_version, len(names)) + b"".join(map(_zero_ended, names))
    )


def read_error_fields(body: bytes) -> dict[str, str]:
    """Read an ErrorResponse or NoticeResponse: by field letter: S severity, C SQLSTATE, M message."""
    fields = (field.decode("utf-8", "replace") for field in body.split(b"\0") if field)
    return {field[0]: field[1:] for field in fields}


def _zero_ended(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"
