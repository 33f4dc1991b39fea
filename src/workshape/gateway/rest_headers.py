"""Which headers a REST API keeps to itself, and which it gives another name: to functions, and to clients. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html (its table)
"""

from collections.abc import Iterable, Iterator

from workshape.http1.message import HeaderPairs

REMAPPED = "x-amzn-remapped-"
_SIGNATURE = "AWS4-"

_NOT_FOR_FUNCTIONS = frozenset(
    {
        "connection",
        "content-md5",
        "expect",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "te",
        "trailer",
        "transfer-encoding",  # there an "exception"; clients that send chunks are let through here
        "upgrade",
        "www-authenticate",
    }
)
_NOT_FOR_CLIENTS = frozenset(
    {"expect", "host", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "via"}
)
_RENAMED = frozenset(
    {
        "authorization",
        "connection",
        "content-md5",
        "date",
        "max-forwards",
        "server",
        "user-agent",
        "www-authenticate",
    }
)


def for_function(headers: HeaderPairs, *, is_signed: bool) -> HeaderPairs:
    """Leave out what a function does not get; `is_signed`: the method takes signed requests. Names in small letters."""
    return tuple(
        (name, value)
        for name, value in headers
        if name not in _NOT_FOR_FUNCTIONS
        and not (name == "authorization" and (is_signed or value.startswith(_SIGNATURE)))
    )


def for_client(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Leave out what a client does not get of a response, and rename what is the API's own. Names in small letters."""
    for name, value in headers:
        if name not in _NOT_FOR_CLIENTS:
            yield (REMAPPED + name if name in _RENAMED else name), value
