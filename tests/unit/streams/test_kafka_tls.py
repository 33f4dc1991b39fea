"""Certificates and keys as Lambda takes them for Kafka: PEM, PKCS #8, encrypted by PBES1 if at all.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html
"""

import base64
import ssl
import tempfile
import textwrap
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.fakes.certificate_authority import CertificateAuthority, Files
from workshape.streams.access import CertificateUnusable, ClientCertificate, ClusterAccess
from workshape.streams.kafka_tls import tls_context

PASSWORD = "testpassword"
SHROUDED_KEY_BAG = bytes.fromhex("060b2a864886f70d010c0a0102")
"""The object identifier 1.2.840.113549.1.12.10.1.2; an encrypted key follows, as PKCS #8 has it."""


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "authority")


@pytest.fixture
def files(authority: CertificateAuthority) -> Files:
    return authority.issue("a client")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are for a moment."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def context_of(files: Files, key: str, password: str | None = None) -> ssl.SSLContext:
    chain = files.certificate.read_text()
    return tls_context(ClusterAccess(certificate=ClientCertificate(chain, key, password)))


def private_key(files: Files) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def pbes1_key(files: Files) -> str:
    """Encrypt a key by PBES1, which `cryptography` does within PKCS #12 only."""
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(1_000)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(PASSWORD.encode())
    )
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    packed = pkcs12.serialize_key_and_certificates(b"k", private_key(files), certificate, None, encryption)
    start = packed.index(SHROUDED_KEY_BAG) + len(SHROUDED_KEY_BAG)
    _, encrypted = element(packed[start:])  # [0]
    length, _ = element(encrypted)
    lines = textwrap.wrap(base64.b64encode(encrypted[:length]).decode(), 64)
    return "\n".join(["-----BEGIN ENCRYPTED PRIVATE KEY-----", *lines, "-----END ENCRYPTED PRIVATE KEY-----"])


def element(der: bytes) -> tuple[int, bytes]:
    """Return how long the first element is, and what is in it."""
    size = der[1]
    head = 2
    if size & 0x80:
        head += size & 0x7F
        size = int.from_bytes(der[2:head])
    return head + size, der[head : head + size]


def pbes2_key(files: Files) -> str:
    encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
    pem = private_key(files).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem.decode()


def test_a_key_may_be_encrypted_by_pbes1(files: Files, temporary: Path) -> None:
    context_of(files, pbes1_key(files), PASSWORD)

    assert not list(temporary.iterdir())


def test_a_key_that_is_not_encrypted_needs_no_password(files: Files, temporary: Path) -> None:
    context_of(files, files.key.read_text(), "of no use")

    assert not list(temporary.iterdir())


def test_only_the_given_authority_is_trusted(authority: CertificateAuthority) -> None:
    context = tls_context(ClusterAccess(server_ca=authority.file.read_text()))

    assert len(context.get_ca_certs()) == 1
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_what_lambda_does_not_take_is_refused(files: Files, authority: CertificateAuthority, temporary: Path) -> None:
    traditional = private_key(files).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    refused = {
        "PBES2": (pbes2_key(files), PASSWORD),
        "PKCS #8": (traditional.decode(), None),
        "with its password": (pbes1_key(files), "another"),
        "cannot be read": ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", None),
        "not the key's": (authority.issue("another client").key.read_text(), None),
    }

    for reason, (key, password) in refused.items():
        with pytest.raises(CertificateUnusable) as raised:
            context_of(files, key, password)
        assert reason in raised.value.reason

    with pytest.raises(CertificateUnusable, match=r"^Provided certificate or private key is invalid$"):
        tls_context(ClusterAccess(server_ca="no certificate"))
    assert not list(temporary.iterdir())
