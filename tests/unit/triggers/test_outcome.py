"""What a response means for each message: done or failed, never both, never neither."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.triggers.kafka_event import read_record_id
from workshape.triggers.outcome import BatchOutcome, judge, read_message_id

IDS = ("id1", "id2", "id3")


def judged(response: object, *, partial: bool = True, function_error: str | None = None) -> BatchOutcome[str]:
    return judge(json.dumps(response).encode(), function_error, IDS, read_message_id, partial=partial)


def failures(*names: object) -> dict[str, object]:
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


def test_a_function_that_fails_fails_its_whole_batch() -> None:
    for partial in (True, False):
        outcome = judged(failures("id1"), partial=partial, function_error="Unhandled")

        assert (outcome.done, outcome.failed) == ((), IDS)
        assert "Unhandled" in outcome.whole_batch_reason


def test_without_partial_responses_whatever_is_returned_is_success() -> None:
    for response in (None, {}, "text", failures("id1"), failures("nonsense")):
        assert judged(response, partial=False) == BatchOutcome(IDS, ())
    assert judge(b"not JSON", None, IDS, read_message_id, partial=False) == BatchOutcome(IDS, ())


def test_the_named_messages_fail_and_the_others_are_done() -> None:
    assert judged(failures("id3", "id2")) == BatchOutcome(("id1",), ("id2", "id3"))
    assert judged(failures("id2", "id2")) == BatchOutcome(("id1", "id3"), ("id2",))
    assert judged(failures(*IDS)) == BatchOutcome((), IDS)


@pytest.mark.parametrize(
    "payload",
    [b'{"batchItemFailures": []}', b'{"batchItemFailures": null}', b"{}", b"null", b"", b" \n", b'{"other": 1}'],
)
def test_an_empty_or_null_list_or_response_is_complete_success(payload: bytes) -> None:
    assert judge(payload, None, IDS, read_message_id, partial=True) == BatchOutcome(IDS, ())


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"nonsense",
        b'"\xff"',
        b"[" * 9_999 + b"]" * 9_999,
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"messageId": "id1"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "id9"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "id1"}, {"itemIdentifier": "id9"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": 1}]}',
        b'{"batchItemFailures": [{"itemIdentifier": ["id1"]}]}',
        b'{"batchItemFailures": ["id1"]}',
        b'{"batchItemFailures": [null]}',
        b'{"batchItemFailures": {"itemIdentifier": "id1"}}',
        b'{"batchItemFailures": "id1"}',
        b"[]",
        b'"ok"',
        b"1",
    ],
)
def test_a_malformed_response_fails_the_whole_batch(payload: bytes) -> None:
    outcome = judge(payload, None, IDS, read_message_id, partial=True)

    assert (outcome.done, outcome.failed) == ((), IDS)
    assert outcome.whole_batch_reason


def test_reasons_stay_short_whatever_the_function_names() -> None:
    assert len(judged(failures("x" * 100_000)).whole_batch_reason) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(IDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
items = st.fixed_dictionaries({"itemIdentifier": st.sampled_from([*IDS, "", None, "other"]) | json_values})
responses = json_values | st.fixed_dictionaries({"batchItemFailures": st.lists(items | json_values, max_size=4)})
payloads = responses.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20)


@given(
    payloads,
    st.sampled_from([None, "Unhandled"]),
    st.lists(st.sampled_from([*IDS, "id4"]), unique=True),
    st.booleans(),
)
def test_each_message_is_done_or_failed_and_never_both(
    payload: bytes, function_error: str | None, ids: list[str], partial: bool
) -> None:
    outcome = judge(payload, function_error, ids, read_message_id, partial=partial)

    assert sorted(outcome.done + outcome.failed) == sorted(ids)
    assert not (outcome.whole_batch_reason and outcome.done)


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, min_size=1), st.data())
def test_exactly_the_named_messages_fail(ids: list[str], data: st.DataObject) -> None:
    named = data.draw(st.lists(st.sampled_from(ids)))

    outcome = judge(json.dumps(failures(*named)).encode(), None, ids, read_message_id, partial=True)

    assert set(outcome.failed) == set(named)
    assert outcome.whole_batch_reason == ""


RECORDS = (("orders-0", 7), ("orders-0", 8), ("orders-1", 7))


def record_failures(*named: object) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": each} for each in named]}).encode()


def test_records_are_named_by_partition_and_offset() -> None:
    payload = record_failures({"partition": "orders-0", "offset": 8}, {"partition": "orders-1", "offset": 7})

    assert judge(payload, None, RECORDS, read_record_id, partial=True) == BatchOutcome(
        (("orders-0", 7),), (("orders-0", 8), ("orders-1", 7))
    )


@pytest.mark.parametrize(
    "named",
    [
        {"partition": "orders-2", "offset": 7},
        {"partition": "orders-0", "offset": 9},
        {"partition": "orders-0", "offset": "7"},
        {"partition": "orders-0", "offset": True},
        {"partition": 0, "offset": 7},
        {"offset": 7},
        "orders-0",
        None,
    ],
)
def test_a_record_that_was_not_in_the_event_fails_the_whole_batch(named: object) -> None:
    outcome = judge(record_failures(named), None, RECORDS, read_record_id, partial=True)

    assert (outcome.done, outcome.failed) == ((), RECORDS)
