"""What waits to become environments: stems, and seeds, which can still become a stem of any kind.

A seed has everything that takes long and is the same for all: it is forked, has joined its cgroups (with version 1 the
kernel waits for a grace period there, tens of milliseconds) and is in its sandbox. A stem is a seed that has been told
its kind, and has done ahead what that takes: Node.js runs, Python has been through a rehearsal. Whoever wants an
environment gets a stem, else a seed, and only when there is neither must it wait for a fork.

Standard library only, Python 3.10: every interpreter that runs functions loads this file.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workshape.functions.launch.shelf import Shelf
from workshape.functions.launch.stem import Stem

KINDS_MAX = 16
"""Kinds of stems kept in stock (one for each way to start Node.js, say); the one not asked for longest goes."""
STEMS_MAX = 8
"""Of a kind. One holds 3 to 10 MB of its own."""
SEEDS_MAX = 32
"""One holds 1 to 2 MB of its own. A burst finds these."""


@dataclass(frozen=True)
class Kind:
    """What a stem is before it has a function."""

    boot: tuple[str, ...] = ()
    """The program that runs ahead, and reads the order by itself; empty: its spawner's own way."""
    variables: tuple[tuple[str, str], ...] = ()
    """What that program looks at as it starts."""


class Stock:
    """One spawner's. `fork` makes a seed; `discard` ends a process that has become nothing."""

    def __init__(
        self,
        fork: Callable[[], Stem],
        discard: Callable[[Stem], None],
        growth: Callable[[Kind], str],
        *,
        stems: int,
        now: float,
    ) -> None:
        """`stems` is the least to keep of each kind, and as many seeds; with 0 nothing is kept at all.

        `growth` is what a seed must be told to become a stem of a kind; empty: it is one as it is.
        """
        self._fork = fork
        self._discard = discard
        self._growth = growth
        self._stems = stems
        self._kinds: dict[Kind, _OfKind] = {}
        """The one asked for last is the last."""
        self._seeds: deque[Stem] = deque()
        self._seed_shelf = Shelf(stems, SEEDS_MAX if stems else 0, now)
        self._refused = False
        self._awaited = 0

    def __repr__(self) -> str:
        return f"<Stock seeds={len(self._seeds)} stems={sum(len(each.stems) for each in self._kinds.values())}>"

    def __iter__(self) -> Iterator[Stem]:
        yield from self._seeds
        for each in self._kinds.values():
            yield from each.stems

    def keep(self, kind: Kind, now: float) -> None:
        """Have stems of a kind from now on."""
        of_kind = self._kinds.pop(kind, None)
        if of_kind is None:
            grows = self._stems > 0 and self._growth(kind) != ""
            of_kind = _OfKind(Shelf(self._stems if grows else 0, STEMS_MAX if grows else 0, now))
        self._kinds[kind] = of_kind
        while len(self._kinds) > KINDS_MAX:
            self._let_go(next(iter(self._kinds)))
        of_kind.shelf.used(now, 0)
        self._seed_shelf.used(now, 0)

    def take(self, kind: Kind, memory_bytes: int, waiting: int, now: float) -> Stem:
        """Return a process that waits for the order of an environment of this kind, and keep more of them.

        `waiting` is how many more environments are about to be wanted.

        Raises:
            OSError: there is none, and none can be forked.
        """
        self._refused = False
        self._awaited = min(waiting, self._seed_shelf.most)
        self.keep(kind, now)
        of_kind = self._kinds[kind]
        of_kind.memory_bytes = memory_bytes
        of_kind.shelf.used(now)
        self._seed_shelf.used(now, soon=waiting)
        stem = self._first_alive(of_kind.stems)
        return stem if stem is not None else self._grow(kind)

    @property
    def is_awaited(self) -> bool:
        """More environments are about to be wanted than there are seeds."""
        return len(self._seeds) < self._awaited

    def lacks(self, now: float) -> bool:
        """Tell whether `add` has something to do."""
        if self._refused:
            return False
        return len(self._seeds) < self._seed_shelf.wanted(now) or self._lacking(now) is not None

    def add(self, now: float) -> None:
        """Make one more stem or seed, of what is lacking."""
        kind = self._lacking(now)
        try:
            if kind is None:
                self._seeds.append(self._fork())
                return
            stem, of_kind = self._grow(kind), self._kinds[kind]
            of_kind.stems.append(stem)
            if stem.cgroup is not None and of_kind.memory_bytes:
                stem.cgroup.limit(of_kind.memory_bytes)  # what the last were given, most likely the next will be, too
        except OSError:
            self._refused = True  # until the next start, which tells

    def shrink(self, now: float) -> float:
        """Let go what is too much by now; return when to look again."""
        for kind, of_kind in list(self._kinds.items()):
            wanted = of_kind.shelf.wanted(now)
            while len(of_kind.stems) > wanted:
                self._discard(of_kind.stems.pop())
            if of_kind.shelf.forgotten(now):
                del self._kinds[kind]
        while len(self._seeds) > self._seed_shelf.wanted(now):
            self._discard(self._seeds.pop())
        shelves = [self._seed_shelf, *(each.shelf for each in self._kinds.values())]
        return min(shelf.changes_at(now) for shelf in shelves)

    def forget_seeds(self) -> None:
        """Let go of them: they do not see what the next ones are to see."""
        while self._seeds:
            self._discard(self._seeds.pop())

    def ended(self, pid: int) -> Stem | None:
        """Hear that a process has ended; return it if it was one of these."""
        for shelf in (self._seeds, *(each.stems for each in self._kinds.values())):
            for each in shelf:
                if each.pid == pid:
                    shelf.remove(each)
                    return each
        return None

    def _lacking(self, now: float) -> Kind | None:
        for kind in reversed(self._kinds):
            if len(self._kinds[kind].stems) < self._kinds[kind].shelf.wanted(now):
                return kind
        return None

    def _grow(self, kind: Kind) -> Stem:
        seed = self._first_alive(self._seeds) or self._fork()
        if growth := self._growth(kind):
            seed.order(growth)
        return seed

    def _first_alive(self, shelf: "deque[Stem]") -> Stem | None:
        while shelf:
            each = shelf.popleft()
            if each.waits():
                return each
            self._discard(each)  # somebody has killed it while it waited; another one serves as well
        return None

    def _let_go(self, kind: Kind) -> None:
        for each in self._kinds.pop(kind).stems:
            self._discard(each)


class _OfKind:
    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.stems: deque[Stem] = deque()
        self.memory_bytes = 0
