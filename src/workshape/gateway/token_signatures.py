"""Signatures of JSON Web Tokens. Imported where the first token is checked: it costs a tenth of a second.

Source: https://www.rfc-editor.org/rfc/rfc7515, https://www.rfc-editor.org/rfc/rfc7517
"""

from collections.abc import Iterator, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from workshape.gateway.tokens import ALGORITHMS

_KEY_MEMBERS = ("kty", "n", "e")
_REGISTRY = jws.JWSRegistry(strict_check_header=False)
"""What it does not know in a token's header is passed over, unless `crit` names it (RFC 7515 section 4)."""


class Keys:
    """An issuer's public keys, by their ids."""

    def __init__(self, keys: Sequence[Any]) -> None:
        """Read a key set as it came: RSA keys that sign; what is none is passed over (RFC 7517 section 5)."""
        self._keys = dict(_rsa_keys(keys))

    def __repr__(self) -> str:
        return f"<Keys {','.join(self._keys)}>"

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def has_signed(self, token: str, key_id: str) -> bool:
        """Tell whether a token was signed with one of them."""
        try:
            jws.deserialize_compact(token, self._keys[key_id], algorithms=list(ALGORITHMS), registry=_REGISTRY)
        except (JoseError, ValueError):
            return False
        return True


def _rsa_keys(keys: Sequence[Any]) -> Iterator[tuple[str, RSAKey]]:
    for key in keys:
        if not isinstance(key, dict) or key.get("kty") != "RSA" or (key.get("use") or "sig") != "sig":
            continue
        key_id, members = key.get("kid"), {name: key.get(name) for name in _KEY_MEMBERS}
        if not isinstance(key_id, str) or not all(isinstance(value, str) for value in members.values()):
            continue
        try:
            # What else a key says of itself, such as since when it is good, is no part of it.
            yield key_id, RSAKey.import_key({name: str(value) for name, value in members.items()})
        except (JoseError, ValueError):
            continue
