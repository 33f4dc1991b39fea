"""Integrations with an HTTP server: the request goes on as it came, the answer comes back.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html
"""

import ssl
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import httptools

from workshape.errors import PlatformError
from workshape.gateway.arrival import Arrival
from workshape.http1.client import HttpClient
from workshape.http1.hop_by_hop import end_to_end
from workshape.http1.message import Request, Response

ORIGINS_MAX = 256  # servers with kept connections; for a new one the longest known is let go, after what is under way
_PORTS = {"http": 80, "https": 443}


class ProxyFailed(PlatformError):
    """{url} does not answer: {reason}"""

    url: str


class ProxyTimedOut(ProxyFailed):
    """{url} did not answer within {timeout_s:g} s"""

    timeout_s: float


class HttpProxy:
    """Keeps connections to the servers behind integrations."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str, int], HttpClient] = {}

    def __repr__(self) -> str:
        return f"<HttpProxy origins={len(self._clients)}>"

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def send(
        self, arrival: Arrival, uri: str, method: str, parameters: Mapping[str, str], timeout_s: float
    ) -> Response:
        """Send a request on to a URI whose `{variables}` are the route's.

        Raises:
            ProxyFailed, ProxyTimedOut: nobody answers there.
        """
        url = urlsplit(put_in(uri, parameters))
        if url.scheme not in _PORTS or not url.hostname:
            raise ProxyFailed(url=uri, reason="it is no URL of http or https")
        query = "&".join(part for part in (url.query, arrival.request.query) if part)
        target = (url.path or "/") + (f"?{query}" if query else "")
        headers = [pair for pair in end_to_end(arrival.headers()) if pair[0] != "host"]
        headers.append(("host", url.netloc.rpartition("@")[2]))
        request = Request(method, target, tuple(headers), arrival.request.body)
        try:
            answer = await self._client(url.scheme, url.hostname, url.port).send(request, timeout_s)
        except TimeoutError as error:
            raise ProxyTimedOut(url=uri, timeout_s=timeout_s) from error
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ProxyFailed(url=uri, reason=str(error) or type(error).__name__) from error
        kept = tuple(pair for pair in end_to_end(answer.headers) if pair[0] != "content-length")
        return Response(answer.status, kept, answer.body)

    def _client(self, scheme: str, host: str, port: int | None) -> HttpClient:
        origin = (scheme, host, port or _PORTS[scheme])
        client = self._clients.get(origin)
        if client is None:
            if len(self._clients) >= ORIGINS_MAX:
                self._clients.pop(next(iter(self._clients))).retire()
            tls = ssl.create_default_context() if scheme == "https" else None
            client = self._clients[origin] = HttpClient(host, origin[2], tls)
        return client


def put_in(uri: str, parameters: Mapping[str, str]) -> str:
    """Put what a route's variables caught into a URI, percent-encoded."""
    for name, value in parameters.items():
        uri = uri.replace(f"{{{name}}}", quote(value, safe="/"))
    return uri
