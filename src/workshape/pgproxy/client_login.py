"""A client's log-in, from its first byte to the database it wants: TLS asked for, a session or a cancel, SCRAM.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
"""

import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from workshape.pgproxy import messages
from workshape.pgproxy.auth import SALT_BYTES, AuthenticationFailed, ScramServer, ScramVerifier
from workshape.pgproxy.messages import (
    CancelRequest,
    GssEncRequest,
    MessageBuffer,
    ProtocolViolation,
    SslRequest,
    StartupMessage,
    read_first_packet,
)
from workshape.pgproxy.sqlstate import (
    FEATURE_NOT_SUPPORTED,
    INVALID_AUTHORIZATION,
    WireError,
    refused,
    tls_required,
    wrong_password,
)

MOCK_KEY_BYTES = 32
NOT_A_REPLICATION = ("", "false", "off", "no", "0")


class LoginStep(Enum):
    """Where a log-in stands."""

    MORE = auto()
    """More bytes are needed."""
    ENCRYPT = auto()
    """Begin TLS now (the answer is already in `to_client`), then say `encrypted`."""
    CANCEL = auto()
    """It is a cancel request, for `cancel_key`."""
    ACCEPTED = auto()
    """Welcome; `startup` says what is wanted, `rest` what came after."""
    REFUSED = auto()
    """Send `to_client` and hang up."""


class _State(Enum):
    FIRST_PACKET = auto()
    SASL_FIRST = auto()
    SASL_FINAL = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """What all log-ins share."""

    verifiers: Mapping[str, ScramVerifier]
    """By user."""
    mock_key: bytes
    """Random, the same for the proxy's lifetime: see `ScramVerifier.mock`."""
    tls_offered: bool = False
    tls_required: bool = False

    @classmethod
    def of_passwords(cls, passwords: Mapping[str, str], *, tls_offered: bool, tls_required: bool) -> Self:
        """Admit these users with these passwords."""
        verifiers = {
            user: ScramVerifier.of_password(password, secrets.token_bytes(SALT_BYTES))
            for user, password in passwords.items()
        }
        return cls(verifiers, secrets.token_bytes(MOCK_KEY_BYTES), tls_offered=tls_offered, tls_required=tls_required)


class ClientLogin:
    """One client's."""

    def __init__(self, policy: LoginPolicy, nonce: str) -> None:
        self.to_client: list[bytes] = []
        self.startup = StartupMessage({})
        self.cancel_key = b""
        self.refusal: WireError | None = None
        self.is_encrypted = False
        self._policy = policy
        self._nonce = nonce
        self._end_point: bytes | None = None
        self._state = _State.FIRST_PACKET
        self._asked: set[type] = set()
        self._data = b""
        self._messages = MessageBuffer()
        self._scram: ScramServer | None = None

    def __repr__(self) -> str:
        return f"<ClientLogin {self._state.name} user={self.user!r}>"

    @property
    def user(self) -> str:
        """Who the client says it is."""
        return self.startup.parameters.get("user", "")

    @property
    def rest(self) -> bytes:
        """What the client sent without waiting to be welcomed."""
        return self._messages.rest()

    def encrypted(self, end_point: bytes) -> None:
        """TLS is there; `end_point` is the hash of our certificate."""
        self.is_encrypted = True
        self._end_point = end_point

    def receive(self, data: bytes) -> LoginStep:
        """Take what the client sent."""
        try:
            if self._state is _State.FIRST_PACKET:
                self._data += data
                step = self._first_packet()
                if step is not LoginStep.MORE or self._state is _State.FIRST_PACKET:
                    return step
                data = b""
            self._messages.feed(data)
            return self._sasl()
        except ProtocolViolation as error:
            return self._refuse(refused(error.reason))
        except AuthenticationFailed:
            return self._refuse(wrong_password(self.user))

    def _first_packet(self) -> LoginStep:
        while (found := read_first_packet(self._data)) is not None:
            packet, length = found
            self._data = self._data[length:]
            match packet:
                case CancelRequest(key):
                    self.cancel_key = key
                    return LoginStep.CANCEL
                case StartupMessage():
                    return self._begin(packet)
                case SslRequest() | GssEncRequest():
                    if type(packet) in self._asked or self.is_encrypted:
                        raise ProtocolViolation(reason="encryption was negotiated already")
                    self._asked.add(type(packet))
                    if isinstance(packet, SslRequest) and self._policy.tls_offered:
                        if self._data:  # sent in the clear before TLS: somebody in between may have put it there
                            raise ProtocolViolation(reason="received unencrypted data after SSL request")
                        self.to_client.append(b"S")
                        return LoginStep.ENCRYPT
                    self.to_client.append(b"N")
        return LoginStep.MORE

    def _begin(self, startup: StartupMessage) -> LoginStep:
        self.startup = startup
        if self._policy.tls_required and not self.is_encrypted:
            return self._refuse(tls_required())
        if not self.user:
            reason = "no PostgreSQL user name specified in startup packet"
            return self._refuse(refused(reason, INVALID_AUTHORIZATION))
        if startup.parameters.get("replication", "").lower() not in NOT_A_REPLICATION:
            return self._refuse(refused("replication through the proxy is not supported", FEATURE_NOT_SUPPORTED))
        if startup.minor_version or startup.protocol_extensions:
            self.to_client.append(messages.negotiate_protocol_version(startup.protocol_extensions))
        verifier = self._policy.verifiers.get(self.user) or ScramVerifier.mock(self.user, self._policy.mock_key)
        self._scram = ScramServer(verifier, self._nonce, self._end_point)
        self.to_client.append(messages.sasl_mechanisms(self._scram.mechanisms))
        self._state = _State.SASL_FIRST
        self._messages.feed(self._data)
        self._data = b""
        return LoginStep.MORE

    def _sasl(self) -> LoginStep:
        while self._state in (_State.SASL_FIRST, _State.SASL_FINAL):
            found = self._messages.next_message()
            if found is None:
                return LoginStep.MORE
            kind, body = found
            if kind != messages.PASSWORD:
                raise ProtocolViolation(reason=f"expected SASL response, got message type {kind}")
            assert self._scram is not None, "made when the start-up message came"
            if self._state is _State.SASL_FIRST:
                challenge = self._scram.first(*_initial_response(body))
                self.to_client.append(messages.authentication(messages.AUTH_SASL_CONTINUE, challenge))
                self._state = _State.SASL_FINAL
            else:
                proof = self._scram.final(body)
                self.to_client.append(messages.authentication(messages.AUTH_SASL_FINAL, proof))
                self.to_client.append(messages.authentication(messages.AUTH_OK))
                self._state = _State.DONE
        return LoginStep.ACCEPTED

    def _refuse(self, error: WireError) -> LoginStep:
        self._state = _State.DONE
        self.refusal = error
        self.to_client.append(bytes(error))
        return LoginStep.REFUSED


def _initial_response(body: bytes) -> tuple[str, bytes]:
    mechanism, zero, rest = body.partition(b"\0")
    if not zero or len(rest) < 4:
        raise ProtocolViolation(reason="malformed SASL initial response")
    (length,) = struct.unpack_from("!i", rest)
    if length != len(rest) - 4:  # also -1: SCRAM has an initial response, always
        raise ProtocolViolation(reason="malformed SASL initial response")
    return mechanism.decode("ascii", "replace"), rest[4:]
