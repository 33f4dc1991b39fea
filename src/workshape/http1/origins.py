"""Where a browser's request comes from, by the headers that pages cannot write. A core.

A page may have its reader's browser send requests to any address, this machine's among them. Browsers say so: in
`Origin`, in `Sec-Fetch-Site`, and a page that has pointed a name of its own at this machine (DNS rebinding) still has
that name in `Host`.

Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import ipaddress
from collections.abc import Collection, Mapping
from enum import Enum, auto

from workshape.http1.message import Request

THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAME_ORIGIN = ("", "same-origin")
"""Of `Sec-Fetch-Site`; older browsers do not send it, and send `Origin`."""
BY_HAND = "none"
"""Of `Sec-Fetch-Site`: an address that was typed, or a bookmark."""
_ORIGIN = "origin"
_SITE = "sec-fetch-site"
_SIGNS = frozenset({_ORIGIN, _SITE, "accept-language"})
"""Browsers send the last with everything, and it is all they send with a GET of a page at an http:// name. Node.js's
fetch sends it too, with `Sec-Fetch-Mode` and without `Sec-Fetch-Site`, which no browser does.

Source: https://fetch.spec.whatwg.org/#http-network-or-cache-fetch, https://www.w3.org/TR/fetch-metadata/
"""
_NOBODYS_SUFFIXES = (
    *(".localhost", ".internal", ".local", ".test", ".home.arpa"),
    *(".amazonaws.com", ".amazonaws.com.cn", ".on.aws"),
)
"""Names that nobody can have in the public DNS, and AWS's: no page points one of them at this machine.

Source: https://www.iana.org/assignments/special-use-domain-names/ (and ICANN's resolution 2024.07.29.06: .internal)
"""


class Sender(Enum):
    """Who has sent a request."""

    OURS = auto()
    """A program, or a browser for a page from here or for its user."""
    ALLOWED = auto()
    """A page of an origin that the settings allow."""
    FOREIGN = auto()
    """A page of another origin."""
    MISDIRECTED = auto()
    """A browser that was led here by a name that is not ours."""


class Origins:
    """The origins whose pages may send requests to a listener, and the names that it goes by."""

    def __init__(self, allowed: Collection[str] = (), host: str = "127.0.0.1") -> None:
        """`allowed` are origins as browsers write them; `host` is what is listened on."""
        self._allowed = frozenset(allowed)
        self._names = THIS_MACHINE | {host} | {host_name(origin.partition("://")[2]) for origin in allowed}

    def __repr__(self) -> str:
        return f"<Origins {','.join(sorted(self._allowed))}>"

    def sender(self, headers: Mapping[str, str]) -> Sender:
        """Tell who has sent a request with these headers."""
        if headers.keys().isdisjoint(_SIGNS) or (_SITE not in headers and "sec-fetch-mode" in headers):
            return Sender.OURS
        host, origin, site = headers.get("host", ""), headers.get(_ORIGIN), headers.get(_SITE, "")
        if not self._is_ours(host_name(host)):
            return Sender.MISDIRECTED
        if origin in self._allowed:
            return Sender.ALLOWED
        if origin is None:
            return Sender.OURS if site in (*SAME_ORIGIN, BY_HAND) else Sender.FOREIGN
        # https: whoever comes through a tunnel may have TLS up to there.
        is_own = origin in (f"http://{host}", f"https://{host}") and site in SAME_ORIGIN
        return Sender.OURS if is_own else Sender.FOREIGN

    def _is_ours(self, name: str) -> bool:
        """A name without a dot, such as a container's, is nobody's in the public DNS either."""
        return name in self._names or "." not in name or name.endswith(_NOBODYS_SUFFIXES) or _is_address(name)


def host_name(host: str) -> str:
    """Take the port off a `Host` header: whoever comes through a tunnel has one of their own."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def is_from_a_web_page(request: Request) -> bool:
    """Tell whether a browser sent it for a page: commands and scripts send none of these."""
    return any(name in (_ORIGIN, _SITE, "referer") for name, _ in request.headers)


def is_link_followed(request: Request) -> bool:
    """Tell whether somebody opens an address in a window of its own: no other page sees what is there."""
    return request.header("sec-fetch-mode") == "navigate" and request.header("sec-fetch-dest") == "document"


def is_preflight(request: Request) -> bool:
    """Tell whether a browser asks before it sends its request."""
    return request.method == "OPTIONS" and bool(request.header("access-control-request-method"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
