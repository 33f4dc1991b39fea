"""The ways AWS lets one name a function: its name, a partial ARN, an ARN, each with or without a qualifier. A core.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html (FunctionName)
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from workshape.arn import function_arn
from workshape.errors import Invalid, NotFound
from workshape.functions.model import FunctionName

NAME_CHARACTERS_MAX = 64
_NAMES_MAX = 1_024  # callers name few functions, over and over
_REFERENCE = re.compile(
    r"(?:(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?function:)?"
    r"(?P<name>[a-zA-Z0-9-_]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]+))?"
)


class FunctionNotFound(NotFound):
    """Function not found: {name}"""


class UnreachableFunction(Invalid):
    """Functions of {owner} cannot be reached from here: this is {here}."""

    owner: str
    here: str


class InvalidFunctionName(Invalid):
    """{name!r} is not a function's name: 1 to 64 letters, digits, hyphens and underscores, or an ARN."""

    name: str


class QualifierMismatch(Invalid):
    """The derived qualifier from the function name does not match the specified qualifier."""


@dataclass(frozen=True, slots=True)
class FunctionReference:
    """A function, and the version or alias of it that is meant; None: the caller left it open."""

    name: FunctionName
    qualifier: str | None

    def arn(self, region: str, account: str) -> str:
        """Name it in full."""
        return function_arn(region, account, self.name, self.qualifier)


@lru_cache(maxsize=_NAMES_MAX)
def parse_function_name(text: str, qualifier: str | None, *, region: str, account: str) -> FunctionReference:
    """Read a function's name in any of its forms; `qualifier` is one given beside it.

    Raises:
        InvalidFunctionName: it is none.
        UnreachableFunction: it is another region's or account's.
        QualifierMismatch: it carries another qualifier than the one beside it.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None or len(found["name"]) > NAME_CHARACTERS_MAX:
        raise InvalidFunctionName(name=text)
    for own, other in ((region, found["region"]), (account, found["account"])):
        if other is not None and other != own:
            raise UnreachableFunction(owner=other, here=own)
    carried = found["qualifier"]
    if carried and qualifier and carried != qualifier:
        raise QualifierMismatch()
    return FunctionReference(FunctionName(found["name"]), carried or qualifier)
