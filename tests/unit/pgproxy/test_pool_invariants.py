"""The pools under any sequence of events: no connection lent twice, none lost, nobody forgotten."""

from collections.abc import Sequence
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from workshape.pgproxy.pool import RETRY_S_MAX, TAKE_OVER_S, Pools
from workshape.pgproxy.pool_actions import Check, Connect, Disconnect, Lend, PoolAction, PoolKey, Refuse
from workshape.pgproxy.pool_places import PlaceState
from workshape.pgproxy.sqlstate import CONNECTION_REFUSED, INVALID_PASSWORD, TOO_MANY_CONNECTIONS, WireError
from workshape.settings import ProxySettings

BORROW_TIMEOUT_S = 5.0
KEYS = (
    PoolKey("creator", "app"),
    PoolKey("creator", "reports"),
    PoolKey("billing", "app"),
    PoolKey("billing", "reports"),
)
CONNECTIONS_MAX = {"billing": 2}
SETTINGS = ProxySettings(
    connection_borrow_timeout_s=BORROW_TIMEOUT_S, max_idle_connections_percent=50, connection_check_s=30.0
)
CHECK_S = SETTINGS.connection_check_s
IDLE_S, LIFETIME_S = SETTINGS.idle_connection_timeout_s, SETTINGS.connection_lifetime_s
UNCHECKED = ProxySettings(connection_borrow_timeout_s=BORROW_TIMEOUT_S, connection_check_s=0.0)
NO_ENTRY = WireError(INVALID_PASSWORD, "no", fatal=True)
DATA = st.data()


