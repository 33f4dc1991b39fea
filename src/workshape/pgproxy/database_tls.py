"""TLS towards a database server, with libpq's settings and their meanings.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS,
https://www.postgresql.org/docs/current/libpq-ssl.html
"""

import hashlib
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from workshape.errors import Invalid
from workshape.pgproxy.auth import ChannelBinding

SYSTEM = "system"  # in the place of a file: whom the machine trusts


class SslMode(StrEnum):
    """How much TLS there must be. Of libpq's, `allow` is not here: it begins in the clear."""

    DISABLE = "disable"
    PREFER = "prefer"
    """Where the server does it; unverified."""
    REQUIRE = "require"
    """Or no connection; unverified, or with a CA as `verify-ca`."""
    VERIFY_CA = "verify-ca"
    """Signed by the CA, for whatever name."""
    VERIFY_FULL = "verify-full"
    """Signed by the CA, for the host that is connected to."""


@dataclass(frozen=True, slots=True)
class DatabaseTls:
    """How a server is reached; the fields have libpq's names."""

    sslmode: SslMode = SslMode.DISABLE
    sslrootcert: str = ""
    """A file of the CA's, or `system`."""
    sslcert: str = ""
    sslkey: str = ""
    channel_binding: ChannelBinding = ChannelBinding.PREFER

    def __post_init__(self) -> None:
        verifies = self.sslmode in (SslMode.VERIFY_CA, SslMode.VERIFY_FULL)
        if verifies and not self.sslrootcert:
            raise Invalid(reason=f"sslmode={self.sslmode} needs sslrootcert: the CA's file, or {SYSTEM!r}")
        if self.sslrootcert == SYSTEM and self.sslmode is not SslMode.VERIFY_FULL:
            raise Invalid(reason=f"sslrootcert={SYSTEM} needs sslmode=verify-full: its CAs sign for anybody")
        if bool(self.sslcert) != bool(self.sslkey):
            raise Invalid(reason="sslcert and sslkey belong together: give both, or neither")
        if self.channel_binding is ChannelBinding.REQUIRE and self.sslmode is SslMode.DISABLE:
            raise Invalid(reason="channel_binding=require needs TLS: sslmode=require or verify-full")

    @classmethod
    def of_url(cls, url: str) -> "DatabaseTls":
        """Read what a connection URL says of TLS; like libpq, it is preferred when the URL says nothing.

        Raises:
            Invalid: it says what there is not.
        """
        query = urlsplit(url).query.replace("+", "%2B")  # libpq takes it for a plus, not for a space
        said = {name: values[-1] for name, values in parse_qs(query).items()}
        try:
            return cls(
                SslMode(said.get("sslmode", SslMode.PREFER)),
                said.get("sslrootcert", ""),
                said.get("sslcert", ""),
                said.get("sslkey", ""),
                ChannelBinding(said.get("channel_binding", ChannelBinding.PREFER)),
            )
        except ValueError as error:
            modes = ", ".join(mode for mode in SslMode)
            bindings = ", ".join(binding for binding in ChannelBinding)
            raise Invalid(reason=f"{error}: sslmode is one of {modes}; channel_binding one of {bindings}") from error

    @property
    def is_wanted(self) -> bool:
        """Whether the server is asked for it."""
        return self.sslmode is not SslMode.DISABLE

    @property
    def is_optional(self) -> bool:
        """Whether to go on in the clear with a server that does no TLS."""
        return self.sslmode is SslMode.PREFER and self.channel_binding is not ChannelBinding.REQUIRE

    def context(self) -> ssl.SSLContext | None:
        """Make what the handshake goes by; None: there is to be none.

        Raises:
            Invalid: a file is not there, or not what it should be.
        """
        if not self.is_wanted:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.sslmode is SslMode.VERIFY_FULL
        verifies = self.sslmode is not SslMode.PREFER and bool(self.sslrootcert)
        context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
        try:
            if verifies and self.sslrootcert == SYSTEM:
                context.load_default_certs()
            elif verifies:
                context.load_verify_locations(self.sslrootcert)
        except OSError as error:  # ssl.SSLError too
            raise Invalid(reason=f"sslrootcert {self.sslrootcert}: {error}") from error
        if self.sslcert:
            load_certificate(context, Path(self.sslcert), Path(self.sslkey))
        return context


def load_certificate(context: ssl.SSLContext, certificate_file: Path, key_file: Path) -> None:
    """Show this certificate to the other side.

    Raises:
        Invalid: the files are not there, or not what they should be.
    """
    try:
        # Without a password OpenSSL would ask for one at the terminal, where nobody sits.
        context.load_cert_chain(certificate_file, key_file, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise Invalid(reason=f"certificate {certificate_file} with key {key_file}: {error}") from error


def end_point_hash(certificate: bytes) -> bytes:
    """Hash a certificate (DER) as channel binding does: with its signature's own hash, but SHA-256 at least.

    Source: https://www.rfc-editor.org/rfc/rfc5929#section-4.1
    """
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    strong = isinstance(algorithm, hashes.SHA384 | hashes.SHA512 | hashes.SHA224)
    return hashlib.new(algorithm.name if strong and algorithm is not None else "sha256", certificate).digest()
