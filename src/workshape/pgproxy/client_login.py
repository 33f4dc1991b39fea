"""A client's log-in, from its first byte to the database it wants: TLS asked for, a session or a cancel, its proof.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from workshape.pgproxy import messages
from workshape.pgproxy.account import Account, CertificateUse, IamAuth, KnownPassword, PasswordAuth
from workshape.pgproxy.auth import AuthenticationFailed, ScramVerifier
from workshape.pgproxy.client_proof import MD5_SALT_BYTES, ClearProof, Md5Proof, Proof, ScramProof
from workshape.pgproxy.iam_token import NOBODYS, TokenRefused, TokenRules
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
    certificate_refused,
    certificate_required,
    no_credentials,
    refused,
    tls_required,
    token_in_the_clear,
    token_refused,
    wrong_password,
)

MOCK_KEY_BYTES = 32
GOODBYE = messages.message(messages.TERMINATE)
NOT_A_REPLICATION = ("", "false", "off", "no", "0")


class LoginStep(Enum):
    """Where a log-in stands."""

    MORE = auto()
    """More bytes are needed."""
    ENCRYPT = auto()
    """Begin TLS now (the answer is already in `to_client`), then say `encrypted`."""
    CANCEL = auto()
    """It is a cancel request, for `cancel_key`."""
    DOUBTED = auto()
    """The password may be another one by now: learn it anew, then say `relearned`."""
    ACCEPTED = auto()
    """Welcome; `startup` says what is wanted, `rest` what came after."""
    REFUSED = auto()
    """Send `to_client` and hang up."""


class _State(Enum):
    FIRST_PACKET = auto()
    UNKNOWN_PASSWORD = auto()
    PROOF = auto()
    WRONG_PROOF = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """What all log-ins share."""

    accounts: Mapping[str, Account]
    """By user."""
    others: Account = field(default_factory=Account)
    """Everybody else."""
    mock_key: bytes = field(repr=False, kw_only=True)
    """Random, the same for the proxy's lifetime: see `ScramVerifier.mock`."""
    tls_offered: bool = False
    tls_required: bool = False
    tokens: TokenRules = NOBODYS
    """Whose IAM tokens are good."""


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
        self._port = 0
        self._end_point: bytes | None = None
        self._common_name: str | None = None
        self._state = _State.FIRST_PACKET
        self._asked: set[type] = set()
        self._data = b""
        self._messages = MessageBuffer()
        self._proof: Proof | None = None
        self._is_unknown = False

    def __repr__(self) -> str:
        return f"<ClientLogin {self._state.name} user={self.user!r}>"

    @property
    def user(self) -> str:
        """Who the client says it is."""
        return self.startup.parameters.get("user", "")

    @property
    def client_key(self) -> bytes:
        """What the client's proof left behind of SCRAM; empty when it proved itself otherwise."""
        return b"" if self._proof is None else self._proof.client_key

    @property
    def rest(self) -> bytes:
        """What the client sent without waiting to be welcomed."""
        return self._messages.rest()

    def encrypted(self, end_point: bytes, port: int, common_name: str | None = None) -> None:
        """TLS is there: with a certificate of ours that has this hash, at this port, and perhaps one of the client's.

        `common_name` is the name that the client's certificate is for; None: it showed none.
        """
        self.is_encrypted = True
        self._end_point = end_point
        self._port = port
        self._common_name = common_name

    def receive(self, data: bytes, now: float) -> LoginStep:
        """Take what the client sent, at `now` (Unix time)."""
        try:
            if self._state is _State.FIRST_PACKET:
                self._data += data
                step = self._first_packet()
                if step is not LoginStep.MORE or self._state is _State.FIRST_PACKET:
                    return step
                data = b""
            self._messages.feed(data)
            return self._take_answers(now)
        except ProtocolViolation as error:
            return self._refuse(refused(error.reason))
        except TokenRefused as error:
            return self._refuse(token_refused(self.user, error.reason))
        except AuthenticationFailed:
            if self._is_unknown or not self._account.can_be_relearned:
                return self._refuse(wrong_password(self.user))
            self._state = _State.WRONG_PROOF
            return LoginStep.DOUBTED

    def relearned(self, policy: LoginPolicy, now: float) -> LoginStep:
        """Go on after a doubt, with what is known now: a password that is not the one of before gets its chance."""
        before, self._policy = self._account.password, policy
        password = self._account.password
        if self._state is _State.UNKNOWN_PASSWORD:
            if password is None and self.user in policy.accounts:
                return self._refuse(no_credentials(self.user))
            self._is_unknown = password is None
            self._ask(self._account if password is not None else self._mock(self._account))
            return self.receive(b"", now)
        assert self._proof is not None, "its answer was wrong"
        if password is None or (before is not None and password.is_same(before)):
            return self._refuse(wrong_password(self.user))
        try:
            return self._accept(self._proof.check_again(password))
        except AuthenticationFailed:
            return self._refuse(wrong_password(self.user))

    def _first_packet(self) -> LoginStep:
        if self._data.startswith(GOODBYE[:4]):  # a driver was closed before its start-up; the server, too, says nothing
            return LoginStep.REFUSED
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
        minor_version = min(startup.minor_version, messages.MINOR_VERSION_MAX)
        if startup.minor_version > minor_version or startup.protocol_extensions:
            self.to_client.append(messages.negotiate_protocol_version(minor_version, startup.protocol_extensions))
        self._messages.feed(self._data)
        self._data = b""
        return self._identify(self._account)

    @property
    def _account(self) -> Account:
        """What is known of the user; who does not exist, or has no password, is led through the same steps."""
        found = self._policy.accounts.get(self.user) or self._policy.others
        return found if found.password is not None or found.can_be_relearned else self._mock(found)

    def _mock(self, account: Account) -> Account:
        return replace(account, password=KnownPassword(ScramVerifier.mock(self.user, self._policy.mock_key)))

    def _identify(self, account: Account) -> LoginStep:
        """Look at what the client has shown without being asked, and ask for the rest."""
        if account.rules.certificate is not CertificateUse.NONE:
            if self._common_name is None:
                return self._refuse(certificate_required())
            in_any_name = account.rules.certificate is CertificateUse.VERIFY_CA
            if not in_any_name and not account.may_come_as(self.user, self._common_name):
                return self._refuse(certificate_refused(self.user, self._common_name))
            if account.rules.certificate is CertificateUse.CERT:
                return self._accept(b"")
        if account.rules.iam is IamAuth.REQUIRED and not self.is_encrypted:
            return self._refuse(token_in_the_clear())
        if account.password is None and account.rules.iam is not IamAuth.REQUIRED:
            self._state = _State.UNKNOWN_PASSWORD
            return LoginStep.DOUBTED
        self._ask(account)
        return LoginStep.MORE

    def _ask(self, account: Account) -> None:
        rules, password = account.rules, account.password
        if rules.iam is not IamAuth.DISABLED and self.is_encrypted:
            self._proof = ClearProof(self.user, rules.iam, self._policy.tokens, self._port, password)
        else:
            assert password is not None, "looked at before"
            if rules.password_auth is PasswordAuth.MD5 and password.md5:
                self._proof = Md5Proof(password, secrets.token_bytes(MD5_SALT_BYTES))
            else:
                self._proof = ScramProof(password, self._nonce, self._end_point)
        self.to_client.append(self._proof.request)
        self._state = _State.PROOF

    def _take_answers(self, now: float) -> LoginStep:
        while self._state is _State.PROOF:
            found = self._messages.next_message()
            if found is None:
                return LoginStep.MORE
            kind, body = found
            assert self._proof is not None, "made when the start-up message came"
            if kind != messages.PASSWORD:
                raise ProtocolViolation(reason=f"expected {self._proof.expects}, got message type {kind}")
            answer = self._proof.take(body, now)
            if self._proof.is_complete:
                return self._accept(answer)
            self.to_client.append(answer)
        return LoginStep.MORE

    def _accept(self, last_words: bytes) -> LoginStep:
        self._state = _State.DONE
        self.to_client.append(last_words + messages.authentication(messages.AUTH_OK))
        return LoginStep.ACCEPTED

    def _refuse(self, error: WireError) -> LoginStep:
        self._state = _State.DONE
        self.refusal = error
        self.to_client.append(bytes(error))
        return LoginStep.REFUSED