class PoolsOfOneServer(RuleBasedStateMachine):
    """Drives the pools as the proxy does, and keeps its own books."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pools = Pools(SETTINGS, count(1), CONNECTIONS_MAX.get)
        self.limit = 1
        self.borrowers_made = 0
        self.waiting: dict[int, tuple[PoolKey, float]] = {}
        self.connecting: dict[int, PoolKey] = {}
        self.opened: dict[int, PoolKey] = {}
        self.lent: dict[int, int] = {}
        self.checked: set[int] = set()
        self.paused: set[str | None] = set()
        self.outdated: set[int] = set()

    def is_paused(self, key: PoolKey) -> bool:
        return None in self.paused or key.database in self.paused

    def perform(self, actions: Sequence[PoolAction], *, refusals: bool = False) -> None:
        for action in actions:
            match action:
                case Connect(link, key):
                    assert not self.is_paused(key), "nothing is opened during a pause"
                    assert link not in self.connecting | self.opened, "a number is used once"
                    self.connecting[link] = key
                    assert len(self.connecting) + len(self.opened) <= self.limit
                    alike = [one for one in (self.connecting | self.opened).values() if one.database == key.database]
                    assert len(alike) <= CONNECTIONS_MAX.get(key.database, self.limit)
                case Check(link):
                    assert link not in self.lent, "nobody's connection is asked"
                    self.checked.add(link)
                case Disconnect(link):
                    assert link not in self.lent, "nobody loses what he borrowed"
                    assert link not in self.checked, "an answer is on its way"
                    del self.opened[link]
                case Lend(borrower, link, _):
                    assert isinstance(borrower, int)
                    assert link not in self.lent
                    assert link not in self.checked
                    key, _ = self.waiting.pop(borrower)
                    assert not self.is_paused(key), "nothing is lent during a pause"
                    assert link not in self.outdated, "what is to be replaced is not lent again"
                    assert self.opened[link] == key
                    assert all(other > borrower for other, (kept, _) in self.waiting.items() if kept == key)
                    self.lent[link] = borrower
                case Refuse(borrower, _):
                    assert isinstance(borrower, int)
                    assert refusals, "only time and a lasting failure refuse"
                    del self.waiting[borrower]

    @initialize(limit=st.integers(1, 5))
    def _first_connection_asks_the_server(self, limit: int) -> None:
        self.borrow(KEYS[0])
        [link] = self.connecting
        self.opened[link] = self.connecting.pop(link)
        actions = self.pools.connected(link, self.now)
        self.limit = limit
        self.perform(actions + self.pools.set_limit(limit, 0, self.now))

    @rule(key=st.sampled_from(KEYS))
    def borrow(self, key: PoolKey) -> None:
        self.borrowers_made += 1
        self.waiting[self.borrowers_made] = (key, self.now)
        self.perform(self.pools.borrow(self.borrowers_made, key, self.now))

    @rule(key=st.sampled_from(KEYS))
    def borrow_idle(self, key: PoolKey) -> None:
        """An idle connection, or nothing has happened."""
        busy = self.lent.keys() | self.checked
        idle = [link for link, kept in self.opened.items() if link not in busy and kept == key]
        link = self.pools.borrow_idle(key, self.now)
        assert (link is None) == (not idle)
        if link is not None:
            assert link in idle
            assert not self.is_paused(key), "nothing is lent during a pause"
            assert link not in self.outdated, "what is to be replaced is not lent again"
            self.borrowers_made += 1
            self.lent[link] = self.borrowers_made

    @precondition(lambda self: self.lent)
    @rule(data=DATA)
    def give_back(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.lent)))
        del self.lent[link]
        self.perform(self.pools.give_back(link, self.now))

    @precondition(lambda self: self.checked)
    @rule(data=DATA)
    def a_check_is_answered(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.checked)))
        self.checked.remove(link)
        self.perform(self.pools.checked(link, self.now))

    @precondition(lambda self: self.waiting)
    @rule(data=DATA)
    def withdraw(self, data: st.DataObject) -> None:
        borrower = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[borrower]
        self.pools.withdraw(borrower)

    @precondition(lambda self: self.connecting)
    @rule(data=DATA)
    def connected(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.connecting)))
        self.opened[link] = self.connecting.pop(link)
        self.perform(self.pools.connected(link, self.now))

    @precondition(lambda self: self.connecting)
    @rule(data=DATA, lasting=st.booleans())
    def connect_failed(self, data: st.DataObject, lasting: bool) -> None:
        link = data.draw(st.sampled_from(sorted(self.connecting)))
        key = self.connecting.pop(link)
        if lasting:
            self.perform(self.pools.failed_for_good(link, NO_ENTRY, self.now), refusals=True)
            assert all(kept != key for kept, _ in self.waiting.values())
        else:
            self.perform(self.pools.failed(link, "nobody listens", self.now))

    @precondition(lambda self: self.opened)
    @rule(data=DATA)
    def lost(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.opened)))
        del self.opened[link]
        self.lent.pop(link, None)
        self.checked.discard(link)
        self.perform(self.pools.lost(link, self.now))
        assert self.pools.state(link) is None

    @rule(database=st.sampled_from([None, "creator", "billing"]))
    def pause(self, database: str | None) -> None:
        self.paused.add(database)
        self.perform(self.pools.pause(database))
        held = [key.database for link, key in (self.opened | self.connecting).items()]
        assert self.pools.is_drained(database) == (database not in held and (database is not None or not held))

    @rule(database=st.sampled_from([None, "creator", "billing"]))
    def resume(self, database: str | None) -> None:
        self.paused = set() if database is None else self.paused - {database}
        self.perform(self.pools.resume(database, self.now))

    @rule(database=st.sampled_from([None, "creator", "billing"]))
    def renew(self, database: str | None) -> None:
        self.now += 0.001  # a connection opened at this very moment would count as old, too
        self.outdated |= {
            link for link in (*self.lent, *self.checked) if database in (None, self.opened[link].database)
        }
        self.perform(self.pools.renew(database, self.now))
        self.now += 0.001

    @rule(limit=st.integers(1, 5))
    def server_changes_its_limit(self, limit: int) -> None:
        self.limit = limit
        self.perform(self.pools.set_limit(limit, 0, self.now))

    @rule(
        seconds=st.sampled_from(
            [
                0.01,
                TAKE_OVER_S,
                1.0,
                RETRY_S_MAX,
                BORROW_TIMEOUT_S,
                SETTINGS.idle_connection_timeout_s,
                SETTINGS.connection_lifetime_s,
            ]
        )
    )
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.pools.tick(self.now), refusals=True)
        assert all(self.now - since < BORROW_TIMEOUT_S for _, since in self.waiting.values())
        assert len(self.connecting) + len(self.opened) <= self.limit or not self.pools.idle

    @invariant()
    def the_books_agree(self) -> None:
        pools = self.pools
        assert pools.waiting == len(self.waiting)
        assert pools.connections == len(self.connecting) + len(self.opened)
        assert pools.lent() == len(self.lent) + len(self.checked)
        assert pools.idle == len(self.opened) - len(self.lent) - len(self.checked)
        for link in self.opened:
            expected = PlaceState.LENT if link in self.lent else PlaceState.IDLE
            assert pools.state(link) is (PlaceState.CHECKED if link in self.checked else expected)
        assert all(pools.state(link) is PlaceState.CONNECTING for link in self.connecting)

    @invariant()
    def nobody_waits_beside_an_idle_connection_of_the_same_pool(self) -> None:
        idle = {key for link, key in self.opened.items() if link not in self.lent and link not in self.checked}
        assert not idle & {key for key, _ in self.waiting.values()}

    def teardown(self) -> None:
        """Whoever still waits is served once all is given back, no pause is left and the server answers."""
        self.resume(None)
        for _ in range(self.borrowers_made * 4 + 8):
            if not self.waiting:
                return
            for link in sorted(self.lent):
                del self.lent[link]
                self.perform(self.pools.give_back(link, self.now))
            for link in sorted(self.checked):
                self.checked.remove(link)
                self.perform(self.pools.checked(link, self.now))
            for link in sorted(self.connecting):
                self.opened[link] = self.connecting.pop(link)
                self.perform(self.pools.connected(link, self.now))
            self.now += TAKE_OVER_S / 100
            if not (self.connecting or self.lent):
                self.now += RETRY_S_MAX
                self.perform(self.pools.tick(self.now), refusals=True)
        assert not self.waiting


TestPoolsOfOneServer = PoolsOfOneServer.TestCase
TestPoolsOfOneServer.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def opened(pools: Pools, actions: Sequence[PoolAction], now: float) -> list[PoolAction]:
    """Let every connection that is asked for be opened; return what follows."""
    follows: list[PoolAction] = []
    for action in actions:
        if isinstance(action, Connect):
            follows += pools.connected(action.link, now)
    return follows


def of_limit(limit: int, settings: ProxySettings = UNCHECKED) -> Pools:
    pools = Pools(settings, count(1))
    pools.set_limit(limit, 0, 0.0)
    return pools


def lends(actions: Sequence[PoolAction]) -> dict[object, int]:
    return {action.borrower: action.link for action in actions if isinstance(action, Lend)}


def test_before_the_server_was_asked_for_its_limit_one_connection_is_opened() -> None:
    pools = Pools(SETTINGS, count(1))

    first, second = pools.borrow("a", KEYS[0], 0.0), pools.borrow("b", KEYS[0], 0.0)

    assert first == [Connect(1, KEYS[0])]
    assert second == []


def test_the_limit_is_the_configured_share_of_what_the_server_leaves_us() -> None:
    pools = Pools(ProxySettings(max_connections_percent=50), count(1))

    pools.set_limit(max_connections=103, reserved=3, now=0.0)

    assert pools.limit == 50


def test_waiters_of_one_pool_are_served_in_their_order() -> None:
    pools = of_limit(1)
    [lend] = opened(pools, pools.borrow("a", KEYS[0], 0.0), 0.0)
    for name in "bcd":
        assert pools.borrow(name, KEYS[0], 0.1) == []

    served = []
    for _ in "bcd":
        assert isinstance(lend, Lend)
        [lend] = pools.give_back(lend.link, 0.2)
        assert isinstance(lend, Lend)
        served.append(lend.borrower)

    assert served == ["b", "c", "d"]


def test_who_waited_too_long_is_refused_once_with_the_figures_and_gets_nothing_later() -> None:
    pools = of_limit(1)
    [lend] = opened(pools, pools.borrow("a", KEYS[0], 0.0), 0.0)
    pools.borrow("b", KEYS[0], 1.0)

    early = pools.tick(1.0 + BORROW_TIMEOUT_S - 0.01)
    [refusal] = pools.tick(1.0 + BORROW_TIMEOUT_S)
    later = pools.tick(1.0 + BORROW_TIMEOUT_S + 1)

    assert early == later == []
    assert isinstance(refusal, Refuse)
    assert (refusal.borrower, refusal.error.code, refusal.error.fatal) == ("b", TOO_MANY_CONNECTIONS, False)
    assert "Of 1 database connections 1 are borrowed" in refusal.error.detail
    assert isinstance(lend, Lend)
    assert pools.give_back(lend.link, 8.0) == []


def test_a_database_at_its_own_limit_keeps_no_room_from_others() -> None:
    pools = Pools(SETTINGS, count(1), {"billing": 1}.get)
    pools.set_limit(2, 0, 0.0)
    [held] = opened(pools, pools.borrow("a", PoolKey("billing", "app"), 0.0), 0.0)
    pools.borrow("b", PoolKey("billing", "app"), 0.0)

    third = pools.borrow("c", PoolKey("creator", "app"), 0.1)
    [lent] = opened(pools, third, 0.1)
    pools.borrow("d", PoolKey("creator", "reports"), 0.2)
    assert isinstance(lent, Lend)
    after = pools.give_back(lent.link, 0.2 + TAKE_OVER_S)

    assert [type(action) for action in after] == [Disconnect, Connect], "b waits longest, and this would not help it"
    assert isinstance(after[1], Connect)
    assert after[1].key == PoolKey("creator", "reports")
    assert isinstance(held, Lend)


def test_within_a_databases_limit_an_idle_connection_of_one_user_makes_way_for_another() -> None:
    pools = Pools(SETTINGS, count(1), {"billing": 1}.get)
    pools.set_limit(5, 0, 0.0)
    [held] = opened(pools, pools.borrow("a", PoolKey("billing", "app"), 0.0), 0.0)
    assert isinstance(held, Lend)
    pools.give_back(held.link, 0.1)

    actions = pools.borrow("b", PoolKey("billing", "reports"), 0.2)

    assert actions == [Disconnect(held.link), Connect(held.link + 1, PoolKey("billing", "reports"))]


def test_an_idle_connection_is_checked_again_and_again_and_stays_as_idle_as_it_was() -> None:
    pools = of_limit(1, SETTINGS)
    [lend] = opened(pools, pools.borrow("a", KEYS[0], 0.0), 0.0)
    assert isinstance(lend, Lend)
    pools.give_back(lend.link, 1.0)

    early, due = pools.tick(CHECK_S), pools.tick(1.0 + CHECK_S)
    meanwhile = pools.borrow("b", KEYS[0], 1.0 + CHECK_S)
    served = pools.checked(lend.link, 2.0 + CHECK_S)
    pools.give_back(lend.link, 3.0 + CHECK_S)
    [again] = pools.tick(3.0 + 2 * CHECK_S)
    assert isinstance(again, Check)
    rested = pools.checked(lend.link, 4.0 + 2 * CHECK_S)
    since = {link: since for link, _, _, since, _ in pools.places()}

    assert early == []
    assert due == [Check(lend.link)]
    assert meanwhile == [], "an answer is on its way: nobody gets it before"
    assert served == [Lend("b", lend.link, 1.0 + CHECK_S)]
    assert rested == []
    assert since == {lend.link: 3.0 + CHECK_S}


def test_a_server_that_cannot_be_reached_is_tried_again_with_backoff_and_named_in_the_refusal() -> None:
    pools = of_limit(3)
    now, attempts = 0.0, len(pools.borrow("a", KEYS[0], 0.0))
    link = 1

    while now < BORROW_TIMEOUT_S - 0.1:
        pools.failed(link, "connection refused", now)
        connects: list[PoolAction] = []
        while not connects and now < BORROW_TIMEOUT_S - 0.1:
            now += 0.05
            connects = pools.tick(now)
        attempts += len(connects)
        link += len(connects)
    refusals = [action for action in pools.tick(BORROW_TIMEOUT_S) if isinstance(action, Refuse)]

    assert 4 <= attempts <= 8
    assert [refusal.error.code for refusal in refusals] == [CONNECTION_REFUSED]
    assert "connection refused" in refusals[0].error.detail


def test_a_broken_connection_is_forgotten_and_replaced_for_who_waits() -> None:
    pools = of_limit(1)
    [lend] = opened(pools, pools.borrow("a", KEYS[0], 0.0), 0.0)
    pools.borrow("b", KEYS[0], 0.0)
    assert isinstance(lend, Lend)

    actions = pools.lost(lend.link, 1.0)

    assert actions == [Connect(lend.link + 1, KEYS[0])]
    assert pools.state(lend.link) is None


def test_idle_connections_beyond_the_idle_share_are_closed_when_unused_for_long() -> None:
    pools = of_limit(4)
    links = lends([lend for name in "abcd" for lend in opened(pools, pools.borrow(name, KEYS[0], 0.0), 0.0)])
    for link in links.values():
        pools.give_back(link, 10.0)

    before = pools.tick(10.0 + SETTINGS.idle_connection_timeout_s - 1)
    closed = pools.tick(10.0 + SETTINGS.idle_connection_timeout_s)

    assert before == []
    assert closed == [Disconnect(links["a"]), Disconnect(links["b"])]
    assert pools.idle == 2


def test_a_connection_past_its_lifetime_is_replaced_when_it_comes_back() -> None:
    pools = of_limit(1)
    [lend] = opened(pools, pools.borrow("a", KEYS[0], 0.0), 0.0)
    pools.borrow("b", KEYS[0], SETTINGS.connection_lifetime_s)
    assert isinstance(lend, Lend)

    actions = pools.give_back(lend.link, SETTINGS.connection_lifetime_s + 1)

    assert actions == [Disconnect(lend.link), Connect(lend.link + 1, KEYS[0])]


def test_a_pool_whose_oldest_borrower_waited_long_takes_a_busy_pools_connection() -> None:
    pools = of_limit(1)
    [lend] = opened(pools, pools.borrow("a", KEYS[0], 0.0), 0.0)
    pools.borrow("other", KEYS[1], 0.0)
    pools.borrow("b", KEYS[0], 0.01)
    assert isinstance(lend, Lend)

    [soon] = pools.give_back(lend.link, TAKE_OVER_S / 2)
    assert isinstance(soon, Lend)
    actions = pools.give_back(soon.link, TAKE_OVER_S)

    assert soon.borrower == "b"
    assert actions == [Disconnect(lend.link), Connect(lend.link + 1, KEYS[1])]


def test_a_lower_limit_is_kept_even_where_an_idle_connection_makes_way_for_another_pools() -> None:
    pools = of_limit(3)
    links = lends([lend for name in "abc" for lend in opened(pools, pools.borrow(name, KEYS[0], 0.0), 0.0)])
    pools.give_back(links["a"], 1.0)
    pools.set_limit(2, 0, 1.0)

    actions = pools.borrow("other", KEYS[1], 1.0)

    assert actions == [Disconnect(links["a"])]
    assert pools.connections == 2


def test_pools_that_nobody_uses_any_more_leave_nothing_behind() -> None:
    pools = of_limit(2)
    for number in range(50):
        key = PoolKey("creator", "app", (("search_path", str(number)),))
        [lend] = opened(pools, pools.borrow(number, key, float(number)), float(number))
        assert isinstance(lend, Lend)
        pools.give_back(lend.link, float(number))

    pools.tick(60.0)

    assert pools.connections == 2
    assert len(pools._idle) == 2


def test_a_larger_share_lets_those_in_who_wait_and_a_smaller_one_takes_from_nobody() -> None:
    shares = {percent: structs.replace(UNCHECKED, max_connections_percent=percent) for percent in (20, 30)}
    pools = Pools(shares[20], count(1))
    for borrower in (1, 2, 3):
        pools.borrow(borrower, KEYS[0], 0.0)
    first = pools.connected(1, 0.0) + pools.set_limit(10, 0, 0.0) + pools.connected(2, 0.0)

    larger = pools.apply(shares[30], 1.0)
    pools.connected(3, 1.0)
    smaller = pools.apply(shares[20], 2.0)
    back = pools.give_back(1, 3.0)

    assert first == [Lend(1, 1, 0.0), Connect(2, KEYS[0]), Lend(2, 2, 0.0)]
    assert larger == [Connect(3, KEYS[0])]
    assert (smaller, pools.limit, pools.connections) == ([], 2, 2)
    assert back == [Disconnect(1)]
