"""The keys that issuers sign tokens with: found by OpenID Connect's discovery, fetched, kept for a while.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html (times and sizes)
"""

import asyncio
from dataclasses import dataclass, field
from importlib import import_module
from math import inf
from typing import Any, Protocol

import httpx
import msgspec

from workshape.clock import Clock
from workshape.errors import BackendUnavailable
from workshape.gateway.tokens import Token, invalid

FETCH_S_MAX = 1.5
RESPONSE_BYTES_MAX = 150_000
KEEP_S = 7_200.0
AGAIN_S = 10.0
"""An issuer is not asked more often: neither for a key that it did not have, nor when it did not answer.

AWS: undocumented; we chose it.
"""
ISSUERS_MAX = 256  # ten authorizers an API; the oldest are asked again


class _Discovery(msgspec.Struct, frozen=True):
    jwks_uri: str


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[Any]


class _Keys(Protocol):
    """`token_signatures.Keys`, which is imported only where a token is checked."""

    def __contains__(self, key_id: str) -> bool: ...

    def has_signed(self, token: str, key_id: str) -> bool: ...


@dataclass(slots=True)
class _Issuer:
    keys: _Keys
    fetched_at: float = -inf
    asked_at: float = -inf
    failure: BackendUnavailable | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class TokenKeys:
    """Checks signatures of tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issuers: dict[str, _Issuer] = {}
        self._client = httpx.AsyncClient(timeout=FETCH_S_MAX, follow_redirects=False, trust_env=False)

    def __repr__(self) -> str:
        return f"<TokenKeys issuers={len(self._issuers)}>"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def check_signature(self, token: Token, issuer: str) -> None:
        """Check that the issuer signed it.

        Raises:
            NotAuthorized: it did not.
            BackendUnavailable: its keys cannot be had.
        """
        keys = await self._keys_with(issuer, token.key_id)
        if token.key_id not in keys:
            raise invalid("the issuer has no such key (kid)")
        if not keys.has_signed(token.text, token.key_id):
            raise invalid("the signature does not hold")

    async def _keys_with(self, issuer: str, key_id: str) -> _Keys:
        entry = self._issuers.get(issuer)
        if entry is None:
            if len(self._issuers) >= ISSUERS_MAX:
                del self._issuers[next(iter(self._issuers))]
            entry = self._issuers[issuer] = _Issuer(_read_keys([]))
        async with entry.turn:  # one fetch at a time, for all who wait
            now = self._clock.monotonic_s()
            is_stale = key_id not in entry.keys or now - entry.fetched_at >= KEEP_S
            if is_stale and now - entry.asked_at >= AGAIN_S:
                await self._fetch(issuer, entry, now)
            if entry.failure is not None and key_id not in entry.keys:
                raise entry.failure
            return entry.keys

    async def _fetch(self, issuer: str, entry: _Issuer, now: float) -> None:
        entry.asked_at = now
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            url = msgspec.json.decode(await self._get(url), type=_Discovery).jwks_uri
            found = msgspec.json.decode(await self._get(url), type=_KeySet)
            entry.keys = _read_keys(found.keys)
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, ValueError, RecursionError) as error:
            reason = str(error) or type(error).__name__
            entry.failure = BackendUnavailable(backend="the issuer of tokens", address=url, reason=reason)
            return
        entry.fetched_at, entry.failure = now, None

    async def _get(self, url: str) -> bytes:
        async with self._client.stream("GET", url) as response:
            response.raise_for_status()
            body = b""
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > RESPONSE_BYTES_MAX:
                    raise ValueError(f"the answer is over {RESPONSE_BYTES_MAX} bytes")
            return body


def _read_keys(keys: list[Any]) -> _Keys:
    read: _Keys = import_module("workshape.gateway.token_signatures").Keys(keys)
    return read
