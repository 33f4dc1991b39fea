"""Our own log-in at the database, up to a connection that can be lent: SCRAM, md5, limits, init query, a question.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
"""

import struct
from dataclasses import dataclass
from enum import Enum, auto

from workshape.errors import PlatformError
from workshape.pgproxy import messages
from workshape.pgproxy.auth import (
    SCRAM_PLUS,
    AuthenticationFailed,
    ChannelBinding,
    ScramClient,
    ScramKeys,
    md5_answer,
    md5_secret,
)
from workshape.pgproxy.messages import MessageBuffer, ProtocolViolation, read_error_fields
from workshape.pgproxy.sqlstate import WireError, is_lasting

LIMITS_SQL = (
    "SELECT pg_catalog.current_setting('max_connections'),"
    " pg_catalog.current_setting('superuser_reserved_connections'),"
    " pg_catalog.current_setting('reserved_connections', true),"
    " (pg_catalog.pg_is_in_recovery() OR (pg_catalog.current_setting('default_transaction_read_only')::bool AND EXISTS"
    " (SELECT FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only'"
    " AND source IN ('configuration file', 'command line'))))::int"
)
"""The last: whether it follows another server, or is itself set to read only (not: this user, or this session)."""
LIMITS_COLUMNS = 4
LIMIT_DIGITS_MAX = 9  # more than any server's settings have


