"""How one client proves who it is: SCRAM, md5, or in the clear over TLS: an IAM token or the password. A core.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
"""

import hmac
import struct
from typing import Protocol

from workshape.pgproxy import messages
from workshape.pgproxy.account import IamAuth, KnownPassword
from workshape.pgproxy.auth import AuthenticationFailed, ScramServer, md5_answer
from workshape.pgproxy.iam_token import TokenRules, check_token, is_token
from workshape.pgproxy.messages import ProtocolViolation

MD5_SALT_BYTES = 4


class Proof(Protocol):
    """One way. `request` is sent first; then each answer is taken until the proof is complete."""

    request: bytes
    expects: str
    """What the answer is called when something else comes."""
    is_complete: bool
    client_key: bytes
    """SCRAM's, as far as the proof had it."""

    def take(self, answer: bytes, now: float) -> bytes:
        """Take what the client says to the last request; return what to say to it. `now` is Unix time.

        Raises:
            ProtocolViolation: it is malformed. AuthenticationFailed, TokenRefused: it proves nothing.
        """

    def check_again(self, password: KnownPassword) -> bytes:
        """Check the answer that failed against what the password is now; return what to say to it.

        Raises:
            AuthenticationFailed: that is not it either.
        """


class ScramProof:
    """SCRAM-SHA-256, with channel binding where the client can."""

    expects = "SASL response"

    def __init__(self, password: KnownPassword, nonce: str, end_point: bytes | None) -> None:
        self._server = ScramServer(password.verifier, nonce, end_point)
        self._has_begun = False
        self._answer = b""
        self.request = messages.sasl_mechanisms(self._server.mechanisms)
        self.is_complete = False
        self.client_key = b""

    def take(self, answer: bytes, now: float) -> bytes:
        if not self._has_begun:
            challenge = self._server.first(*_initial_response(answer))
            self._has_begun = True
            return messages.authentication(messages.AUTH_SASL_CONTINUE, challenge)
        self._answer = answer
        return self._complete()

    def check_again(self, password: KnownPassword) -> bytes:
        self._server.believe(password.verifier)
        return self._complete()

    def _complete(self) -> bytes:
        proof = self._server.final(self._answer)
        self.client_key = self._server.client_key
        self.is_complete = True
        return messages.authentication(messages.AUTH_SASL_FINAL, proof)


class Md5Proof:
    """The md5 of old: of the password with the user's name, and then with a salt."""

    expects = "password response"

    def __init__(self, password: KnownPassword, salt: bytes) -> None:
        """`salt` is fresh randomness, MD5_SALT_BYTES of it."""
        self._password = password
        self._salt = salt
        self._answer = b""
        self.request = messages.authentication(messages.AUTH_MD5, salt)
        self.is_complete = False
        self.client_key = b""

    def take(self, answer: bytes, now: float) -> bytes:
        self._answer = _zero_ended(answer).encode("utf-8", "surrogateescape")
        return self.check_again(self._password)

    def check_again(self, password: KnownPassword) -> bytes:
        if not hmac.compare_digest(self._answer, md5_answer(password.md5, self._salt)):
            raise AuthenticationFailed(reason="wrong password")
        self.is_complete = True
        return b""


class ClearProof:
    """A token, or where either will do the password: only ever over TLS."""

    expects = "password response"

    def __init__(self, user: str, iam: IamAuth, rules: TokenRules, port: int, password: KnownPassword | None) -> None:
        """`port` is the one the client came to."""
        self._user = user
        self._iam = iam
        self._rules = rules
        self._port = port
        self._password = password
        self._said = ""
        self.request = messages.authentication(messages.AUTH_CLEARTEXT)
        self.is_complete = False
        self.client_key = b""

    def take(self, answer: bytes, now: float) -> bytes:
        self._said = _zero_ended(answer)
        if self._iam is IamAuth.REQUIRED or is_token(self._said):
            check_token(self._said, self._user, self._port, self._rules, now)
            self.is_complete = True
            return b""
        if self._password is None:
            raise AuthenticationFailed(reason="the password is not known")
        return self.check_again(self._password)

    def check_again(self, password: KnownPassword) -> bytes:
        client_key = password.verifier.client_key(self._said)
        if client_key is None:
            raise AuthenticationFailed(reason="wrong password")
        self.client_key = client_key
        self.is_complete = True
        return b""


def _initial_response(body: bytes) -> tuple[str, bytes]:
    mechanism, zero, rest = body.partition(b"\0")
    if not zero or len(rest) < 4:
        raise ProtocolViolation(reason="malformed SASL initial response")
    (length,) = struct.unpack_from("!i", rest)
    if length != len(rest) - 4:  # also -1: SCRAM has an initial response, always
        raise ProtocolViolation(reason="malformed SASL initial response")
    return mechanism.decode("ascii", "replace"), rest[4:]


def _zero_ended(body: bytes) -> str:
    text, zero, rest = body.partition(b"\0")
    if not zero or rest:
        raise ProtocolViolation(reason="malformed password message")
    return text.decode("utf-8", "surrogateescape")
