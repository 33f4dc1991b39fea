"""Event filters, by the tables of the documentation: what is JSON, what is plain, and what becomes of a mismatch."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.events.filters import BODY, VALUE, compile_filters
from workshape.events.operators import InvalidPattern

JSON_DATA = '{"RecordNumber": 10000, "RequestCode": "BBBB"}'


def passes(pattern: object, data: str | None, key: str = BODY) -> bool:
    filters = compile_filters((json.dumps(pattern),), key)
    assert filters is not None
    return filters(data)


@pytest.mark.parametrize(
    ("pattern", "body", "taken"),
    [
        ({"body": {"RequestCode": ["BBBB"]}}, JSON_DATA, True),
        ({"body": {"RequestCode": ["AAAA"]}}, JSON_DATA, False),
        ({"body": {"RecordNumber": [{"numeric": [">", 9999]}]}}, JSON_DATA, True),
        ({"body.RequestCode": ["BBBB"]}, JSON_DATA, True),
        ({"body": {"RequestCode": [{"exists": False}]}}, "plain", False),
        ({"body": {"RequestCode": [{"exists": False}]}}, "5", True),
        ({"body": {"RequestCode": [{"exists": False}]}}, "null", True),
        ({"body": {"RequestCode": ["BBBB"]}}, f"[{JSON_DATA}]", True),
        ({"body": ["plain"]}, "plain", True),
        ({"body": [{"prefix": "pla"}]}, "plain", True),
        ({"body": [{"anything-but": ["error"]}]}, "error", False),
        ({"body": [{"anything-but": ["error"]}]}, JSON_DATA, False),
        ({"body": ["5"]}, "5", False),
        ({"$or": [{"body": {"a": [1]}}, {"body": [{"prefix": "x"}]}]}, "xyz", True),
        ({"$or": [{"body": {"a": [1]}}, {"body": [{"prefix": "x"}]}]}, '{"a": 1}', True),
    ],
)
def test_a_message_passes_when_its_body_is_of_the_filters_kind_and_matches(
    pattern: object, body: str, taken: bool
) -> None:
    assert passes(pattern, body) is taken


@pytest.mark.parametrize(
    ("pattern", "value", "taken"),
    [
        ({"value": {"device_ID": [{"prefix": "AB"}]}}, '{"device_ID": "AB1234"}', True),
        ({"value": {"device_ID": [{"prefix": "AB"}]}}, '{"device_ID": "CD1234"}', False),
        ({"value": [{"anything-but": ["error"]}]}, "error", False),
        ({"value": [{"anything-but": ["error"]}]}, "fine", True),
        ({"value": {"device_ID": [{"prefix": "AB"}]}}, "plain", True),
        ({"value": ["plain"]}, '{"a": 1}', True),
        ({"value": ["plain"]}, None, True),
    ],
)
def test_a_record_of_another_kind_than_its_filter_passes(pattern: object, value: str | None, taken: bool) -> None:
    assert passes(pattern, value, VALUE) is taken


def test_one_of_several_filters_is_enough_and_none_lets_everything_pass() -> None:
    several = compile_filters(('{"body": {"a": [1]}}', '{"body": {"b": [1]}}'), BODY)
    assert several is not None

    assert several('{"b": 1}')
    assert not several('{"c": 1}')
    assert compile_filters((), BODY) is None


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("{", "not valid JSON"),
        ("{}", "Empty objects are not allowed"),
        ('{"body": "x"}', "must be an object or an array"),
        ('{"body": [{"wildcard": "*"}]}', "Unrecognized match type wildcard"),
        ('{"messageAttributes": {"a": ["x"]}}', "ask for `body` only, not messageAttributes"),
        ('{"body": ["x"], "awsRegion": ["eu-west-1"]}', "not awsRegion"),
        ('{"body": ["' + "x" * 4_096 + '"]}', "4096 characters"),
    ],
)
def test_what_is_no_filter_of_the_source_is_refused(pattern: str, named: str) -> None:
    with pytest.raises(InvalidPattern, match=named):
        compile_filters((pattern,), BODY)


@given(st.text(max_size=30) | st.recursive(st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_any_text_passes_or_not_and_never_fails(body: str) -> None:
    for pattern in ({"body": {"a": [1]}}, {"body": [{"prefix": "x"}]}):
        assert passes(pattern, body) in (True, False)
