"""Ids as API Gateway makes them: lower-case letters and digits, ten for an API, seven for what is in one."""

import secrets
import string

_ALPHABET = string.ascii_lowercase + string.digits
API_ID_LENGTH = 10
MEMBER_ID_LENGTH = 7


def new_api_id() -> str:
    """Make an API's: it begins with a letter, as a host name's label should."""
    return secrets.choice(string.ascii_lowercase) + _random(API_ID_LENGTH - 1)


def new_member_id(length: int = MEMBER_ID_LENGTH) -> str:
    """Make one of anything in an API."""
    return _random(length)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