class LoginFailed(PlatformError):
    """The database refused a connection: {reason}"""

    reason: str
    error: WireError
    """For the client that needed it."""
    lasting: bool
    """Trying again would end alike."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """How many connections the server takes."""

    max_connections: int
    reserved: int
    """For superusers and roles with pg_use_reserved_connections."""
    takes_writes: bool


class _State(Enum):
    LOGIN = auto()
    LIMITS = auto()
    INIT_QUERY = auto()
    QUESTION = auto()
    DONE = auto()


class DatabaseLogin:
    """One log-in. `to_database` holds what is to be sent."""

    def __init__(
        self,
        user: str,
        password: str | ScramKeys,
        nonce: str,
        end_point: bytes | None,
        init_query: str = "",
        binding: ChannelBinding = ChannelBinding.PREFER,
        question: bytes = b"",
    ) -> None:
        """`end_point` is the hash of the server's certificate, None without TLS; `question` is asked at the end."""
        self.to_database: list[bytes] = []
        self.parameters: dict[str, str] = {}
        self.key = b""
        self.limits: ServerLimits | None = None
        self.answer: list[bytes | None] = []
        """The row that answers the question; empty: none does."""
        self._question = question
        self._user = user
        self._password = password
        self._encrypted = end_point is not None
        self._binding = binding
        self._scram = ScramClient(password, nonce, None if binding is ChannelBinding.DISABLE else end_point)
        self._proved = True
        self._is_bound = False
        self._init_query = init_query
        self._state = _State.LOGIN
        self._messages = MessageBuffer()

    def __repr__(self) -> str:
        return f"<DatabaseLogin {self._state.name} user={self._user!r}>"

    def receive(self, data: bytes) -> bool:
        """Take what the server sent; True when the connection can be used.

        Raises:
            LoginFailed: it cannot.
        """
        self._messages.feed(data)
        try:
            while self._state is not _State.DONE:
                found = self._messages.next_message()
                if found is None:
                    return False
                self._take(*found)
        except (ProtocolViolation, AuthenticationFailed) as error:
            wire = WireError("08001", f"the proxy could not log in at the database: {error}", fatal=True)
            raise LoginFailed(reason=str(error), error=wire, lasting=True) from error
        return True

    def _take(self, kind: int, body: bytes) -> None:
        if kind == messages.AUTHENTICATION:
            self._authenticate(body)
        elif kind == messages.PARAMETER_STATUS:
            name, value = messages.read_parameter_status(body)
            self.parameters[name] = value
        elif kind == messages.BACKEND_KEY_DATA:
            self.key = body
        elif kind == messages.DATA_ROW and self._state is _State.LIMITS:
            self.limits = _limits(body)
        elif kind == messages.DATA_ROW and self._state is _State.QUESTION:
            self.answer = messages.read_row(body)
        elif kind == messages.READY_FOR_QUERY:
            self._ready()
        elif kind == messages.ERROR_RESPONSE and self._state is not _State.LIMITS:  # not everybody may know the limits
            self._fail(body)

    def _ready(self) -> None:
        if self._state is _State.LOGIN:
            self._state = _State.LIMITS
            self.to_database.append(messages.query(LIMITS_SQL))
        elif self._state is _State.LIMITS and self._init_query:
            self._state = _State.INIT_QUERY
            self.to_database.append(messages.query(self._init_query))
        elif self._state is not _State.QUESTION and self._question:
            self._state = _State.QUESTION
            self.to_database.append(self._question)
        else:
            self._state = _State.DONE

    def _authenticate(self, body: bytes) -> None:
        if len(body) < 4:
            raise ProtocolViolation(reason="a malformed authentication request")
        (code,) = struct.unpack_from("!I", body)
        rest = body[4:]
        self._check_binding(code, rest)
        if code == messages.AUTH_OK:
            if not self._proved:
                raise AuthenticationFailed(reason="the database accepted before proving that it knows the password")
        elif code == messages.AUTH_SASL:
            self._proved = False
            offered = tuple(name.decode("ascii", "replace") for name in rest.split(b"\0") if name)
            mechanism, first = self._scram.first(offered)
            self._say(mechanism.encode() + b"\0" + struct.pack("!i", len(first)) + first)
        elif code == messages.AUTH_SASL_CONTINUE:
            self._say(self._scram.final(rest))
        elif code == messages.AUTH_SASL_FINAL:
            self._scram.verify(rest)
            self._proved = True
        elif code == messages.AUTH_MD5:
            self._say(md5_answer(md5_secret(self._user, self._password_itself()), rest) + b"\0")
        elif code == messages.AUTH_CLEARTEXT and self._encrypted:
            self._say(self._password_itself().encode() + b"\0")
        elif code == messages.AUTH_CLEARTEXT:
            raise AuthenticationFailed(reason="the database wants the password in the clear, without TLS")
        else:
            raise AuthenticationFailed(reason=f"the database wants an unsupported kind of authentication ({code})")

    def _password_itself(self) -> str:
        if isinstance(self._password, ScramKeys):
            raise AuthenticationFailed(
                reason="the database wants the password, and the proxy has only a verifier of it"
            )
        return self._password

    def _check_binding(self, code: int, rest: bytes) -> None:
        if code == messages.AUTH_SASL:
            self._is_bound = self._encrypted and SCRAM_PLUS.encode() in rest.split(b"\0")
        if self._binding is ChannelBinding.REQUIRE and not self._is_bound:
            raise AuthenticationFailed(reason="the database offers no channel binding, and it is required")

    def _say(self, body: bytes) -> None:
        self.to_database.append(messages.message(messages.PASSWORD, body))

    def _fail(self, body: bytes) -> None:
        fields = read_error_fields(body)
        code, text = fields.get("C", "08001"), fields.get("M", "no reason given")
        error = WireError(code, text, fields.get("D", ""), fields.get("H", ""), fatal=True)
        raise LoginFailed(reason=f"{text} (SQLSTATE {code})", error=error, lasting=is_lasting(code))


def no_tls(reason: str) -> LoginFailed:
    """There is no such TLS with the database as there must be."""
    wire = WireError("08001", f"the proxy could not connect to the database: {reason}", fatal=True)
    return LoginFailed(reason=reason, error=wire, lasting=True)


def _limits(row: bytes) -> ServerLimits:
    """Read the one row of LIMITS_SQL: numbers as text; the third is NULL before PostgreSQL 16."""
    told = [b"0" if value is None else value for value in messages.read_row(row)]
    if len(told) != LIMITS_COLUMNS or not all(map(bytes.isdigit, told)):
        raise ProtocolViolation(reason="the database did not tell its max_connections")
    most, *reserved, only_reads = (int(value[:LIMIT_DIGITS_MAX]) for value in told)
    return ServerLimits(most, sum(reserved), not only_reads)
