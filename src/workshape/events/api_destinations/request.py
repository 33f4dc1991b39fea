"""The request that an API destination gets: its endpoint, what connection and target add, and AWS's headers. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html (headers)
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_HttpParameters.html (who takes precedence)
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from workshape.events.api_destinations.connection import (
    ApiKeyAuth,
    BasicAuth,
    ConnectionParameters,
    Parameter,
)
from workshape.events.api_destinations.destination import ApiDestination
from workshape.events.http_parameters import HttpParameters

WILDCARD = "*"
USER_AGENT = "Amazon/EventBridge/ApiDestinations"
CONTENT_TYPE = "application/json; charset=utf-8"
REMOVED = frozenset(
    {
        "a-im",
        "accept-charset",
        "accept-datetime",
        "accept-encoding",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-md5",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authorization",
        "range",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "user-agent",
        "upgrade",
        "via",
        "warning",
    }
)
"""What connections and targets may have among their headers, and requests have not."""

Pairs = tuple[tuple[str, str], ...]

ALWAYS: Pairs = (
    ("User-Agent", USER_AGENT),
    ("Range", "bytes=0-1048575"),
    ("Accept-Encoding", "gzip,deflate"),
    ("Connection", "close"),
)


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request as it is sent. All but its method may have secrets in it."""

    method: str
    url: str = field(repr=False)
    headers: Pairs = field(repr=False)
    """`Host` and `Content-Length` are whoever sends it to add."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The header that authorizes a request."""

    name: str
    value: str = field(repr=False)


def basic(auth: BasicAuth) -> Credentials:
    """Write a user name and a password."""
    both = f"{auth.username}:{auth.password.value}".encode()
    return Credentials("Authorization", f"Basic {b64encode(both).decode()}")


def api_key(auth: ApiKeyAuth) -> Credentials:
    """Write an API key."""
    return Credentials(auth.name, auth.value.value)


def bearer(token: str) -> Credentials:
    """Write an access token."""
    return Credentials("Authorization", f"Bearer {token}")


def invocation_request(
    destination: ApiDestination,
    connection: ConnectionParameters,
    target: HttpParameters,
    credentials: Credentials,
    body: bytes,
) -> OutgoingRequest:
    """Make the request of one invocation; `target` has the event's values in it already."""
    url = with_query(put_in(destination.endpoint, target.path), merged_query(target.query, connection.query))
    headers = [pair for pair in target.headers.items() if pair[0].lower() not in _names(connection.headers)]
    headers += plain(connection.headers)
    return OutgoingRequest(destination.method, url, _headers(headers, credentials), with_members(body, connection.body))


def put_in(endpoint: str, values: Iterable[str]) -> str:
    """Put values in the place of a URL's wildcards, each percent-encoded; none ever gets into its host.

    AWS: undocumented what becomes of a wildcard without a value, and of a value without a wildcard; we keep the one and
    leave the other out.
    """
    parts = urlsplit(endpoint)
    left = list(values)
    path, left = _filled(parts.path, left)
    query, _ = _filled(parts.query, left)
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def merged_query(target: Mapping[str, str], connection: Iterable[Parameter]) -> list[tuple[str, str]]:
    """Join query parameters: the connection's take precedence."""
    own = plain(connection)
    taken = {key for key, _ in own}
    return [pair for pair in target.items() if pair[0] not in taken] + own


def with_query(url: str, more: Iterable[tuple[str, str]]) -> str:
    """Add query parameters to a URL."""
    encoded = urlencode(list(more), quote_via=quote)
    if not encoded:
        return url
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, encoded) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def with_members(body: bytes, members: Iterable[Parameter]) -> bytes:
    """Add a connection's members to a body, in the place of its own. What is no JSON object has none, and stays."""
    own = plain(members)
    if not own:
        return body
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body
    return msgspec.json.encode({**document, **dict(own)}) if isinstance(document, dict) else body


def plain(parameters: Iterable[Parameter]) -> list[tuple[str, str]]:
    """Uncover parameters, secrets included."""
    return [(one.key, one.value.value) for one in parameters]


def kept(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out the headers that AWS removes. Blanks around a value are no part of it (RFC 9110, section 5.5)."""
    return [(name, value.strip(" \t")) for name, value in headers if name.lower() not in REMOVED]


def _headers(given: Iterable[tuple[str, str]], credentials: Credentials) -> Pairs:
    authorizing = credentials.name.strip(" \t")
    own = [pair for pair in kept(given) if pair[0].lower() != authorizing.lower()]
    own.append((authorizing, credentials.value.strip(" \t")))
    has_type = any(name.lower() == "content-type" for name, _ in own)
    return (*ALWAYS, *([] if has_type else [("Content-Type", CONTENT_TYPE)]), *own)


def _names(parameters: Iterable[Parameter]) -> set[str]:
    return {one.key.lower() for one in parameters}


def _filled(text: str, values: list[str]) -> tuple[str, list[str]]:
    pieces = text.split(WILDCARD)
    count = min(len(pieces) - 1, len(values))
    taken = [quote(value, safe="") for value in values[:count]] + [WILDCARD] * (len(pieces) - 1 - count)
    written = pieces[0] + "".join(value + piece for value, piece in zip(taken, pieces[1:], strict=True))
    return written, values[count:]
