"""Version numbers: each one higher than the last, and none used again, even when what had it is gone.

Source: https://docs.aws.amazon.com/lambda/latest/dg/versioning-intro.html
"""

from collections.abc import Iterator

import msgspec

from workshape.store.documents import Documents


class Numbering:
    """The highest number of each name so far. It is on disk before it is given out."""

    def __init__(self, store: Documents, kind: str) -> None:
        self._store = store
        self._kind = kind
        self._last = {name: msgspec.json.decode(document, type=int) for name, document in store.all(kind)}

    def __repr__(self) -> str:
        return f"<Numbering {self._kind} names={len(self._last)}>"

    def __contains__(self, name: object) -> bool:
        return name in self._last

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._last))

    def last(self, name: str) -> int:
        """The number given out last; 0: none yet."""
        return self._last.get(name, 0)

    def advance(self, name: str) -> int:
        """Give out the next number."""
        number = self.last(name) + 1
        self._store.put(self._kind, name, msgspec.json.encode(number))
        self._last[name] = number
        return number
