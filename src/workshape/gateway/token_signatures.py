"""Signatures of JSON Web Tokens. Imported where the first token is checked: it costs a tenth of a second.

Source: https://www.rfc-editor.org/rfc/rfc7515, https://www.rfc-editor.org/rfc/rfc7517
"""

from collections.abc import Mapping, Sequence

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from workshape.gateway.tokens import ALGORITHMS


class Keys:
    """An issuer's public keys, by their ids."""

    def __init__(self, keys: Sequence[Mapping[str, str | list[str]]]) -> None:
        """Read a key set: RSA keys that sign; others are passed over.

        Raises:
            ValueError: one is none.
        """
        try:
            self._keys = {
                str(key["kid"]): RSAKey.import_key(dict(key))
                for key in keys
                if key.get("kty") == "RSA" and "kid" in key and key.get("use", "sig") == "sig"
            }
        except JoseError as error:
            raise ValueError(str(error)) from error

    def __repr__(self) -> str:
        return f"<Keys {','.join(self._keys)}>"

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def has_signed(self, token: str, key_id: str) -> bool:
        """Tell whether a token was signed with one of them."""
        try:
            jws.deserialize_compact(token, self._keys[key_id], algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            return False
        return True
