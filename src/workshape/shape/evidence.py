"""Evidence: what the records of a function amount to. Every figure is measured; what was not, is None."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workshape.functions.batch_items import BatchItemFact
from workshape.shape.item_history import ItemHistory, item_history
from workshape.shape.laws import quantile
from workshape.shape.observations import SUCCESS, THROTTLED, TIMEOUT, ConnectionSample, Observation
from workshape.shape.work import WorkDescription

OBSERVATIONS_MIN = 30
"""Quantiles and means of fewer are not evidence: the usual rule of thumb for a mean's distribution."""
LONG_S = 86_400.0
"""Traffic follows the day: a shorter window says nothing about a month's mean rate."""
SCALE_OUT_WINDOW_S = 2.0
"""The first seconds of a burst, where its cold starts are (verdict rule 13)."""
SCALING_PERIOD_S = 10.0
CONNECTIONS_LINGER_S = 2.0
"""Connections outlive the last invocation a little: until the sampler has seen them."""
FAILED_SHARE_MAX = 0.05


@dataclass(frozen=True, slots=True)
class Window:
    """When it was observed."""

    first: float
    """Unix time of the first invocation's start."""
    last: float
    """And of the last one's end."""
    invocations: int
    rate_per_s: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.last - self.first

    @property
    def is_long(self) -> bool:
        """Whether its mean rate may stand for a month's."""
        return self.seconds >= LONG_S


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values in ascending order."""

    values: tuple[float, ...]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Their mean."""
        return sum(self.values) / len(self.values)

    @property
    def variation(self) -> float:
        """Their squared coefficient of variation: 0 when all are equal, 1 when they are exponential."""
        mean = self.mean
        return sum((value - mean) ** 2 for value in self.values) / len(self.values) / mean**2 if mean else 0.0

    def quantile(self, share: float) -> float:
        """The nearest-rank quantile; the largest value when there are too few to have it."""
        return quantile(self.values, share)

    def describe(self, share: float) -> str:
        """Say what `quantile` gives: a quantile, or the largest of few."""
        name = f"p{share * 100:g}"
        if self.count * (1 - share) < 1:
            return f"{name}, here the largest of {self.count:,}"
        return f"{name} of {self.count:,}"


@dataclass(frozen=True, slots=True)
class TriggerEvidence:
    """The invocations through one kind of source."""

    trigger: str
    durations_ms: Distribution
    per_item_ms: Distribution | None
    """Duration of an invocation by the number of its items; None: no batch sizes were recorded."""
    timeouts: int


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """The window with the most cold starts."""

    invocations: int
    cold: int
    latency_p99_ms: float

    @property
    def cold_share(self) -> float:
        """Share of invocations that waited for a new environment."""
        return self.cold / self.invocations


@dataclass(frozen=True, slots=True)
class BatchEvidence:
    """How batches ended, from the invocations' side."""

    batches: int
    items: int
    failed_items: int
    partial: int
    """Batches of which some items failed and some did not."""
    invalid_responses: int | None
    """Batches that failed whole although the function returned; None: no record of their items."""
    errors: int
    """Batches of several items whose invocation failed."""


