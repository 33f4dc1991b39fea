"""Whether a function reports work as failed that is done: seen from what became of each message, delivery by delivery.

No record says why an item failed. But work that is done leaves a trace: a message that says the same was successful
before (or this very message was), and from then on this one fails at every delivery, until it is dead-lettered.
Poison has no such success; what failed for a while succeeds in the end.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workshape.functions.batch_items import BatchItemFact, ItemOutcome

FAILURES_MIN = 2
"""Once may be bad luck: after the success it must fail again."""
EXAMPLES_MAX = 3


@dataclass(frozen=True, slots=True)
class ItemHistory:
    """What the deliveries of a function's items show."""

    deliveries: int
    messages: int
    repeated: int
    """Messages that came although their work was done: a message that says the same had succeeded, or they had."""
    repeated_failing: int
    """Those that from then on failed at every delivery."""
    repeated_dead_lettered: int
    """Those of them that failed at their last delivery before the dead-letter queue."""
    examples: tuple[str, ...]
    """Message ids of some."""
    reported: int
    """Deliveries named in `batchItemFailures`."""
    whole_batch_requests: frozenset[str]
    """Request ids of the batches of more than one item that failed as a whole."""


def item_history(facts: Iterable[BatchItemFact], receive_count_max: Mapping[str, int | None]) -> ItemHistory:
    """Read the facts of one function; `receive_count_max` is by source: after that many a message is dead-lettered."""
    by_message: dict[str, list[BatchItemFact]] = defaultdict(list)
    batches: dict[str, list[BatchItemFact]] = defaultdict(list)
    first_success: dict[tuple[str, str], BatchItemFact] = {}
    for fact in sorted(facts, key=lambda fact: (fact.time, fact.receive_count, fact.message_id)):
        by_message[fact.message_id].append(fact)
        batches[fact.request_id].append(fact)
        if fact.outcome is ItemOutcome.SUCCEEDED:
            first_success.setdefault((fact.source, fact.content_hash), fact)
    repeated, failing, dead_lettered = 0, [], 0
    for message_id, deliveries in by_message.items():
        after = _after_the_work_was_done(deliveries, first_success)
        repeated += bool(after)
        last = receive_count_max.get(deliveries[-1].source)
        own_failures = [fact for fact in after if _is_own_failure(fact, batches)]
        if not own_failures or any(fact.outcome is ItemOutcome.SUCCEEDED for fact in after):
            continue
        is_dead = last is not None and own_failures[-1].receive_count >= last
        if len(own_failures) >= FAILURES_MIN or is_dead:
            failing.append(message_id)
            dead_lettered += is_dead
    every = [fact for deliveries in by_message.values() for fact in deliveries]
    whole = {request for request, items in batches.items() if _failed_whole(items)}
    return ItemHistory(
        deliveries=len(every),
        messages=len(by_message),
        repeated=repeated,
        repeated_failing=len(failing),
        repeated_dead_lettered=dead_lettered,
        examples=tuple(sorted(failing)[:EXAMPLES_MAX]),
        reported=sum(fact.outcome is ItemOutcome.REPORTED for fact in every),
        whole_batch_requests=frozenset(whole),
    )


def _after_the_work_was_done(
    deliveries: list[BatchItemFact], first_success: Mapping[tuple[str, str], BatchItemFact]
) -> list[BatchItemFact]:
    """The deliveries of a message since the first success of what it says, that success itself not counted.

    The same moment counts: the first of two equal messages in one batch does the work, the other one repeats it.
    """
    success = first_success.get((deliveries[0].source, deliveries[0].content_hash))
    if success is None:
        return []
    return [fact for fact in deliveries if fact.time >= success.time and fact is not success]


def _is_own_failure(fact: BatchItemFact, batches: Mapping[str, list[BatchItemFact]]) -> bool:
    """Whether the function meant this item: it named it, or failed with nothing else in the batch."""
    alone = fact.outcome is ItemOutcome.BATCH_FAILED and len(batches[fact.request_id]) == 1
    return fact.outcome is ItemOutcome.REPORTED or alone


def _failed_whole(items: list[BatchItemFact]) -> bool:
    return len(items) > 1 and all(item.outcome is ItemOutcome.BATCH_FAILED for item in items)
