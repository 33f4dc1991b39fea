"""Who a client is, and who we are to the database: the arithmetic of SCRAM-SHA-256 and of md5, on both sides.

Secrets are compared in constant time. A user who does not exist is led through the same steps as one who does, with a
salt that is always the same for that name, so that nobody learns from outside which names exist.

Source: https://www.rfc-editor.org/rfc/rfc5802, https://www.rfc-editor.org/rfc/rfc7677,
https://www.postgresql.org/docs/current/sasl-authentication.html
"""

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from workshape.errors import Denied
from workshape.pgproxy.messages import ProtocolViolation

SCRAM = "SCRAM-SHA-256"
SCRAM_PLUS = "SCRAM-SHA-256-PLUS"
ITERATIONS = 4096  # PostgreSQL's default, scram_iterations
SALT_BYTES = 16
ITERATIONS_MAX = 1_000_000  # a server that asks for more would keep the event loop busy for a second
SALTED_PASSWORDS_KEPT = 64  # one a user and database server; deriving one takes milliseconds
CHANNEL_BINDING = b"p=tls-server-end-point"


class ChannelBinding(StrEnum):
    """Whether the log-in must be bound to the TLS connection, so that nobody in between can pass it on."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"


class AuthenticationFailed(Denied):
    """{reason}"""


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server keeps in a password's place: enough to check a client, not enough to be one."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "<ScramVerifier>"

    @classmethod
    def of_password(cls, password: str, salt: bytes, iterations: int = ITERATIONS) -> "ScramVerifier":
        """Derive it."""
        salted = salted_password(password, salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        return cls(iterations, salt, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key"))

    @classmethod
    def read(cls, text: str) -> "ScramVerifier":
        """Read the form that `pg_authid.rolpassword` has.

        Raises:
            AuthenticationFailed: it is in another form.
        """
        try:
            mechanism, derivation, keys = text.split("$")
            iterations, salt = derivation.split(":")
            stored_key, server_key = keys.split(":")
            if mechanism != SCRAM:
                raise ValueError
            return cls(int(iterations), _decoded(salt), _decoded(stored_key), _decoded(server_key))
        except ValueError as error:
            raise AuthenticationFailed(reason="the stored secret is no SCRAM-SHA-256 verifier") from error

    def client_key(self, password: str) -> bytes | None:
        """Derive the key that proves the password; None: it is another one's. Takes milliseconds; nothing is kept."""
        client_key = _hmac(_derived(password, self.salt, self.iterations), b"Client Key")
        return client_key if self.is_of(client_key) else None

    def is_of(self, client_key: bytes) -> bool:
        """Tell whether this is the key that proves the password."""
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), self.stored_key)

    @classmethod
    def mock(cls, user: str, mock_key: bytes) -> "ScramVerifier":
        """Make one that no password fits, always the same for a name."""
        salt = _hmac(mock_key, user.encode("utf-8", "surrogateescape"))[:SALT_BYTES]
        return cls(ITERATIONS, salt, b"", _hmac(mock_key, b"server"))


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is left of a password that was proved: as good as the password itself where the same verifier is kept."""

    verifier: ScramVerifier
    client_key: bytes

    def __repr__(self) -> str:
        return "<ScramKeys>"


class ScramServer:
    """Checks one client: first message in, challenge out; final message in, proof of ours out."""

    def __init__(self, verifier: ScramVerifier, nonce: str, end_point: bytes | None) -> None:
        """`nonce` is fresh randomness; `end_point` the hash of our certificate when the client came over TLS."""
        self.client_key = b""
        """What the client proved to have, once it has."""
        self._verifier = verifier
        self._nonce = nonce
        self._end_point = end_point
        self._binding = b""
        self._first_bare = b""
        self._challenge = b""

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What to offer, the preferred one first."""
        return (SCRAM,) if self._end_point is None else (SCRAM_PLUS, SCRAM)

    def first(self, mechanism: str, client_first: bytes) -> bytes:
        """Answer the client's first message.

        Raises:
            ProtocolViolation: it is malformed. AuthenticationFailed: somebody stripped channel binding on the way.
        """
        if mechanism not in self.mechanisms:
            raise ProtocolViolation(reason="client selected an invalid SASL authentication mechanism")
        binding, _, rest = client_first.partition(b",")
        authorization_id, _, bare = rest.partition(b",")
        if authorization_id:
            raise ProtocolViolation(reason="client uses authorization identity, but it is not supported")
        self._check_binding(mechanism, binding)
        header = binding + b",,"
        bound = self._end_point if mechanism == SCRAM_PLUS else b""
        self._binding = base64.b64encode(header + (bound or b""))
        client_nonce = _attribute(bare, 1, b"r")
        self._first_bare = bare
        self._nonce = client_nonce.decode("ascii", "replace") + self._nonce
        salt = base64.b64encode(self._verifier.salt)
        self._challenge = b"r=%s,s=%s,i=%d" % (self._nonce.encode(), salt, self._verifier.iterations)
        return self._challenge

    def final(self, client_final: bytes) -> bytes:
        """Check the client's proof; return ours.

        Raises:
            ProtocolViolation: it is malformed. AuthenticationFailed: the password is wrong.
        """
        without_proof, _, proof_text = client_final.rpartition(b",p=")
        binding, nonce = _attribute(without_proof, 0, b"c"), _attribute(without_proof, 1, b"r")
        if not hmac.compare_digest(nonce, self._nonce.encode()):
            raise ProtocolViolation(reason="malformed SCRAM message: nonce does not match")
        if not hmac.compare_digest(binding, self._binding):
            raise AuthenticationFailed(reason="SCRAM channel binding check failed")
        signed = b",".join((self._first_bare, self._challenge, without_proof))
        signature = _hmac(self._verifier.stored_key, signed)
        proof = _decoded_or_violation(proof_text)
        client_key = _xor(proof, signature) if len(proof) == len(signature) else b""
        if not self._verifier.is_of(client_key):
            raise AuthenticationFailed(reason="wrong password")
        self.client_key = client_key
        return b"v=" + base64.b64encode(_hmac(self._verifier.server_key, signed))

    def believe(self, verifier: ScramVerifier) -> None:
        """Check by this verifier from now on: the password is another one, and the challenge was the same.

        Raises:
            AuthenticationFailed: it would have had another challenge.
        """
        if (verifier.salt, verifier.iterations) != (self._verifier.salt, self._verifier.iterations):
            raise AuthenticationFailed(reason="wrong password")
        self._verifier = verifier

    def _check_binding(self, mechanism: str, binding: bytes) -> None:
        if mechanism == SCRAM_PLUS:
            if binding != CHANNEL_BINDING:
                raise ProtocolViolation(reason="unsupported SCRAM channel-binding type")
        elif binding == b"y":
            if self._end_point is not None:  # the client can bind and saw no offer: our offer was taken out
                raise AuthenticationFailed(reason="SCRAM channel binding negotiation error")
        elif binding != b"n":
            raise ProtocolViolation(reason="malformed SCRAM message: unexpected channel-binding flag")


