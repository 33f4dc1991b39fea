"""Random passwords. A core: the randomness is given.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from workshape.secrets.model import InvalidParameter

LENGTH_DEFAULT = 32
PUNCTUATION = string.punctuation
"""The same characters, in the same order, as AWS's page has."""


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """What a password is made of."""

    length: int = LENGTH_DEFAULT
    excluded: str = ""
    types: Sequence[str] = (string.ascii_uppercase, string.ascii_lowercase, string.digits, PUNCTUATION)
    """The characters of each type that is included."""
    has_space: bool = False
    needs_each_type: bool = True


def make_password(rules: PasswordRules, random: Random) -> str:
    """Make a password; `random` is to be a source that nobody can guess.

    Raises:
        InvalidParameter: nothing is left to choose from, or it is too short to have one of each type.
    """
    types = ["".join(one for one in type_ if one not in rules.excluded) for type_ in rules.types]
    allowed = "".join(types) + (" " if rules.has_space and " " not in rules.excluded else "")
    if not allowed:
        raise InvalidParameter(reason="All characters are excluded: there is nothing to make a password of.")
    required = [type_ for type_ in types if type_] if rules.needs_each_type else []
    if len(required) > rules.length:
        reason = f"A password of {rules.length} can't have one of each of {len(required)} character types."
        raise InvalidParameter(reason=reason)
    chosen = [random.choice(type_) for type_ in required]
    chosen += random.choices(allowed, k=rules.length - len(required))
    random.shuffle(chosen)
    return "".join(chosen)
