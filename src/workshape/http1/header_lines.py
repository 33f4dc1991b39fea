"""Header lines from the wire. No loop of ours: every request goes through here."""

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
