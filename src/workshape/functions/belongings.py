"""What belongs to a function or a layer: durable documents by its name, and by a key of their own, such as a version.

Names and keys are text without a colon.
"""

from collections.abc import Container, Iterator
from typing import Generic, TypeVar

import msgspec

from workshape.store.documents import Documents

T = TypeVar("T", bound=msgspec.Struct)


class Belongings(Generic[T]):
    """Documents of one kind. Used on the event loop's thread; a change is on disk when its method returns."""

    def __init__(self, store: Documents, kind: str, shape: type[T], owners: Container[str]) -> None:
        """Read what there is; what an owner that is gone has left behind is removed."""
        self._store = store
        self._kind = kind
        self._items: dict[str, dict[str, T]] = {}
        for document, text in store.all(kind):
            name, _, key = document.partition(":")
            if name in owners:
                self._items.setdefault(name, {})[key] = msgspec.json.decode(text, type=shape)
            else:
                store.delete(kind, document)

    def __repr__(self) -> str:
        return f"<Belongings {self._kind} owners={len(self._items)}>"

    def put(self, name: str, key: str, item: T) -> T:
        """Write one, replacing what was there."""
        self._store.put(self._kind, f"{name}:{key}", msgspec.json.encode(item))
        self._items.setdefault(name, {})[key] = item
        return item

    def get(self, name: str, key: str) -> T | None:
        """Find one."""
        return self._items.get(name, {}).get(key)

    def of(self, name: str) -> dict[str, T]:
        """An owner's, by key."""
        return dict(self._items.get(name, {}))

    def items(self) -> Iterator[tuple[str, str, T]]:
        """Every owner's, each with its owner and its key."""
        for name, items in self._items.items():
            for key, item in items.items():
                yield name, key, item

    def all(self) -> list[T]:
        """Every owner's."""
        return [item for _, _, item in self.items()]

    def delete(self, name: str, key: str) -> bool:
        """Remove one; tell whether it was there."""
        self._items.get(name, {}).pop(key, None)
        return self._store.delete(self._kind, f"{name}:{key}")

    def drop(self, name: str) -> None:
        """Remove all of an owner's, with one write to the disk: a function may have a thousand versions."""
        self._store.change(deleted=[(self._kind, f"{name}:{key}") for key in self._items.pop(name, {})])
