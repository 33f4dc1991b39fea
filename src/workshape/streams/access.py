"""How to be let into a Kafka cluster: what its servers ask for, as values, and why they refuse. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-troubleshoot.html (the words of the refusals)
"""

from dataclasses import dataclass, field
from enum import StrEnum

from workshape.errors import PlatformError


class SaslMechanism(StrEnum):
    """How a user and a password are proven, as SASL names it."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the cluster."""

    mechanism: SaslMechanism
    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client shows of itself in TLS's handshake."""

    chain: str = field(repr=False)
    """PEM: the client's own certificate first."""
    private_key: str = field(repr=False)
    """PEM, PKCS #8."""
    private_key_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """What a cluster asks of its clients. Any of it means TLS."""

    login: Login | None = None
    certificate: ClientCertificate | None = None
    server_ca: str | None = field(default=None, repr=False)
    """PEM: who must have signed the servers' certificates; None: any authority that this machine trusts."""

    @property
    def is_encrypted(self) -> bool:
        """Whether to speak TLS."""
        return self != ClusterAccess()


class AccessRefused(PlatformError):
    """The cluster and its client do not let each other in: {reason}"""

    retryable = True
    reason: str
    """For the log: what its words do not say."""


class LoginRefused(AccessRefused):
    """SASL authentication failed"""


class ClientRefused(AccessRefused):
    """Server failed to authenticate Lambda"""


class ServerRefused(AccessRefused):
    """Lambda failed to authenticate server"""


class CertificateUnusable(AccessRefused):
    """Provided certificate or private key is invalid"""


class TlsRefused(AccessRefused):
    """{servers} does not speak TLS, without which neither credentials nor certificates are sent: {reason}"""

    # AWS: undocumented; we chose the words.
    servers: str


class NotAuthorized(AccessRefused):
    """Cluster failed to authorize Lambda"""
