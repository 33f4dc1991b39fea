"""Who gets which database connection, who waits, and which connections there are.

Facts and `now` in, actions out. A connection is lent to one borrower at a time; borrowers of one pool are served in
their order; pools share the server's connections, and a pool whose oldest borrower has waited long takes one of
another's.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-connections.html
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from workshape.pgproxy.pool_actions import Borrower, Check, Connect, Disconnect, Lend, PoolAction, PoolKey, Refuse
from workshape.pgproxy.pool_places import Place, PlaceState, Wait
from workshape.pgproxy.sqlstate import WireError, borrow_timed_out
from workshape.settings import ProxySettings

TAKE_OVER_S = 0.25  # connecting anew costs some 10 ms: a pool may keep what it has for so long while another waits
RETRY_S_MIN = 0.1  # after a failure to connect, doubled with each
RETRY_S_MAX = 2.0  # a server that comes back is found within this

_IDLE, _LENT = PlaceState.IDLE, PlaceState.LENT  # names of this module's own: they are looked up at every borrow


class Pools:
    """All connections to one server, by pool, and all who wait for one."""

    def __init__(
        self,
        settings: ProxySettings,
        numbers: Iterator[int],
        connections_max: Callable[[str], int | None] = lambda _database: None,
    ) -> None:
        """`numbers` are what connections are known by, each used once; `connections_max` are databases' own limits."""
        self._settings = settings
        self._numbers = numbers
        self._connections_max = connections_max
        self._available: int | None = None
        self._limit: int | None = None
        self._idle_limit = 0
        self._places: dict[int, Place] = {}
        self._idle: dict[PoolKey, deque[Place]] = {}
        self._connecting: dict[PoolKey, int] = {}
        self._waiting: OrderedDict[Borrower, Wait] = OrderedDict()
        self._waiting_by_key: dict[PoolKey, OrderedDict[Borrower, None]] = {}
        self._idle_count = 0
        self._paused: set[str] = set()
        self._is_all_paused = False
        self._renewed_at: dict[str | None, float] = {}
        self._retry_at = 0.0
        self._retry_s = RETRY_S_MIN
        self._last_failure = ""

    def __repr__(self) -> str:
        return f"<Pools {self.describe()}>"

    @property
    def limit(self) -> int | None:
        """How many connections there may be; None while the server has not been asked."""
        return self._limit

    @property
    def waiting(self) -> int:
        """How many borrowers wait."""
        return len(self._waiting)

    @property
    def connections(self) -> int:
        """How many connections there are, those being opened included."""
        return len(self._places)

    @property
    def idle(self) -> int:
        """How many connections nobody uses."""
        return self._idle_count

    @property
    def last_failure(self) -> str:
        """Why the last attempt to connect failed; empty: it succeeded, or there was none."""
        return self._last_failure

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to connect failed, and no earlier connection is open any more."""
        return self._last_failure != "" and len(self._places) == sum(self._connecting.values())

    def lent(self) -> int:
        """How many connections are in use."""
        return len(self._places) - self._idle_count - sum(self._connecting.values())

    def state(self, link: int) -> PlaceState | None:
        """What a connection does; None for one that is not (or no longer) known."""
        place = self._places.get(link)
        return None if place is None else place.state

    def describe(self) -> str:
        """The figures, in words, as a client sees them in an error's DETAIL."""
        limit = "an unknown number" if self._limit is None else str(self._limit)
        return (
            f"Of {limit} database connections {self.lent()} are borrowed, {self._idle_count} idle and "
            f"{sum(self._connecting.values())} being opened; {len(self._waiting)} clients wait."
        )

    def places(self) -> Iterator[tuple[int, PoolKey, PlaceState, float, float]]:
        """Every connection: its number, its pool, what it does, since when, and when it was opened."""
        for place in self._places.values():
            yield place.link, place.key, place.state, place.since, place.connected

    def waits(self) -> Iterator[tuple[Borrower, PoolKey, float]]:
        """Everybody who waits, longest first: for a connection of which pool, and since when."""
        for borrower, wait in self._waiting.items():
            yield borrower, wait.key, wait.since

    # borrowers

    def borrow(self, borrower: Borrower, key: PoolKey, now: float, since: float | None = None) -> list[PoolAction]:
        """Ask for a connection: it comes at once, or later, or a refusal comes at the borrow timeout.

        `since` is when the borrower began to wait, where it has waited somewhere else before.
        """
        assert borrower not in self._waiting, "one wish at a time"
        link = self.borrow_idle(key, now)
        if link is not None:
            return [Lend(borrower, link, now if since is None else since)]
        self._waiting[borrower] = Wait(key, now)
        of_key = self._waiting_by_key.get(key)
        if of_key is None:
            of_key = self._waiting_by_key[key] = OrderedDict()
        of_key[borrower] = None
        if since is not None and since < now:
            self._move_forward(borrower, key, since)
        return self._grow(now)

    def borrow_idle(self, key: PoolKey, now: float) -> int | None:
        """Lend an idle connection, if there is one (then nobody waits for it); otherwise nothing has happened."""
        idle = self._idle.get(key)
        if not idle:
            return None
        place = idle.pop()
        self._idle_count -= 1
        place.state, place.since = _LENT, now
        return place.link

    def _move_forward(self, borrower: Borrower, key: PoolKey, since: float) -> None:
        """Give a borrower the place in the queues that is due to it."""
        self._waiting[borrower].since = since
        self._waiting = OrderedDict(sorted(self._waiting.items(), key=lambda one: one[1].since))
        of_key = sorted(self._waiting_by_key[key], key=lambda one: self._waiting[one].since)
        self._waiting_by_key[key] = OrderedDict.fromkeys(of_key)

    def withdraw(self, borrower: Borrower) -> None:
        """The borrower does not want one any more."""
        if borrower in self._waiting:
            self._stop_waiting(borrower)

    def give_back(self, link: int, now: float) -> list[PoolAction]:
        """The borrower is done with it, and it is as good as new."""
        place = self._places[link]
        assert place.state is _LENT, place
        if now - place.connected > self._settings.connection_lifetime_s or self._is_over_limit():
            return self._disconnect(place, now)
        if not (self._renewed_at or self._paused or self._is_all_paused):  # the usual, seen at a glance
            if not self._waiting:
                self._rest(place, now)
                return []
            own = self._waiting_by_key.get(place.key)
            if own and len(self._waiting_by_key) == 1:
                return [self._hand_over(place, own, now)]
        if self._is_wanted_elsewhere(place.key, now) or self._is_outdated(place):
            return self._disconnect(place, now)
        return self._offer(place, now)

    # whoever runs the proxy

    def pause(self, database: str | None) -> list[PoolAction]:
        """Lend none of this database (None: of any) until `resume`: idle ones close, others as they come back."""
        if database is None:
            self._is_all_paused = True
        else:
            self._paused.add(database)
        return self.close_idle(lambda name: database in (None, name))

    def resume(self, database: str | None, now: float) -> list[PoolAction]:
        """Lend again; None ends every pause."""
        if database is None:
            self._is_all_paused = False
            self._paused.clear()
        else:
            self._paused.discard(database)
        return self._grow(now)

    def is_paused(self, database: str) -> bool:
        """Whether connections of this database are not lent."""
        return self._is_all_paused or database in self._paused

    def is_drained(self, database: str | None) -> bool:
        """Whether the server has no connection of ours to this database (None: to any), none being opened either."""
        return not any(database in (None, place.key.database) for place in self._places.values())

    def renew(self, database: str | None, now: float) -> list[PoolAction]:
        """Replace every connection to this database (None: to any): idle ones now, others when they come back."""
        self._renewed_at[database] = now
        return [*self.close_idle(lambda name: database in (None, name)), *self._grow(now)]

    def apply(self, settings: ProxySettings, now: float) -> list[PoolAction]:
        """Go by other settings: a larger share is there for who waits, a smaller one comes with what is given back."""
        self._settings = settings
        self._take_share()
        return self._grow(now)

    def close_idle(self, of: Callable[[str], bool]) -> list[PoolAction]:
        """Close the idle connections of some databases."""
        idle = [place for places in self._idle.values() for place in places]
        return [self._close_idle(place) for place in idle if of(place.key.database)]

    def _is_outdated(self, place: Place) -> bool:
        ever = float("-inf")
        renewed = max(self._renewed_at.get(None, ever), self._renewed_at.get(place.key.database, ever))
        return place.connected <= renewed

    # connections

    def connected(self, link: int, now: float) -> list[PoolAction]:
        """It is open and logged in."""
        place = self._places[link]
        assert place.state is PlaceState.CONNECTING, place
        self._count_connected(place.key)
        self._retry_s, self._retry_at, self._last_failure = RETRY_S_MIN, 0.0, ""
        place.connected = now
        return [*self._offer(place, now), *self._grow(now)]

    def recovered(self, now: float) -> list[PoolAction]:
        """The server was seen to take connections again: do not wait any longer."""
        self._retry_s, self._retry_at, self._last_failure = RETRY_S_MIN, 0.0, ""
        return self._grow(now)

    def failed(self, link: int, reason: str, now: float) -> list[PoolAction]:
        """It could not be opened, and that may pass: try again, a little later."""
        self._forget_connecting(link)
        self._last_failure = reason
        self._retry_at = now + self._retry_s
        self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)
        return []

    def failed_for_good(self, link: int, error: WireError, now: float) -> list[PoolAction]:
        """The server does not want this user, password or database: neither will it later."""
        key = self._forget_connecting(link)
        refused: list[PoolAction] = [Refuse(borrower, error) for borrower in self._waiting_by_key.get(key, ())]
        for action in refused:
            assert isinstance(action, Refuse)
            self._stop_waiting(action.borrower)
        return [*refused, *self._grow(now)]

    def lost(self, link: int, now: float) -> list[PoolAction]:
        """It ended by itself, lent or idle."""
        place = self._places.pop(link)
        assert place.state is not PlaceState.CONNECTING, "that is `failed`"
        if place.state is PlaceState.IDLE:
            self._not_idle(place)
        return self._grow(now)

    def set_limit(self, max_connections: int, reserved: int, now: float) -> list[PoolAction]:
        """Take note of the server's own limits."""
        self._available = max(1, max_connections - reserved)
        self._take_share()
        return self._grow(now)

    def _take_share(self) -> None:
        if self._available is not None:
            self._limit = max(1, self._available * self._settings.max_connections_percent // 100)
            self._idle_limit = self._available * self._settings.max_idle_connections_percent // 100

    # time

    def tick(self, now: float) -> list[PoolAction]:
        """Let time pass: refuse who waited too long, close what was idle too long, try to connect again."""
        actions: list[PoolAction] = []
        timeout_s = self._settings.connection_borrow_timeout_s
        while self._waiting:
            borrower, wait = next(iter(self._waiting.items()))
            if now - wait.since < timeout_s:
                break
            figures = self.describe()
            self._stop_waiting(borrower)
            actions.append(Refuse(borrower, borrow_timed_out(timeout_s, figures, self._last_failure)))
        actions += self._reap(now)
        actions += self._check(now)
        actions += self._grow(now)
        return actions

    def _reap(self, now: float) -> list[PoolAction]:
        actions: list[PoolAction] = []
        lifetime_s, idle_s = self._settings.connection_lifetime_s, self._settings.idle_connection_timeout_s
        for places in list(self._idle.values()):
            while places:
                oldest = places[0]
                is_surplus = self._idle_count > self._idle_limit and now - oldest.since >= idle_s
                is_beyond = self._is_over_limit() or self._is_full(oldest.key.database, one_more=0)
                if not is_surplus and now - oldest.connected < lifetime_s and not is_beyond:
                    break
                actions.append(self._close_idle(oldest))
        self._idle = {
            key: places for key, places in self._idle.items() if places
        }  # clients name the keys: none may pile up
        return actions

    def _check(self, now: float) -> list[PoolAction]:
        """Ask those that have been idle for long whether they are still there, of each pool one at a time."""
        check_s = self._settings.connection_check_s
        due = [
            next((place for place in places if now - max(place.since, place.checked) >= check_s), None)
            for places in self._idle.values()
            if check_s
        ]
        actions: list[PoolAction] = []
        for place in due:
            if place is not None:
                self._not_idle(place)
                place.state = PlaceState.CHECKED
                actions.append(Check(place.link))
        return actions

    def checked(self, link: int, now: float) -> list[PoolAction]:
        """The server answered: the connection is idle for as long as it was before, or goes to whoever waits."""
        place = self._places[link]
        assert place.state is PlaceState.CHECKED, place
        place.checked = now
        if self.is_paused(place.key.database) or (self._renewed_at and self._is_outdated(place)):
            return self._disconnect(place, now)
        since = place.since
        actions = self._offer(place, now)
        if self.state(link) is PlaceState.IDLE:
            place.since = since
            places = self._idle[place.key]
            places.remove(place)
            places.insert(sum(other.since <= since for other in places), place)
        return actions

    # decisions

    def _grow(self, now: float) -> list[PoolAction]:
        """Open connections for those who wait, oldest first, as far as there is room."""
        actions: list[PoolAction] = []
        if not self._waiting or now < self._retry_at:
            return actions
        if not self._idle_count and not self._has_room():
            return actions  # the usual, where many wait: nothing can be opened, nor closed to make room
        planned: dict[PoolKey, int] = {}
        full: set[str] = set()
        for wait in self._waiting.values():
            database = wait.key.database
            if database in full or self.is_paused(database):
                continue
            planned[wait.key] = planned.get(wait.key, 0) + 1
            if planned[wait.key] <= self._connecting.get(wait.key, 0):
                continue
            while self._is_full(database) and (evicted := self._evict(database)) is not None:
                actions.append(evicted)
            if self._is_full(database):
                full.add(database)
            elif self._make_room(actions):
                actions.append(self._connect(wait.key, now))
            else:
                break
        return actions

    def _make_room(self, actions: list[PoolAction]) -> bool:
        """Close idle connections until the server has room for one more; False when that was not enough."""
        while not self._has_room() and (evicted := self._evict()) is not None:
            actions.append(evicted)
        return self._has_room()

    def _is_full(self, database: str, one_more: int = 1) -> bool:
        """Whether one connection more would be too many for this database, whatever room the server has."""
        most = self._connections_max(database)
        return most is not None and sum(one.key.database == database for one in self._places.values()) + one_more > most

    def _has_room(self) -> bool:
        # Before the server has been asked there is one connection, which asks it.
        return len(self._places) < (1 if self._limit is None else self._limit)

    def _is_over_limit(self) -> bool:
        return self._limit is not None and len(self._places) > self._limit

    def _evict(self, database: str | None = None) -> Disconnect | None:
        """Close what has been idle longest (to that database): nobody of its pool waits, or it would not be idle."""
        idle = (places[0] for key, places in self._idle.items() if places and database in (None, key.database))
        oldest = min(idle, key=lambda place: place.since, default=None)
        return None if oldest is None else self._close_idle(oldest)

    def _is_wanted_elsewhere(self, key: PoolKey, now: float) -> bool:
        """Whether somebody of another pool has waited long, longer than anybody of this one, and its room helps."""
        if not self._waiting or now < self._retry_at:
            return False
        own = self._waiting_by_key.get(key)
        if own and len(self._waiting_by_key) == 1:
            return False
        limit = min(now - TAKE_OVER_S, self._longest(own) if own else now)
        return any(
            self._longest(waiting) <= limit and other != key and self._would_help(key, other)
            for other, waiting in self._waiting_by_key.items()
        )

    def _longest(self, waiting: OrderedDict[Borrower, None]) -> float:
        return self._waiting[next(iter(waiting))].since

    def _would_help(self, closed: PoolKey, wanted: PoolKey) -> bool:
        """Whether a connection of one pool less lets another pool have one."""
        if self.is_paused(wanted.database):
            return False
        if self._is_full(wanted.database):
            return closed.database == wanted.database
        return not self._has_room()

    # bookkeeping

    def _offer(self, place: Place, now: float) -> list[PoolAction]:
        if self.is_paused(place.key.database):
            return self._disconnect(place, now)
        waiting = self._waiting_by_key.get(place.key)
        if waiting:
            return [self._hand_over(place, waiting, now)]
        self._rest(place, now)
        # Somebody of another pool may wait for this very room.
        return self._grow(now) if self._waiting else []

    def _hand_over(self, place: Place, waiting: OrderedDict[Borrower, None], now: float) -> Lend:
        """Lend it to whoever of its own pool has waited longest."""
        borrower, _ = waiting.popitem(last=False)
        if not waiting:
            del self._waiting_by_key[place.key]
        place.state, place.since = _LENT, now
        return Lend(borrower, place.link, self._waiting.pop(borrower).since)

    def _rest(self, place: Place, now: float) -> None:
        place.state, place.since = _IDLE, now
        self._idle.setdefault(place.key, deque()).append(place)
        self._idle_count += 1

    def _connect(self, key: PoolKey, now: float) -> Connect:
        link = next(self._numbers)
        self._places[link] = Place(link, key, PlaceState.CONNECTING, now)
        self._connecting[key] = self._connecting.get(key, 0) + 1
        return Connect(link, key)

    def _disconnect(self, place: Place, now: float) -> list[PoolAction]:
        del self._places[place.link]
        return [Disconnect(place.link), *self._grow(now)]

    def _close_idle(self, place: Place) -> Disconnect:
        self._not_idle(place)
        del self._places[place.link]
        return Disconnect(place.link)

    def _not_idle(self, place: Place) -> None:
        """Take it from its pool's idle ones, the latest of which is lent first."""
        places = self._idle[place.key]
        if places[-1] is place:
            places.pop()
        else:
            places.remove(place)
        self._idle_count -= 1

    def _forget_connecting(self, link: int) -> PoolKey:
        place = self._places.pop(link)
        assert place.state is PlaceState.CONNECTING, place
        self._count_connected(place.key)
        return place.key

    def _count_connected(self, key: PoolKey) -> None:
        self._connecting[key] -= 1
        if not self._connecting[key]:
            del self._connecting[key]

    def _stop_waiting(self, borrower: Borrower) -> None:
        wait = self._waiting.pop(borrower)
        waiting = self._waiting_by_key[wait.key]
        del waiting[borrower]
        if not waiting:
            del self._waiting_by_key[wait.key]
