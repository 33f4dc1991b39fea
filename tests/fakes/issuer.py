"""An issuer of JSON Web Tokens on this machine: OpenID Connect's discovery, its keys, and tokens it has signed."""

import base64
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import RSAKey

from workshape.http1.message import Request, Response
from workshape.http1.server import HttpServer, serve_tcp

KEY_ID = "key-1"
KEY = RSAKey.generate_key(2_048, {"kid": KEY_ID, "use": "sig"})
OTHER = RSAKey.generate_key(2_048, {"kid": KEY_ID, "use": "sig"})


class Issuer:
    """`asked` has the paths that were fetched; while `is_down` it answers nothing useful; `keys` are those it shows."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_down = False
        self.keys: list[Any] = [KEY.as_dict(private=False), {"kty": "EC", "kid": "other"}]
        self._server: HttpServer

    async def start(self) -> None:
        """Listen."""
        self._server = await serve_tcp(self._answer, "127.0.0.1", 0)

    async def close(self) -> None:
        """Listen no more."""
        await self._server.close()

    @property
    def url(self) -> str:
        """What it is known as."""
        return f"http://127.0.0.1:{self._server.port}"

    def token(
        self, key: RSAKey = KEY, key_id: str = KEY_ID, header: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """Sign a token that is good for a minute; `header` has more for its header, things nobody knows too."""
        whole = {"iss": self.url, "aud": "me", "sub": "someone", "exp": int(time.time()) + 60, **claims}
        protected = {"alg": "RS256", "kid": key_id, **(header or {})}
        private = key.private_key
        assert private is not None
        text = f"{_part(msgspec.json.encode(protected))}.{_part(msgspec.json.encode(whole))}"
        return f"{text}.{_part(private.sign(text.encode(), PKCS1v15(), SHA256()))}"

    async def _answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        if self.is_down:
            return Response(500)
        if request.path == "/.well-known/openid-configuration":
            return _json({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        return _json({"keys": self.keys})


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _json(value: object) -> Response:
    return Response(200, (("content-type", "application/json"),), msgspec.json.encode(value))
