"""The AWS services that are not ours: their requests go on to whoever answers for them, as they came.

The Host header and the target stay as the client sent them: signatures cover both, and S3 may read the bucket from
the host.
"""

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools
from msgspec.structs import replace

from workshape.errors import BackendUnavailable, CallerError, Invalid
from workshape.http1.client import HttpClient
from workshape.http1.hop_by_hop import end_to_end
from workshape.http1.message import Request, Response

ANSWER_S_MAX = 900.0  # nothing at AWS answers later than a function may run
_DEFAULT = "default"
_PORTS = {"http": 80, "https": 443}


class NoUpstream(CallerError):
    """Nobody answers for {service} here: set [platform] upstream.default to an address, or install the extra
    `workshape[services]`.
    """

    service: str


class Upstream:
    """Forwards requests. `addresses` are URLs by service (`dynamodb`), and `default` for all others."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        """Connects to nobody yet.

        Raises:
            Invalid: an address is no URL of http or https.
        """
        self._addresses = dict(addresses)
        self._clients = {address: _client(address) for address in self._addresses.values()}

    def __repr__(self) -> str:
        return f"<Upstream {self._addresses}>"

    async def forward(self, request: Request, service: str) -> Response:
        """Pass a request on, and the answer back.

        Raises:
            NoUpstream: nobody answers for that service.
            BackendUnavailable: whoever should, does not.
        """
        address = self._addresses.get(service) or self._addresses.get(_DEFAULT)
        if address is None:
            raise NoUpstream(service=service)
        onward = replace(request, headers=end_to_end(request.headers))
        try:
            answer = await self._clients[address].send(onward, ANSWER_S_MAX)
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reason = str(error) or type(error).__name__
            raise BackendUnavailable(backend=f"the upstream of {service}", address=address, reason=reason) from error
        return replace(answer, headers=end_to_end(answer.headers))

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()


def _client(address: str) -> HttpClient:
    url = urlsplit(address)
    if url.scheme not in _PORTS or not url.hostname:
        raise Invalid(reason=f"{address!r} is not the address of a service: http://host:port or https://host")
    tls = ssl.create_default_context() if url.scheme == "https" else None
    return HttpClient(url.hostname, url.port or _PORTS[url.scheme], tls)
