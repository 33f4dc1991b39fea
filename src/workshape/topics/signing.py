"""Signs notifications as SNS does, with a key and a certificate of this platform's own. A driver.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import datetime
from base64 import b64encode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from workshape.store.documents import Documents

DOCUMENT_KIND = "topic-signing"
_KEY, _CERTIFICATE = "key", "certificate"
_KEY_BITS = 2_048
_VALID_DAYS = 3_650
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - SNS's version 1
"""By signature version. Source: https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html"""


class Signer:
    """Makes its key when something is first signed, and keeps it. A signature costs about a millisecond."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._key: rsa.RSAPrivateKey | None = None
        self._certificate = b""

    def __repr__(self) -> str:
        return f"<Signer ready={self._key is not None}>"

    def sign(self, text: str, version: str) -> str:
        """Sign a text; the signature in base64."""
        return b64encode(self._ready().sign(text.encode(), padding.PKCS1v15(), _HASHES[version])).decode()

    def certificate(self) -> bytes:
        """The certificate, in PEM, by which signatures are verified."""
        self._ready()
        return self._certificate

    def _ready(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            kept = dict(self._documents.all(DOCUMENT_KIND))
            if kept.keys() != {_KEY, _CERTIFICATE}:
                kept = self._make()
            key = serialization.load_pem_private_key(kept[_KEY], None)
            assert isinstance(key, rsa.RSAPrivateKey), "made below"
            self._key, self._certificate = key, kept[_CERTIFICATE]
        return self._key

    def _make(self) -> dict[str, bytes]:
        key = rsa.generate_private_key(65_537, _KEY_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "workshape topics")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
            .sign(key, hashes.SHA256())
        )
        made = {
            _KEY: key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            _CERTIFICATE: certificate.public_bytes(serialization.Encoding.PEM),
        }
        for part, value in made.items():
            self._documents.put(DOCUMENT_KIND, part, value)
        return made
