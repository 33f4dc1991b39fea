"""What a client of a Kafka cluster needs to speak TLS: whom it trusts, and what it shows of itself.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html (the forms of certificates and keys)
"""

import base64
import binascii
import os
import secrets
import ssl
import tempfile
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from workshape.streams.access import CertificateUnusable, ClientCertificate, ClusterAccess

PLAIN_KEY, ENCRYPTED_KEY = "-----BEGIN PRIVATE KEY-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----"
"""PKCS #8 in PEM."""
PBES2 = bytes.fromhex("06092a864886f70d01050d")
"""The object identifier of the encryption that Lambda does not take, 1.2.840.113549.1.5.13, in DER."""
PBES2_WITHIN_BYTES = 24  # after the heads of two sequences, of at most five bytes each


def tls_context(access: ClusterAccess) -> ssl.SSLContext:
    """Make the context of a client's connections. It reads files.

    Raises:
        CertificateUnusable: a certificate or the private key is of another form, or they do not belong together.
    """
    try:
        context = ssl.create_default_context(cadata=access.server_ca)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateUnusable(reason=f"the authority's certificate is not in PEM: {error}") from error
    # Python's default since 3.13 refuses certificates that lack what few authorities of one's own put into them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if access.certificate is not None:
        _show(context, access.certificate)
    return context


def _show(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """Have a certificate shown. `ssl` takes it from a file only: there its key is encrypted, for a moment."""
    passphrase = secrets.token_hex(32)
    key = _encrypted_with(passphrase.encode(), certificate)
    descriptor, path = tempfile.mkstemp(prefix="workshape-", suffix=".pem")  # its owner's only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + certificate.chain.encode())
        context.load_cert_chain(path, password=passphrase)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateUnusable(reason=f"the certificate is not in PEM, or not the key's: {error}") from error
    finally:
        Path(path).unlink()


def _encrypted_with(passphrase: bytes, certificate: ClientCertificate) -> bytes:
    pem, password = certificate.private_key.strip(), None
    if pem.startswith(ENCRYPTED_KEY):
        password = (certificate.private_key_password or "").encode()
        if _is_pbes2(pem):
            raise CertificateUnusable(reason="the private key is encrypted with PBES2, and Lambda takes PBES1 only")
    elif not pem.startswith(PLAIN_KEY):
        raise CertificateUnusable(reason="the private key is not in PEM, as PKCS #8")
    try:
        key = serialization.load_pem_private_key(pem.encode(), password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnusable(reason="the private key cannot be read, or not with its password") from error
    encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _is_pbes2(pem: str) -> bool:
    try:
        return PBES2 in base64.b64decode(pem.splitlines()[1].strip())[:PBES2_WITHIN_BYTES]
    except (binascii.Error, IndexError):
        return False  # it cannot be read at all
