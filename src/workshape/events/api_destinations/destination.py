"""API destinations as values: an HTTP endpoint, the connection for it, and how often it is called. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from workshape.errors import Conflict, Invalid, NotFound

DESTINATIONS_MAX = 3_000
RATE_PER_S_DEFAULT = 300
"""Source, of both: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""
PREFIX = ":api-destination/"


class ApiDestination(msgspec.Struct, frozen=True, kw_only=True):
    """One API destination. Durable as it is; times are Unix times."""

    name: str
    connection_arn: str
    endpoint: str
    """A URL; each `*` in it is a wildcard."""
    method: str
    rate_per_s: int = RATE_PER_S_DEFAULT
    arn: str = ""
    description: str = ""
    created_at: float = 0.0
    modified_at: float = 0.0


# The errors. AWS: undocumented; we chose the words.


class DestinationNotFound(NotFound):
    """ApiDestination {name} does not exist."""


class DestinationExists(Conflict):
    """ApiDestination {name} already exists."""

    name: str


class InvalidEndpoint(Invalid):
    """Parameter {parameter} is not valid. Reason: {reason}"""

    parameter: str


def is_destination(arn: str) -> bool:
    """Tell whether an ARN names an API destination."""
    return PREFIX in arn


def destination_arn(region: str, account: str, name: str, key: str) -> str:
    """Name an API destination; `key` is a UUID that another one of the same name does not have."""
    return f"arn:aws:events:{region}:{account}{PREFIX}{name}/{key}"


def check_endpoint(parameter: str, url: str) -> None:
    """Check where requests with credentials would go: over https, or over http no further than this machine.

    AWS takes https alone; what developers run beside workshape seldom has a certificate.

    Raises:
        InvalidEndpoint: they may not go there.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise InvalidEndpoint(parameter=parameter, reason=f"it is no URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidEndpoint(parameter=parameter, reason="it must be a URL that begins with https://.")
    if parts.username is not None:
        raise InvalidEndpoint(parameter=parameter, reason="a user and a password belong into a connection.")
    if parts.scheme == "http" and not _is_this_machine(host):
        reason = "the URL must use HTTPS; http:// is possible for this machine alone (127.0.0.1, localhost)."
        raise InvalidEndpoint(parameter=parameter, reason=reason)


def _is_this_machine(host: str) -> bool:
    """`localhost` and what is below it is this machine by RFC 6761, section 6.3."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
