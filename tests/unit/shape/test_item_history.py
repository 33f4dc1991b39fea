"""Duplicates reported as failures, seen from what became of each message."""

from workshape.functions.batch_items import BatchItemFact, ItemOutcome, content_hash
from workshape.shape.item_history import ItemHistory, item_history

DONE, REPORTED, WHOLE = ItemOutcome.SUCCEEDED, ItemOutcome.REPORTED, ItemOutcome.BATCH_FAILED


def _fact(
    time: float, message: str, content: str, receives: int, outcome: ItemOutcome, request: str = ""
) -> BatchItemFact:
    return BatchItemFact(
        time=time,
        function="events",
        source="queue",
        request_id=request or f"r{time}",
        message_id=message,
        content_hash=content,
        receive_count=receives,
        outcome=outcome,
    )


def _history(*facts: BatchItemFact, last: int | None = 5) -> ItemHistory:
    return item_history(facts, {"queue": last})


def test_a_duplicate_that_fails_until_it_is_dead_lettered_is_seen() -> None:
    history = _history(
        _fact(1, "first", "a", 1, DONE),
        *(_fact(1 + receives, "second", "a", receives, REPORTED) for receives in range(1, 6)),
    )

    assert (history.repeated, history.repeated_failing, history.repeated_dead_lettered) == (1, 1, 1)
    assert history.examples == ("second",)


def test_a_duplicate_in_the_same_batch_is_seen() -> None:
    history = _history(
        _fact(1, "first", "a", 1, DONE, "r"),
        _fact(1, "second", "a", 1, REPORTED, "r"),
        _fact(7, "second", "a", 2, REPORTED),
    )

    assert history.repeated_failing == 1
    assert history.repeated_dead_lettered == 0


def test_a_message_delivered_again_after_its_own_success_is_seen() -> None:
    history = _history(_fact(1, "m", "a", 1, DONE), _fact(7, "m", "a", 2, REPORTED), _fact(13, "m", "a", 3, REPORTED))

    assert history.repeated_failing == 1


def test_poison_is_not_a_duplicate_even_when_sent_twice() -> None:
    history = _history(
        *(_fact(receives, "poison", "p", receives, REPORTED) for receives in range(1, 6)),
        *(_fact(receives, "poison again", "p", receives, REPORTED) for receives in range(1, 6)),
    )

    assert (history.repeated, history.repeated_failing) == (0, 0)


def test_a_duplicate_that_is_accepted_is_no_bug() -> None:
    history = _history(_fact(1, "first", "a", 1, DONE), _fact(2, "second", "a", 1, DONE))

    assert (history.repeated, history.repeated_failing) == (1, 0)


def test_two_equal_messages_that_succeed_in_one_batch_are_one_repetition() -> None:
    history = _history(_fact(1, "first", "a", 1, DONE, "r"), _fact(1, "second", "a", 1, DONE, "r"))

    assert (history.repeated, history.repeated_failing) == (1, 0)


def test_a_duplicate_that_fails_once_and_then_succeeds_is_no_bug() -> None:
    history = _history(
        _fact(1, "first", "a", 1, DONE),
        _fact(2, "second", "a", 1, REPORTED),
        _fact(8, "second", "a", 2, DONE),
    )

    assert history.repeated_failing == 0


def test_one_failure_is_not_enough_unless_it_is_the_last_receive() -> None:
    facts = (_fact(1, "first", "a", 1, DONE), _fact(2, "second", "a", 1, REPORTED))

    assert _history(*facts).repeated_failing == 0
    assert _history(*facts, last=1).repeated_failing == 1


def test_failures_before_the_success_do_not_count() -> None:
    # An outage fails both; one of them then does the work, and the other has failed only once since.
    history = _history(
        _fact(1, "first", "a", 1, REPORTED),
        _fact(1, "second", "a", 1, REPORTED),
        _fact(7, "first", "a", 2, DONE),
        _fact(8, "second", "a", 2, REPORTED),
    )

    assert history.repeated_failing == 0


def test_an_item_that_went_down_with_its_batch_is_not_blamed() -> None:
    history = _history(
        _fact(1, "first", "a", 1, DONE),
        *(
            fact
            for receives in (1, 2, 3)
            for fact in (
                _fact(1 + receives, "second", "a", receives, WHOLE, f"b{receives}"),
                _fact(1 + receives, "other", "b", receives, WHOLE, f"b{receives}"),
            )
        ),
    )

    assert history.repeated_failing == 0
    assert history.whole_batch_requests == {"b1", "b2", "b3"}


def test_an_item_that_fails_alone_in_its_batch_is() -> None:
    history = _history(
        _fact(1, "first", "a", 1, DONE), _fact(2, "second", "a", 1, WHOLE), _fact(8, "second", "a", 2, WHOLE)
    )

    assert history.repeated_failing == 1


def test_messages_with_other_attributes_say_something_else() -> None:
    assert content_hash("body", None) == content_hash("body", "")
    assert content_hash("body", "attributes") != content_hash("body", "others")
