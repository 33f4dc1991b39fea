"""The keys that issuers sign tokens with: found by OpenID Connect's discovery, fetched, kept for a while.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html (times and sizes)
"""

import asyncio
from dataclasses import dataclass, field
from math import inf

import httpx
import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from workshape.clock import Clock
from workshape.errors import BackendUnavailable
from workshape.gateway.tokens import ALGORITHMS, Token, invalid

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
    keys: list[dict[str, str | list[str]]]


@dataclass(slots=True)
class _Issuer:
    keys: dict[str, RSAKey] = field(default_factory=dict)
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
        key = await self._key(issuer, token.key_id)
        if key is None:
            raise invalid("the issuer has no such key (kid)")
        try:
            jws.deserialize_compact(token.text, key, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError) as error:
            raise invalid("the signature does not hold") from error

    async def _key(self, issuer: str, key_id: str) -> RSAKey | None:
        entry = self._issuers.get(issuer)
        if entry is None:
            if len(self._issuers) >= ISSUERS_MAX:
                del self._issuers[next(iter(self._issuers))]
            entry = self._issuers[issuer] = _Issuer()
        async with entry.turn:  # one fetch at a time, for all who wait
            now = self._clock.monotonic_s()
            is_stale = key_id not in entry.keys or now - entry.fetched_at >= KEEP_S
            if is_stale and now - entry.asked_at >= AGAIN_S:
                await self._fetch(issuer, entry, now)
            if entry.failure is not None and key_id not in entry.keys:
                raise entry.failure
            return entry.keys.get(key_id)

    async def _fetch(self, issuer: str, entry: _Issuer, now: float) -> None:
        entry.asked_at = now
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            url = msgspec.json.decode(await self._get(url), type=_Discovery).jwks_uri
            found = msgspec.json.decode(await self._get(url), type=_KeySet)
            entry.keys = {
                str(key["kid"]): RSAKey.import_key(key)
                for key in found.keys
                if key.get("kty") == "RSA" and "kid" in key and key.get("use", "sig") == "sig"
            }
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, JoseError, ValueError) as error:
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
