"""Header lines from the wire, and what they say of their message. Reading them is no loop of ours: all requests do."""

from collections.abc import Sequence
from itertools import repeat

from workshape.http1.message import HeaderPairs

_NAMES_MAX = 512  # spellings of names: clients send a few dozen; one that comes later is decoded each time


class _Names(dict[bytes, str]):
    """Names as they are sent, and as `HeaderPairs` have them: in lower case."""

    def __missing__(self, name: bytes) -> str:
        lower = name.decode("latin-1").lower()
        if len(self) < _NAMES_MAX:
            self[name] = lower
        return lower


_names = _Names()


def decoded(lines: Sequence[bytes]) -> HeaderPairs:
    """Make pairs of names and values that came by turns."""
    return tuple(zip(map(_names.__getitem__, lines[::2]), map(str, lines[1::2], repeat("latin-1")), strict=True))


def declares_body(headers: HeaderPairs) -> bool:
    """Tell whether a body comes after them."""
    return any(name == "transfer-encoding" or (name == "content-length" and value != "0") for name, value in headers)


def names_two_hosts(headers: HeaderPairs) -> bool:
    """Tell whether it is unclear who is meant. Source: https://www.rfc-editor.org/rfc/rfc9112#section-3.2"""
    return sum(name == "host" for name, _ in headers) > 1
