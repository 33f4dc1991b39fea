"""Durable documents of one kind, all of them in memory as well: APIs, deployments, keys, usage plans."""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from workshape.errors import NotFound
from workshape.store.documents import Documents

T = TypeVar("T", bound=msgspec.Struct)


class Shelf(Generic[T]):
    """Used on the event loop's thread; a change is on disk when its method returns."""

    def __init__(self, store: Documents, kind: str, shape: type[T], missing: type[NotFound]) -> None:
        """Read what there is; `missing` is raised for what is not."""
        self._store = store
        self._kind = kind
        self._missing = missing
        self._items: dict[str, T] = {key: msgspec.json.decode(text, type=shape) for key, text in store.all(kind)}

    def __repr__(self) -> str:
        return f"<Shelf {self._kind} items={len(self._items)}>"

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)

    def below(self, prefix: str) -> list[T]:
        """All whose key begins so."""
        return [item for key, item in self._items.items() if key.startswith(prefix)]

    def find(self, key: str) -> T | None:
        """Find one, if it is there."""
        return self._items.get(key)

    def get(self, key: str) -> T:
        """Find one that must be there.

        Raises:
            NotFound: the kind that was named when the shelf was made.
        """
        item = self._items.get(key)
        if item is None:
            raise self._missing(kind=self._kind, name=key)
        return item

    def put(self, key: str, item: T) -> T:
        """Write one, replacing what was there."""
        self._store.put(self._kind, key, msgspec.json.encode(item))
        self._items[key] = item
        return item

    def delete(self, key: str) -> None:
        """Remove one.

        Raises:
            NotFound: it is not there.
        """
        self.get(key)
        self._store.delete(self._kind, key)
        del self._items[key]
