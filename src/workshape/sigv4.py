"""AWS Signature Version 4: who signed a request, for which service, whether the signature holds; and signing. A core.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qs, quote, unquote

import msgspec
from msgspec.structs import replace

from workshape.errors import Denied
from workshape.http1.message import Request

ALGORITHM = "AWS4-HMAC-SHA256"
CLOCK_SKEW_S_MAX = 900
"""AWS: five minutes for most services, 15 for S3; one bound here, the wider.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""
PRESIGNED_S_MAX = 604_800
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html (X-Amz-Expires)"""
EXPIRES_DIGITS_MAX = 9  # more than PRESIGNED_S_MAX has
_SIGNING_KEYS_MAX = 256  # one a day, region and service: more than a door ever sees at once
_SCOPES_MAX = 256  # what an Authorization says before its signature: one a day, client, region and service
_TIMESTAMPS_MAX = 64  # seconds that differ, of requests that arrive about now
_PATHS_MAX = 256  # of up to 64 KiB each; clients ask for a few over and over
_UNSIGNED = "UNSIGNED-PAYLOAD"
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([^/,\s]*)/([^/,\s]+)/aws4_request")
_SCOPE = re.compile(rf"{ALGORITHM}\s+{_CREDENTIAL.pattern},?\s*SignedHeaders=([^,\s]+),?\s*")
_SIGNATURE_CHARACTERS = 64
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


class MissingAuthentication(Denied):
    """Request is missing Authentication Token"""


class UnknownAccessKey(Denied):
    """The security token included in the request is invalid."""


class SignatureExpired(Denied):
    """Signature expired: {reason}"""

    reason: str


class SignatureMismatch(Denied):
    """The request signature we calculated does not match the signature you provided. {reason}"""

    reason: str


class Credential(msgspec.Struct, frozen=True):
    """Who signed, and for what: the credential scope."""

    access_key: str
    date: str
    region: str
    service: str
    """The signing name: `lambda`, `sqs`, `s3`."""


class Keys(msgspec.Struct, frozen=True):
    """What one signs with."""

    access_key: str
    secret_key: str
    session_token: str = ""
    """Of temporary credentials."""

    def __repr__(self) -> str:
        return f"<Keys {self.access_key}>"


class Scope(msgspec.Struct, frozen=True):
    """What a client says alike about each of its signatures."""

    credential: Credential
    signed_headers: tuple[str, ...]


class Signature(msgspec.Struct, frozen=True):
    """All that a signed request says about its signature."""

    scope: Scope
    value: str
    timestamp: str
    valid_s: int
    """How long after `timestamp` it may arrive."""
    is_presigned: bool


def find_credential(request: Request) -> Credential | None:
    """Return the credential scope, from the Authorization header or a presigned query; None: nobody signed."""
    authorization = request.header("authorization")
    if authorization:
        before, mark, _ = authorization.rpartition("Signature=")
        return _credential(before if mark else authorization)
    if "X-Amz-Credential=" in request.target:
        return _credential(unquote(request.query))
    return None


def verify(request: Request, secrets: Mapping[str, str], now: float, presigned_s_max: int = PRESIGNED_S_MAX) -> None:
    """Check that the request was signed with the secret of its access key, at about `now` (Unix time).

    `presigned_s_max` bounds how long a presigned one may say that it is valid.

    Raises:
        MissingAuthentication, UnknownAccessKey, SignatureExpired, SignatureMismatch: it was not.
    """
    fields = _fields(request)
    signature = _find_signature(request, fields)
    if signature is None:
        raise MissingAuthentication()
    credential = signature.scope.credential
    secret = secrets.get(credential.access_key)
    if secret is None:
        raise UnknownAccessKey()
    _check_age(signature, now, presigned_s_max)
    payload_hash = _payload_hash(request, fields, signature)
    value = _mac(secret, signature, _canonical_request(request, fields, signature.scope, payload_hash))
    if not hmac.compare_digest(value.encode(), signature.value.encode()):
        raise SignatureMismatch(reason="Check your secret access key and signing method.")


def sign(request: Request, keys: Keys, region: str, service: str, now: float) -> Request:
    """Sign a request (with its `host` header, and no `x-amz-*` of signing) at `now` (Unix time)."""
    timestamp = datetime.fromtimestamp(now, UTC).strftime(_DATE_FORMAT)
    token = (("x-amz-security-token", keys.session_token),) if keys.session_token else ()
    request = replace(request, headers=(*request.headers, ("x-amz-date", timestamp), *token))
    fields = _fields(request)
    credential = Credential(keys.access_key, timestamp[:8], region, service)
    scope = Scope(credential, tuple(sorted(fields)))
    signature = Signature(scope, "", timestamp, CLOCK_SKEW_S_MAX, is_presigned=False)
    payload_hash = _payload_hash(request, fields, signature)
    value = _mac(keys.secret_key, signature, _canonical_request(request, fields, scope, payload_hash))
    signer = f"Credential={keys.access_key}/{credential.date}/{region}/{service}/aws4_request"
    said = f"{ALGORITHM} {signer}, SignedHeaders={';'.join(scope.signed_headers)}, Signature={value}"
    return replace(request, headers=(*request.headers, ("authorization", said)))


def presign(request: Request, keys: Keys, region: str, service: str, now: float, valid_s: int) -> Request:
    """Sign a request (with its `host` header alone, and no body) in its query, at `now` (Unix time)."""
    timestamp = datetime.fromtimestamp(now, UTC).strftime(_DATE_FORMAT)
    credential = Credential(keys.access_key, timestamp[:8], region, service)
    said = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{credential.date}/{region}/{service}/aws4_request",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(valid_s),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.session_token:
        said["X-Amz-Security-Token"] = keys.session_token
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in said.items())
    request = replace(request, target=f"{request.target}{'&' if request.query else '?'}{query}")
    fields = _fields(request)
    signature = Signature(Scope(credential, ("host",)), "", timestamp, valid_s, is_presigned=True)
    payload_hash = _payload_hash(request, fields, signature)
    value = _mac(keys.secret_key, signature, _canonical_request(request, fields, signature.scope, payload_hash))
    return replace(request, target=f"{request.target}&X-Amz-Signature={value}")


@lru_cache(maxsize=_SCOPES_MAX)
def _credential(text: str) -> Credential | None:
    found = _CREDENTIAL.search(text)
    return Credential(*found.groups()) if found is not None else None


def _fields(request: Request) -> Mapping[str, str]:
    """The headers by name; those that came more than once as one, as they are signed."""
    fields = dict(request.headers)
    if len(fields) < len(request.headers):
        fields.clear()
        for name, value in request.headers:
            fields[name] = f"{fields[name]},{value.strip()}" if name in fields else value.strip()
    return fields


def _find_signature(request: Request, fields: Mapping[str, str]) -> Signature | None:
    authorization = fields.get("authorization")
    if authorization:
        before, _, value = authorization.rpartition("Signature=")
        scope = _scope(before)
        if scope is None or len(value) != _SIGNATURE_CHARACTERS:
            return None
        return Signature(scope, value, fields.get("x-amz-date", ""), CLOCK_SKEW_S_MAX, is_presigned=False)
    query = {name: values[0] for name, values in parse_qs(request.query).items()}
    credential = _credential(f"Credential={query.get('X-Amz-Credential', '')}")
    if credential is None or query.get("X-Amz-Algorithm") != ALGORITHM:
        return None
    expires = query.get("X-Amz-Expires", "")
    valid_s = int(expires[:EXPIRES_DIGITS_MAX]) if expires.isdecimal() else 0
    names = tuple(query.get("X-Amz-SignedHeaders", "").split(";"))
    value, timestamp = query.get("X-Amz-Signature", ""), query.get("X-Amz-Date", "")
    return Signature(Scope(credential, names), value, timestamp, valid_s, is_presigned=True)


@lru_cache(maxsize=_SCOPES_MAX)
def _scope(text: str) -> Scope | None:
    """Read an Authorization up to its signature."""
    found = _SCOPE.fullmatch(text)
    if found is None:
        return None
    *credential, headers = found.groups()
    return Scope(Credential(*credential), tuple(headers.split(";")))


def _check_age(signature: Signature, now: float, presigned_s_max: int) -> None:
    age_s = now - _signed_at(signature.timestamp)
    valid_s = min(signature.valid_s, presigned_s_max) if signature.is_presigned else signature.valid_s
    if not -CLOCK_SKEW_S_MAX <= age_s <= valid_s:
        raise SignatureExpired(reason=f"signed at {signature.timestamp}, which is {age_s:.0f} s ago")


@lru_cache(maxsize=_TIMESTAMPS_MAX)
def _signed_at(timestamp: str) -> float:
    try:
        return datetime.strptime(timestamp, _DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise SignatureMismatch(reason=f"{timestamp!r} is not an X-Amz-Date.") from error


def _payload_hash(request: Request, fields: Mapping[str, str], signature: Signature) -> str:
    """Return the hash that was signed; a hash of the body, when that is what was signed, must be the body's."""
    claimed = fields.get("x-amz-content-sha256", "")
    if signature.is_presigned and signature.scope.credential.service == "s3":
        return claimed or _UNSIGNED
    if claimed == _UNSIGNED or claimed.startswith("STREAMING-"):
        return claimed
    actual = hashlib.sha256(request.body).hexdigest()
    if claimed and claimed != actual:
        raise SignatureMismatch(reason="The body is not the one that was signed.")
    return actual