class ScramClient:
    """Proves to one server that we know the password, and makes it prove the same."""

    def __init__(self, password: str | ScramKeys, nonce: str, end_point: bytes | None) -> None:
        """`nonce` is fresh randomness; `end_point` the hash of the server's certificate when TLS is used."""
        self._password = password
        self._nonce = nonce
        self._end_point = end_point
        self._header = b"n,,"
        self._first_bare = b""
        self._server_signature = b""

    def first(self, offered: tuple[str, ...]) -> tuple[str, bytes]:
        """Choose a mechanism and begin.

        Raises:
            AuthenticationFailed: none of them is known.
        """
        if SCRAM_PLUS in offered and self._end_point is not None:
            mechanism, self._header = SCRAM_PLUS, CHANNEL_BINDING + b",,"
        elif SCRAM in offered:
            mechanism, self._header = SCRAM, (b"y,," if self._end_point is not None else b"n,,")
        else:
            raise AuthenticationFailed(reason=f"the database offers no known mechanism, but {', '.join(offered)}")
        self._first_bare = b"n=,r=" + self._nonce.encode()
        return mechanism, self._header + self._first_bare

    def final(self, challenge: bytes) -> bytes:
        """Answer the server's challenge.

        Raises:
            ProtocolViolation: it is malformed, or does not continue what we began.
            AuthenticationFailed: of the password we have only keys, and they are for another verifier.
        """
        nonce = _attribute(challenge, 0, b"r")
        salt = _decoded_or_violation(_attribute(challenge, 1, b"s"))
        iterations = _attribute(challenge, 2, b"i")
        if not nonce.startswith(self._nonce.encode()) or len(nonce) == len(self._nonce):
            raise ProtocolViolation(reason="malformed SCRAM message: nonce does not match")
        if not iterations.isdigit() or not 1 <= int(iterations) <= ITERATIONS_MAX:
            raise ProtocolViolation(reason="malformed SCRAM message: iteration count out of range")
        keys = self._keys(salt, int(iterations))
        bound = self._end_point if self._header.startswith(b"p=") else b""
        binding = base64.b64encode(self._header + (bound or b""))
        without_proof = b"c=" + binding + b",r=" + nonce
        signed = b",".join((self._first_bare, challenge, without_proof))
        signature = _hmac(keys.verifier.stored_key, signed)
        self._server_signature = _hmac(keys.verifier.server_key, signed)
        return without_proof + b",p=" + base64.b64encode(_xor(keys.client_key, signature))

    def verify(self, server_final: bytes) -> None:
        """Check that the server knows the password too.

        Raises:
            AuthenticationFailed: it does not: somebody else answers at that address.
        """
        proof = _decoded_or_violation(_attribute(server_final, 0, b"v"))
        if not self._server_signature or not hmac.compare_digest(proof, self._server_signature):
            raise AuthenticationFailed(reason="the database could not prove that it knows the password")

    def _keys(self, salt: bytes, iterations: int) -> ScramKeys:
        if isinstance(self._password, str):
            client_key = _hmac(salted_password(self._password, salt, iterations), b"Client Key")
            return ScramKeys(ScramVerifier.of_password(self._password, salt, iterations), client_key)
        verifier = self._password.verifier
        if (verifier.salt, verifier.iterations) != (salt, iterations):
            raise AuthenticationFailed(reason="the database keeps another verifier of the password than the proxy")
        return self._password


