"""A certificate authority of our own, and the certificates it gives the proxy and the embedded database.

Made on first use, renewed before they expire; the authority's key never leaves its folder (0600). Clients that trust
`ca.pem` can ask for sslmode=verify-full at localhost, 127.0.0.1 and ::1.

Source: https://www.rfc-editor.org/rfc/rfc5280
"""

import contextlib
import datetime
import fcntl
import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from workshape.errors import Denied, Invalid
from workshape.pgproxy.database_tls import end_point_hash, load_certificate

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397  # the most that browsers and some TLS libraries take
RENEW_DAYS = 30  # before the end: a part runs that long with the certificate it began with
BACKDATED = datetime.timedelta(days=1)  # clocks of containers and their hosts differ
NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where they are."""

    ca: Path
    """The authority's certificate: what clients are to trust."""
    proxy_certificate: Path
    proxy_key: Path
    database_certificate: Path
    database_key: Path


def ensure_certificates(folder: Path) -> Certificates:
    """Give valid certificates, making or renewing what is missing, damaged or about to expire.

    Raises:
        Denied: the folder cannot be written.
    """
    made = Certificates(
        ca=folder / "ca.pem",
        proxy_certificate=folder / "proxy.pem",
        proxy_key=folder / "proxy.key",
        database_certificate=folder / "database.pem",
        database_key=folder / "database.key",
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "lock"):
            now = datetime.datetime.now(datetime.UTC)
            authority = _Authority.read_or_make(folder, now)
            authority.ensure("workshape proxy", made.proxy_certificate, made.proxy_key, now)
            authority.ensure("workshape database", made.database_certificate, made.database_key, now)
    except OSError as error:
        raise Denied(reason=f"the certificates cannot be kept in {folder}: {error.strerror}") from error
    return made


def ensure_certificate(folder: Path, name: str, addresses: Sequence[str]) -> tuple[Path, Path]:
    """Give a valid certificate of our authority for these addresses and localhost, and its key.

    Raises:
        Denied: the folder cannot be written.
    """
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "lock"):
            now = datetime.datetime.now(datetime.UTC)
            _Authority.read_or_make(folder, now).ensure(f"workshape {name}", certificate, key, now, addresses)
    except OSError as error:
        raise Denied(reason=f"the certificates cannot be kept in {folder}: {error.strerror}") from error
    return certificate, key


def discard_certificate(folder: Path, name: str) -> None:
    """Remove what `ensure_certificate` has made, if it has."""
    for suffix in ("pem", "key"):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How clients are spoken to over TLS."""

    context: ssl.SSLContext
    end_point: bytes
    """The hash of our certificate, for channel binding."""
    names: frozenset[str]
    """The hosts that the certificate is for, in lower case."""

    @classmethod
    def of(cls, certificate_file: Path, key_file: Path, client_ca_file: Path | None) -> "ClientTls":
        """Read the files. With an authority for clients they are asked for a certificate; who has none goes without.

        Raises:
            Invalid: the files are not there, or not what they should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # as PostgreSQL's ssl_min_protocol_version
        certificate = _load_shown(context, certificate_file, key_file)
        if client_ca_file is not None:
            try:
                context.load_verify_locations(client_ca_file)
            except OSError as error:
                raise Invalid(reason=f"the authority for clients, {client_ca_file}: {error}") from error
            context.verify_mode = ssl.CERT_OPTIONAL
        der = certificate.public_bytes(serialization.Encoding.DER)
        return cls(context, end_point_hash(der), _names(certificate))


def _load_shown(context: ssl.SSLContext, certificate_file: Path, key_file: Path) -> x509.Certificate:
    """Load what clients are shown, and give it as well: the context does not tell what it has loaded."""
    try:
        before = certificate_file.read_bytes()
        load_certificate(context, certificate_file, key_file)
        after = certificate_file.read_bytes()
        shown = x509.load_pem_x509_certificate(after)
    except (OSError, ValueError) as error:
        raise Invalid(reason=f"certificate {certificate_file} with key {key_file}: {error}") from error
    if before != after:
        raise Invalid(reason=f"certificate {certificate_file} was replaced while it was read: try again")
    return shown


def common_name(peer_certificate: Mapping[str, Any] | None) -> str | None:
    """The name that a client's certificate is for, as `ssl` reads it; None: it has none that the authority signed."""
    if not peer_certificate:
        return None
    pairs = [pair for part in peer_certificate.get("subject", ()) for pair in part]
    return next((value for name, value in pairs if name == "commonName"), "")


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return frozenset(name.lower() for name in (*hosts, *addresses))


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def read_or_make(cls, folder: Path, now: datetime.datetime) -> "_Authority":
        certificate_file, key_file = folder / "ca.pem", folder / "ca.key"
        found = _read(certificate_file, key_file, now)
        if found is not None:
            return cls(*found)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"workshape {now:%Y-%m-%d} {os.urandom(4).hex()}")])
        certificate = (
            _builder(name, name, key, now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(certificate_file, key_file, certificate, key)
        return cls(certificate, key)

    def ensure(
        self,
        name: str,
        certificate_file: Path,
        key_file: Path,
        now: datetime.datetime,
        addresses: Sequence[str] = ADDRESSES,
    ) -> None:
        found = _read(certificate_file, key_file, now)
        if found is not None and self._signed(found[0]) and _names(found[0]) >= {*NAMES, *addresses}:
            return
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        hosts = [
            *(x509.DNSName(host) for host in NAMES),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
        identifier = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _builder(subject, self.certificate.subject, key, now, CERTIFICATE_DAYS)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        _write(certificate_file, key_file, certificate, key)

    def _signed(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days) - BACKDATED)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _read(
    certificate_file: Path, key_file: Path, now: datetime.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """Read a certificate and its key; None when they are missing, damaged, of different makes, or expire soon."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    renew_at = certificate.not_valid_after_utc - datetime.timedelta(days=RENEW_DAYS)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or now > renew_at:
        return None
    return (certificate, key) if certificate.public_key() == key.public_key() else None


def _write(
    certificate_file: Path, key_file: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Write both, the key first and readable by its owner only: without its key a certificate is made again."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _replace(key_file, pem, 0o600)
    _replace(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _replace(file: Path, content: bytes, mode: int) -> None:
    writing = file.with_name(f".{file.name}.writing")
    writing.unlink(missing_ok=True)
    descriptor = os.open(writing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    writing.replace(file)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let nobody else make certificates here at the same time."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
