"""JSON Web Tokens: what a token says, and whether an authorizer takes it. A core; signatures are `token_keys.py`'s.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from workshape.gateway.authorization import NotAuthorized, Why

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
"""RSA-based ones only."""
CHALLENGE = "Bearer"
TOKEN_BYTES_MAX = 8 * 1024  # the request line and all headers have 10 KiB


@dataclass(frozen=True, slots=True)
class Token:
    """A token, taken apart and not yet believed."""

    text: str
    key_id: str
    algorithm: str
    claims: Mapping[str, Any]


def read_token(value: str) -> Token:
    """Take a token apart, with or without `Bearer` before it.

    Raises:
        NotAuthorized: it is none, or signed in a way that is not taken.
    """
    text = value.strip()
    if text[:7].lower() == "bearer ":
        text = text[7:].strip()
    if not text or len(text) > TOKEN_BYTES_MAX:
        raise invalid("there is no token")
    parts = text.split(".")
    if len(parts) != 3:
        raise invalid("a JSON Web Token has three parts")
    header, claims = _object(parts[0]), _object(parts[1])
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise invalid(f"signing method {algorithm} is invalid")
    if not isinstance(key_id, str) or not key_id:
        raise invalid("the token names no key (kid)")
    return Token(text, key_id, algorithm, claims)


def check_claims(claims: Mapping[str, Any], issuer: str, audiences: Sequence[str], now: float) -> None:
    """Check whether a token is from whom, for whom and of when it must be; `now` is Unix time.

    Raises:
        NotAuthorized: it is not.
    """
    if claims.get("iss") != issuer:
        raise invalid("invalid issuer")
    audience = claims.get("aud") if claims.get("aud") is not None else claims.get("client_id")
    named = audience if isinstance(audience, list) else [audience]
    if audiences and not any(one in audiences for one in named):
        raise invalid("invalid audience")
    if not isinstance(claims.get("exp"), int | float) or now >= claims["exp"]:
        raise invalid("the token has expired")
    for claim in ("nbf", "iat"):
        since = claims.get(claim)
        if since is not None and (not isinstance(since, int | float) or now < since):
            raise invalid(f"the token is not valid yet ({claim})")


def check_scopes(claims: Mapping[str, Any], scopes: Sequence[str]) -> None:
    """Check whether a token has one of a route's scopes.

    Raises:
        NotAuthorized: it has none.
    """
    if not scopes:
        return
    given = claims.get("scope") if claims.get("scope") is not None else claims.get("scp")
    held = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
    if not any(scope in held for scope in scopes):
        challenge = f'{CHALLENGE} scope="{" ".join(scopes)}" error="insufficient_scope"'
        raise NotAuthorized(Why.NOT_ALLOWED, "the token has none of the route's scopes", challenge)


def claim_texts(claims: Mapping[str, Any]) -> dict[str, str]:
    """Write claims as functions get them: all of them text."""
    return {name: _claim_text(value) for name, value in claims.items()}


def invalid(reason: str) -> NotAuthorized:
    """Say why a token is not taken."""
    challenge = f'{CHALLENGE} scope="" error="invalid_token" error_description="{reason}"'
    return NotAuthorized(Why.UNAUTHENTICATED, reason, challenge)


def _claim_text(value: Any) -> str:
    """AWS: undocumented; observed: a list is written with spaces in brackets, the rest as in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(map(_claim_text, value))}]"
    return msgspec.json.encode(value).decode()


def _object(part: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise invalid("it is no JSON Web Token") from error
    if not isinstance(found, dict):
        raise invalid("it is no JSON Web Token")
    return found