def is_verifier(text: str) -> bool:
    """Tell whether that is a verifier as the database stores it."""
    try:
        ScramVerifier.read(text)
    except AuthenticationFailed:
        return False
    return True


def md5_secret(user: str, password: str) -> bytes:
    """Give what servers of old keep in a password's place."""
    return b"md5" + _md5((password + user).encode("utf-8", "surrogateescape"))


def md5_answer(secret: bytes, salt: bytes) -> bytes:
    """Answer, or expect as an answer, to a request for md5 with that salt."""
    return b"md5" + _md5(secret.removeprefix(b"md5") + salt)


@lru_cache(maxsize=SALTED_PASSWORDS_KEPT)
def salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    """Derive the key that both sides of SCRAM start from."""
    return _derived(password, salt, iterations)


def _derived(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", _prepared(password).encode("utf-8", "surrogateescape"), salt, iterations)


def _md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


def _prepared(password: str) -> str:
    """Normalize as SASLprep does, or leave the password as it is where SASLprep forbids it, as PostgreSQL does.

    Source: https://www.rfc-editor.org/rfc/rfc4013
    """
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if not stringprep.in_table_b1(character)
    )
    normalized = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    return normalized if normalized and not any(map(_is_prohibited, normalized)) else password


def _is_prohibited(character: str) -> bool:
    return (
        stringprep.in_table_c21_c22(character)
        or stringprep.in_table_c12(character)
        or any(
            table(character)
            for table in (
                stringprep.in_table_c3,
                stringprep.in_table_c4,
                stringprep.in_table_c5,
                stringprep.in_table_c6,
                stringprep.in_table_c7,
                stringprep.in_table_c8,
                stringprep.in_table_c9,
                stringprep.in_table_a1,
            )
        )
    )


def _attribute(text: bytes, position: int, name: bytes) -> bytes:
    """Read the value of the attribute at that place of a SCRAM message."""
    fields = text.split(b",")
    if name == b"r" and position == 1 and fields[0].startswith(b"m="):
        raise ProtocolViolation(reason="client requires an unsupported SCRAM extension")
    if len(fields) <= position or not fields[position].startswith(name + b"="):
        raise ProtocolViolation(reason=f"malformed SCRAM message: attribute {name.decode()!r} expected")
    return fields[position][2:]


def _decoded(text: str | bytes) -> bytes:
    return base64.b64decode(text, validate=True)


def _decoded_or_violation(text: bytes) -> bytes:
    try:
        return _decoded(text)
    except binascii.Error as error:
        raise ProtocolViolation(reason="malformed SCRAM message: base64 expected") from error


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
