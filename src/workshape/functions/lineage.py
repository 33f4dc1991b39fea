"""How often one event has come back to a function: told by the trace header that goes along with everything it causes.

AWS documents that the header carries it, and that a chain is cut after about 16 rounds; not how it is written. We write
it as public headers have it: `Lineage=1a2b3c4d:3|5e6f7a8b:1`, a function's digest and its rounds. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

ROUNDS_MAX = 16
FUNCTIONS_MAX = 32  # in one chain; the header must not grow for ever, and whoever comes later is not counted
_MEMBER = "Lineage="
_DIGEST_DIGITS = 8


def rounds(header: str, function: str) -> int:
    """Tell how often the chain has been through a function."""
    return _counts(header).get(_digest(function), 0)


def entered(header: str, function: str) -> str:
    """Count one more round of a chain through a function."""
    counts = _counts(header)
    digest = _digest(function)
    if digest in counts or len(counts) < FUNCTIONS_MAX:
        counts[digest] = counts.get(digest, 0) + 1
    return _with(header, counts)


def carried(header: str, to: str) -> str:
    """Hand the rounds that a header tells on to another one of the same chain."""
    counts = _counts(header)
    return _with(to, counts) if counts else to


def together(headers: Iterable[str]) -> str:
    """Write the rounds that several headers tell as one header: of each function the most. Empty: they tell none."""
    most: dict[str, int] = {}
    for header in headers:
        for digest, count in _counts(header).items():
            if digest in most or len(most) < FUNCTIONS_MAX:
                most[digest] = max(most.get(digest, 0), count)
    return _with("", most) if most else ""


def _with(header: str, counts: dict[str, int]) -> str:
    members = [member for member in header.split(";") if member and not member.startswith(_MEMBER)]
    told = "|".join(f"{digest}:{count}" for digest, count in counts.items())
    return ";".join([*members, f"{_MEMBER}{told}"])


def _counts(header: str) -> dict[str, int]:
    """Read the rounds. Clients may quote the header; what is no number is passed over."""
    if _MEMBER not in header:
        return {}
    told = next(member for member in unquote(header).split(";") if member.startswith(_MEMBER))
    pairs = (pair.partition(":") for pair in told.removeprefix(_MEMBER).split("|"))
    return {digest: int(count) for digest, _, count in pairs if count.isascii() and count.isdigit()}


@lru_cache(maxsize=1_024)  # functions are few
def _digest(function: str) -> str:
    return hashlib.sha256(function.encode()).hexdigest()[:_DIGEST_DIGITS]
