"""A user as the proxy knows them: by what they prove who they are, and what is known of their password. A core."""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum

from workshape.pgproxy.auth import ScramVerifier, md5_secret


class IamAuth(StrEnum):
    """Whether a user comes with an IAM token, by RDS's names.

    AWS has ENABLED for Microsoft SQL Server alone; here it is for whoever moves from passwords to tokens.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_UserAuthConfig.html (IAMAuth)
    """

    DISABLED = "DISABLED"
    """With the password."""
    REQUIRED = "REQUIRED"
    """With a token, over TLS."""
    ENABLED = "ENABLED"
    """With either; a token over TLS."""


class PasswordAuth(StrEnum):
    """How a client proves its password, by RDS's names.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_UserAuthConfig.html (ClientPasswordAuthType)
    """

    SCRAM = "POSTGRES_SCRAM_SHA_256"
    MD5 = "POSTGRES_MD5"
    """For drivers of old: whoever listens without TLS can try passwords at leisure."""


class CertificateUse(StrEnum):
    """Whether a user comes with a certificate, by PostgreSQL's names: `clientcert`'s and the method `cert`.

    Source: https://www.postgresql.org/docs/current/auth-pg-hba-conf.html,
    https://www.postgresql.org/docs/current/auth-cert.html
    """

    NONE = "none"
    VERIFY_CA = "verify-ca"
    """One that the authority signed, and the password (or token)."""
    VERIFY_FULL = "verify-full"
    """One in the user's name, and the password (or token)."""
    CERT = "cert"
    """One in the user's name, and nothing else."""


@dataclass(frozen=True, slots=True)
class LoginRules:
    """By what a user proves to the proxy who they are."""

    iam: IamAuth = IamAuth.DISABLED
    password_auth: PasswordAuth = PasswordAuth.SCRAM
    certificate: CertificateUse = CertificateUse.NONE
    certificate_names: tuple[str, ...] = ()
    """The common names that may come as this user; empty: the user's own."""


@dataclass(frozen=True, slots=True)
class KnownPassword:
    """What is kept of a password to check it: one of the two for each way of proving it."""

    verifier: ScramVerifier
    md5: bytes = field(repr=False, default=b"")
    """As `pg_authid.rolpassword` has it; empty when it cannot be known."""

    @classmethod
    def of(cls, user: str, password: str, salt: bytes) -> "KnownPassword":
        """Keep it."""
        return cls(ScramVerifier.of_password(password, salt), md5_secret(user, password))

    def is_same(self, other: "KnownPassword") -> bool:
        """Tell whether both are of one password, with one salt."""
        return hmac.compare_digest(self.verifier.stored_key, other.verifier.stored_key)


@dataclass(frozen=True, slots=True)
class Account:
    """One user."""

    rules: LoginRules = LoginRules()
    password: KnownPassword | None = None
    """None: it is not known, or not yet."""
    can_be_relearned: bool = False
    """It was read from somewhere, and can be read again when a client seems to know a newer one."""

    def may_come_as(self, user: str, common_name: str) -> bool:
        """Tell whether a certificate in that name is one of this user's."""
        return common_name in (self.rules.certificate_names or (user,))
