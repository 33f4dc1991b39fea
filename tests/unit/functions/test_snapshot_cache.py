"""Which snapshots stay in memory: the invariants, and what each fact decides. No clock: `now` is a number."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from workshape.functions.model import FunctionName
from workshape.functions.snapshot_cache import RETRY_S, SnapshotCache, SnapshotKey

KEPT_MAX, IDLE_S = 2, 100.0
NAMES = [FunctionName("f"), FunctionName("g")]
KEYS: list[SnapshotKey] = [(name, revision) for name in NAMES for revision in ("1", "2", "3")]
A, B, C = KEYS[:3]


class CacheMachine(RuleBasedStateMachine):
    """An outside world that makes, uses, loses and retires snapshots as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.cache = SnapshotCache(KEPT_MAX, IDLE_S)
        self.making: set[SnapshotKey] = set()
        self.alive: set[SnapshotKey] = set()
        """Processes that a driver would have."""
        self.never: set[SnapshotKey] = set()

    @rule(key=st.sampled_from(KEYS))
    def is_wanted(self, key: SnapshotKey) -> None:
        if self.cache.begin(key, self.now):
            assert key not in self.making | self.alive | self.never
            self.making.add(key)

    @rule(data=st.data(), for_good=st.booleans())
    def fails(self, data: st.DataObject, for_good: bool) -> None:
        if self.making:
            key = data.draw(st.sampled_from(sorted(self.making)))
            self.making.discard(key)
            self.cache.failed(key, self.now, for_good=for_good)
            self.never |= {key} if for_good else set()
            assert not self.cache.begin(key, self.now), "not at once again"

    @rule(data=st.data())
    def is_made(self, data: st.DataObject) -> None:
        if self.making:
            key = data.draw(st.sampled_from(sorted(self.making)))
            self.making.discard(key)
            self.alive.add(key)
            self.alive -= set(self.cache.kept(key, self.now))

    @rule(key=st.sampled_from(KEYS))
    def is_used(self, key: SnapshotKey) -> None:
        self.cache.used(key, self.now)

    @rule(key=st.sampled_from(KEYS))
    def ends_by_itself(self, key: SnapshotKey) -> None:
        self.alive.discard(key)
        self.cache.lost(key)

    @rule(name=st.sampled_from(NAMES), revisions=st.sets(st.sampled_from(["1", "2", "3"])))
    def function_changes(self, name: FunctionName, revisions: set[str]) -> None:
        self.alive -= set(self.cache.retire(name, revisions))
        self.never -= {key for key in self.never if key[0] == name and key[1] not in revisions}
        assert not {key for key in self.alive if key[0] == name and key[1] not in revisions}

    @rule(seconds=st.sampled_from([1.0, 50.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.alive -= set(self.cache.expire(self.now))
        assert self.cache.next_expiry() > self.now

    @invariant()
    def what_is_alive_is_what_is_kept_and_never_too_much(self) -> None:
        assert self.alive == {key for key in KEYS if key in self.cache}
        assert len(self.alive) == len(self.cache) <= KEPT_MAX


TestCache = CacheMachine.TestCase


def keep(cache: SnapshotCache, key: SnapshotKey, now: float) -> list[SnapshotKey]:
    assert cache.begin(key, now)
    return cache.kept(key, now)


def test_the_one_used_longest_ago_goes_for_a_new_one() -> None:
    cache = SnapshotCache(KEPT_MAX, IDLE_S)
    keep(cache, A, 1.0)
    keep(cache, B, 2.0)
    cache.used(A, 3.0)

    assert keep(cache, C, 4.0) == [B]


def test_one_that_nobody_starts_from_goes_in_time() -> None:
    cache = SnapshotCache(KEPT_MAX, IDLE_S)
    keep(cache, A, 0.0)
    cache.used(A, 10.0)

    assert cache.next_expiry() == 10.0 + IDLE_S
    assert (cache.expire(10.0 + IDLE_S - 1), cache.expire(10.0 + IDLE_S)) == ([], [A])


def test_one_that_failed_is_tried_again_later_and_one_that_cannot_be_copied_never() -> None:
    cache = SnapshotCache(KEPT_MAX, IDLE_S)
    for key, for_good in ((A, False), (B, True)):
        cache.begin(key, 0.0)
        cache.failed(key, 0.0, for_good=for_good)

    assert (cache.begin(A, RETRY_S - 1), cache.begin(A, RETRY_S), cache.begin(B, 1e9)) == (False, True, False)


def test_with_none_to_keep_none_is_made() -> None:
    assert not SnapshotCache(0, IDLE_S).begin(A, 0.0)