@dataclass(frozen=True, slots=True)
class ConnectionEvidence:
    """The database's connections while the function ran."""

    samples: int
    peak: int
    others: int
    """The fewest at any time, in all samples: what is there without this function."""
    max_connections: int
    shared_with: tuple[str, ...]
    """Other functions with that database that ran in the same window."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All measures of one function."""

    function: str
    window: Window | None
    """None: no invocation was recorded."""
    failed: int
    timeouts: int
    throttled: int
    set_aside: int
    """Records with another memory size or timeout than the app file has now."""
    triggers: tuple[TriggerEvidence, ...]
    warm_ms: Distribution | None
    """Durations of invocations without an init phase."""
    warm_latency_ms: Distribution | None
    """What callers waited when an environment was idle; None: there was none."""
    cold_latency_ms: Distribution | None
    """What callers waited when there was an init phase; None: there was none."""
    cold_duration_ms: Distribution | None
    init_ms: Distribution | None
    scale_out: ScaleOut | None
    concurrency_peak: int | None
    offered_peak_per_s: int | None
    """Most arrivals in one second, throttled ones included."""
    starts_peak: int | None
    """Most environments started in ten seconds."""
    environments_peak: int | None
    memory_mb_peak: int | None
    payload_bytes_peak: int | None
    batches: BatchEvidence | None
    items: ItemHistory | None
    connections: ConnectionEvidence | None
    cautions: tuple[str, ...]

    @property
    def cold_starts(self) -> int:
        """How many invocations had an init phase before them."""
        return self.init_ms.count if self.init_ms is not None else 0


def gather_evidence(
    work: WorkDescription,
    observations: Iterable[Observation],
    facts: Iterable[BatchItemFact] = (),
    samples: Sequence[ConnectionSample] = (),
    busy_windows: Mapping[str, tuple[float, float]] | None = None,
) -> Evidence:
    """Measure one function. `busy_windows`: when the app's other functions with a database ran, by name."""
    own = [one for one in observations if one.function == work.name]
    current = [one for one in own if one.memory_mb == work.memory_mb and one.timeout_s == work.timeout_s]
    current.sort(key=lambda one: (one.time, one.request_id))
    ran = [one for one in current if one.status != THROTTLED]
    warm = [one for one in ran if not one.is_cold]
    cold = [one for one in ran if one.is_cold]
    own_facts = [fact for fact in facts if fact.function == work.name]
    limits = {queue.queue: queue.receive_count_max for queue in work.queues}
    items = item_history(own_facts, limits) if own_facts else None
    window = _window(ran)
    failed = sum(one.status != SUCCESS for one in ran)
    return Evidence(
        function=work.name,
        window=window,
        failed=failed,
        timeouts=sum(one.status == TIMEOUT for one in ran),
        throttled=len(current) - len(ran),
        set_aside=len(own) - len(current),
        triggers=_by_trigger(ran),
        warm_ms=_distribution(one.duration_ms for one in warm),
        warm_latency_ms=_distribution(one.latency_ms for one in ran if one.found_idle),
        cold_latency_ms=_distribution(one.latency_ms for one in cold),
        cold_duration_ms=_distribution(one.duration_ms for one in cold),
        init_ms=_distribution(one.init_ms for one in cold if one.init_ms is not None),
        scale_out=_scale_out(ran) if cold else None,
        concurrency_peak=max((one.concurrency for one in ran), default=None),
        offered_peak_per_s=_most_within([one.time for one in current], 1.0) if current else None,
        starts_peak=_most_within([one.time for one in cold], SCALING_PERIOD_S) if ran else None,
        environments_peak=max((one.environments for one in ran), default=None),
        memory_mb_peak=max((one.max_memory_mb for one in ran), default=None),
        payload_bytes_peak=max((max(one.request_bytes, one.response_bytes) for one in ran), default=None),
        batches=_batches(ran, items),
        items=items,
        connections=_connections(work.name, window, samples, busy_windows or {}),
        cautions=tuple(_cautions(ran, failed, len(own) - len(current))),
    )


def _window(ran: Sequence[Observation]) -> Window | None:
    if not ran:
        return None
    first, last = ran[0].time, max(one.ended_at for one in ran)
    seconds = max(last - first, 1e-3)  # the records' resolution: a lone invocation has no rate worth naming
    return Window(first, last, len(ran), len(ran) / seconds)


def _distribution(values: Iterable[float]) -> Distribution | None:
    ordered = tuple(sorted(values))
    return Distribution(ordered) if ordered else None


