"""A function's own HTTP address, and who may use it from where. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
"""

from enum import StrEnum

import msgspec

MARK = ".lambda-url."


class AuthType(StrEnum):
    """Who may call."""

    NONE = "NONE"
    AWS_IAM = "AWS_IAM"


class InvokeMode(StrEnum):
    """How the response comes.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/config-rs-invoke-furls.html
    """

    BUFFERED = "BUFFERED"
    RESPONSE_STREAM = "RESPONSE_STREAM"


class Cors(msgspec.Struct, frozen=True):
    """What browsers are told of other origins.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html
    """

    allow_credentials: bool = False
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_s: int = 0


class FunctionUrl(msgspec.Struct, frozen=True):
    """The address of a function's $LATEST or of one of its aliases."""

    id: str
    auth_type: AuthType
    created_at: float
    """Unix time."""
    modified_at: float
    cors: Cors | None = None
    invoke_mode: InvokeMode = InvokeMode.BUFFERED


def url_host(url_id: str, region: str) -> str:
    """Name the host of a URL: one that resolves to this machine wherever `localhost` and what is below it does.

    Source: https://www.rfc-editor.org/rfc/rfc6761#section-6.3
    """
    return f"{url_id}{MARK}{region}.localhost"


def url_id_of(host: str) -> str:
    """Read the id out of a Host header; empty: it is no function URL's. What follows the mark does not matter."""
    url_id, mark, _ = host.partition(MARK)
    return url_id if mark else ""
