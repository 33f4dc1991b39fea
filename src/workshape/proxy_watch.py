"""Asks the PostgreSQL proxy, which is a process of its own, how it stands."""

import httptools
import msgspec

from workshape.errors import BackendUnavailable
from workshape.http1.client import HttpClient
from workshape.http1.message import Request
from workshape.status import ProxyStatus

ANSWER_S_MAX = 1.0  # another process of this machine; somebody waits for a page


class ProxyWatch:
    """Asks when it is asked."""

    def __init__(self, proxy: HttpClient) -> None:
        """`proxy` reaches its figures; it stays the caller's to close."""
        self._proxy = proxy

    def __repr__(self) -> str:
        return f"<ProxyWatch {self._proxy!r}>"

    async def status(self) -> ProxyStatus:
        """Ask for pools, who holds connections, and pins.

        Raises:
            BackendUnavailable: it does not answer, or not as expected.
        """
        try:
            response = await self._proxy.send(Request("GET", "/status", (("host", "proxy"),)), ANSWER_S_MAX)
            assert isinstance(response.body, bytes), "the figures are short"
            return msgspec.json.decode(response.body, type=ProxyStatus)
        except (OSError, httptools.HttpParserError, msgspec.DecodeError) as error:
            reason = str(error) or type(error).__name__
            raise BackendUnavailable(backend="the proxy", address="its status port", reason=reason) from error
