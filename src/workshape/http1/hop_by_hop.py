"""What a proxy does not pass on: the headers that are about one connection.

Source: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
"""

from collections.abc import Iterable

from workshape.http1.message import HeaderPairs

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""`expect` is not RFC 9110's: the server has met it by the time there is a request to pass on."""


def end_to_end(headers: Iterable[tuple[str, str]]) -> HeaderPairs:
    """Leave out what concerns one connection; names are in lower case."""
    return tuple(pair for pair in headers if pair[0] not in _HOP_BY_HOP)