def _by_trigger(ran: Sequence[Observation]) -> tuple[TriggerEvidence, ...]:
    by_trigger: dict[str, list[Observation]] = defaultdict(list)
    for one in ran:
        by_trigger[one.trigger].append(one)
    return tuple(
        TriggerEvidence(
            trigger=trigger,
            durations_ms=Distribution(tuple(sorted(one.duration_ms for one in ones))),
            per_item_ms=_distribution(one.duration_ms / one.batch_items for one in ones if one.batch_items),
            timeouts=sum(one.status == TIMEOUT for one in ones),
        )
        for trigger, ones in sorted(by_trigger.items())
    )


def _scale_out(ran: Sequence[Observation]) -> ScaleOut:
    """Slide a window over the arrivals; of those with the most cold starts, the first."""
    arrivals = sorted((one.arrived_at, one.is_cold, one.latency_ms) for one in ran)
    best, start, cold = (-1, 0, 0), 0, 0
    for end, (at, is_cold, _) in enumerate(arrivals):
        cold += is_cold
        while arrivals[start][0] < at - SCALE_OUT_WINDOW_S:
            cold -= arrivals[start][1]
            start += 1
        if cold >= best[0] and (cold > best[0] or start == best[1]):
            best = (cold, start, end)
    chosen = arrivals[best[1] : best[2] + 1]
    latencies = sorted(latency for _, _, latency in chosen)
    return ScaleOut(len(chosen), best[0], quantile(latencies, 0.99))


def _most_within(times: Sequence[float], seconds: float) -> int:
    most, start = 0, 0
    for end, at in enumerate(times):
        while times[start] < at - seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


def _batches(ran: Sequence[Observation], items: ItemHistory | None) -> BatchEvidence | None:
    noted = [(one, one.batch_items, one.batch_failures or 0) for one in ran if one.batch_items is not None]
    if not noted:
        return None
    invalid = None
    if items is not None:
        invalid = sum(one.status == SUCCESS and one.request_id in items.whole_batch_requests for one, _, _ in noted)
    return BatchEvidence(
        batches=len(noted),
        items=sum(count for _, count, _ in noted),
        failed_items=sum(failures for _, _, failures in noted),
        partial=sum(0 < failures < count for _, count, failures in noted),
        invalid_responses=invalid,
        errors=sum(one.status != SUCCESS and count > 1 for one, count, _ in noted),
    )


def _connections(
    name: str,
    window: Window | None,
    samples: Sequence[ConnectionSample],
    busy_windows: Mapping[str, tuple[float, float]],
) -> ConnectionEvidence | None:
    if window is None:
        return None
    end = window.last + CONNECTIONS_LINGER_S
    seen = [sample for sample in samples if window.first <= sample.time <= end]
    if not seen:
        return None
    others = [
        other
        for other, (first, last) in busy_windows.items()
        if other != name and first <= end and last >= window.first
    ]
    return ConnectionEvidence(
        samples=len(seen),
        peak=max(sample.connections for sample in seen),
        others=min(sample.connections for sample in samples),
        max_connections=seen[-1].max_connections,
        shared_with=tuple(sorted(others)),
    )


def _cautions(ran: Sequence[Observation], failed: int, set_aside: int) -> Iterable[str]:
    if not ran:
        yield "no invocation recorded"
        return
    window = _window(ran)
    assert window is not None
    if not window.is_long:
        yield f"observed for {in_words(window.seconds)} only: a burst is not a month"
    if failed > FAILED_SHARE_MAX * len(ran):
        kinds = Counter(one.status for one in ran if one.status != SUCCESS)
        what = ", ".join(f"{count:,} {status}" for status, count in sorted(kinds.items()))
        yield f"{failed / len(ran):.0%} of the invocations failed ({what}): durations and costs include theirs"
    if set_aside:
        yield f"{set_aside:,} older records set aside: made with another memory size or timeout"


def in_words(seconds: float) -> str:
    """Write a length of time as one would say it."""
    for size, unit in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
