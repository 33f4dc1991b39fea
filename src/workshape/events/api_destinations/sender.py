"""Sends a request to wherever its URL says, and reads the answer. Each has a connection of its own, as on AWS."""

import asyncio
import ssl

import httpx

from workshape.delivery import Undelivered
from workshape.events.api_destinations.answer import TIMEOUT_S, Answer, timed_out, unreachable, unwritable
from workshape.events.api_destinations.request import OutgoingRequest

ANSWER_BYTES_MAX = 1_048_576
"""What requests ask for in their `Range`; what is beyond is not read."""


class HttpSender:
    """Trusts whom the machine trusts; no proxy, no redirect."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<HttpSender timeout_s={self._timeout_s:g}>"

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, request: OutgoingRequest) -> Answer | Undelivered:
        """Send a request; return its answer (the body as it came), or why there is none, without secrets."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(request)
        except TimeoutError:
            return timed_out()
        except (httpx.LocalProtocolError, httpx.InvalidURL, httpx.UnsupportedProtocol):
            return unwritable()
        except httpx.ConnectError as error:
            return unreachable(str(error))
        except httpx.HTTPError as error:
            return unreachable(type(error).__name__)

    async def _exchange(self, request: OutgoingRequest) -> Answer:
        url = httpx.URL(request.url)
        headers = [(b"Host", url.netloc), *((name.encode(), value.encode()) for name, value in request.headers)]
        sent = httpx.Request(request.method, _on_this_machine(url), headers=headers, content=request.body)
        response = await self._opened().send(sent, stream=True)
        try:
            body = b""
            async for piece in response.aiter_raw():
                body += piece
                if len(body) >= ANSWER_BYTES_MAX:
                    break
            pairs = tuple((name.lower(), value) for name, value in response.headers.items())
            return Answer(response.status_code, pairs, body[:ANSWER_BYTES_MAX])
        finally:
            await response.aclose()

    def _opened(self) -> httpx.AsyncClient:
        """Make the client when there is something to send: it costs some milliseconds, and most engines need none."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=ssl.create_default_context(),
                timeout=None,  # noqa: S113 - the whole exchange has one
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                follow_redirects=False,
                trust_env=False,
            )
        return self._client


def _on_this_machine(url: httpx.URL) -> httpx.URL:
    """Name the machine itself instead of what is below `localhost`, which not every resolver takes for it.

    Else a name service could have credentials sent over a network in the clear. Source: RFC 6761, section 6.3
    """
    if url.scheme == "http" and url.host.endswith(".localhost"):
        return url.copy_with(host="127.0.0.1")
    return url