def _canonical_request(request: Request, fields: Mapping[str, str], scope: Scope, payload_hash: str) -> str:
    names = scope.signed_headers
    lines = "".join([f"{name}:{_tidy(fields.get(name, ''))}\n" for name in names])
    raw_path, _, query = request.target.partition("?")
    path = _canonical_path(raw_path, scope.credential.service)
    return f"{request.method}\n{path}\n{_canonical_query(query)}\n{lines}\n{';'.join(names)}\n{payload_hash}"


def _tidy(value: str) -> str:
    return " ".join(value.split()) if "  " in value or "\t" in value else value.strip()


@lru_cache(maxsize=_PATHS_MAX)
def _canonical_path(raw_path: str, service: str) -> str:
    """S3 signs the path as it is sent; others tidy it up and encode it once more."""
    if service == "s3":
        return raw_path or "/"
    segments: list[str] = []
    for segment in raw_path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment and segment != ".":
            segments.append(segment)
    tail = "/" if segments and raw_path.endswith("/") else ""
    return quote("/" + "/".join(segments) + tail, safe="/~")


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    return "&".join(f"{name}={value}" for name, value in sorted(_encoded_pairs(query)) if name != "X-Amz-Signature")


def _encoded_pairs(query: str) -> Iterable[tuple[str, str]]:
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            yield quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")


def _string_to_sign(signature: Signature, canonical_request: str) -> bytes:
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    signed = signature.scope.credential
    scope = f"{signed.date}/{signed.region}/{signed.service}/aws4_request"
    return f"{ALGORITHM}\n{signature.timestamp}\n{scope}\n{digest}".encode()


def _mac(secret: str, signature: Signature, canonical_request: str) -> str:
    signed = signature.scope.credential
    mac = _keyed(secret, signed.date, signed.region, signed.service).copy()
    mac.update(_string_to_sign(signature, canonical_request))
    return mac.hexdigest()


@lru_cache(maxsize=_SIGNING_KEYS_MAX)
def _keyed(secret: str, date: str, region: str, service: str) -> hmac.HMAC:
    """Make the HMAC of the signing key, to be copied: the key goes through the hash once, not with each request."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")
