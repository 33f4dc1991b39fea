"""Filter patterns: terms, conditions on JSON, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.aws.logs.errors import InvalidFilterPattern, NotBuilt
from workshape.aws.logs.filter_pattern import compile_pattern

FAILED = json.dumps(
    {
        "level": "ERROR",
        "ms": 120.5,
        "ok": False,
        "user": {"id": None, "name-in full": "Ada Lovelace"},
        "tags": ["a", "b"],
        "request": "GET /posts/1",
        "nothing": None,
    }
)


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR Exception", "Exception after ERROR", True),
        ("ERROR Exception", "ERROR alone", False),
        ("?ERROR ?WARN", "a WARNing", True),
        ("?ERROR ?WARN", "INFO", False),
        ("-INFO", "ERROR", True),
        ("ERROR -Timeout", "ERROR Timeout", False),
        ('"ERROR Timeout"', "ERROR Timeout", True),
        ('"ERROR Timeout"', "ERROR: Timeout", False),
        (r'"say \"hi\""', 'they say "hi"', True),
        ('-"not this"', "but not this", False),
    ],
)
def test_terms_are_looked_for_in_the_message(pattern: str, message: str, matches: bool) -> None:
    assert compile_pattern(pattern)(message) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.level = "ERROR" }', True),
        ("{ $.level = ERROR }", True),
        ('{ $.level != "ERROR" }', False),
        ('{ $.absent != "ERROR" }', False),
        ('{ $.level = "ERR*" }', True),
        ('{ $.request = "*/posts/?" }', False),
        ("{ $.ms > 120 }", True),
        ("{ $.ms >= 1.205e2 && $.ms <= 120.5 }", True),
        ("{ $.ms = 120 }", False),
        ("{ $.ok IS FALSE }", True),
        ("{ $.ok is true }", False),
        ("{ $.nothing IS NULL }", True),
        ("{ $.absent IS NULL }", False),
        ("{ $.nothing EXISTS }", True),
        ("{ $.absent NOT EXISTS }", True),
        ("{ $.tags[1] = b }", True),
        ("{ $.tags[2] EXISTS }", False),
        ("{ $.user['name-in full'] = \"Ada*\" }", True),
        ('{ $.level = "WARN" || $.ms > 100 && $.ok IS FALSE }', True),
        ('{ ($.level = "ERROR" || $.ms > 100) && $.ok IS TRUE }', False),
    ],
)
def test_conditions_are_put_to_the_messages_json(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)(FAILED) is matches


@pytest.mark.parametrize("message", ["START RequestId: 1", "{not json}", "[" * 10_000, "", '"text"'])
def test_a_condition_is_false_of_what_is_no_json_object(message: str) -> None:
    assert compile_pattern("{ $.a NOT EXISTS }")(message) is False


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("[ip, user, status=404]", "space-delimited"),
        ("%AUTH[A-Z]+%", "regular expressions"),
        ("{ $.a = %x% }", "regular expressions"),
        ("ERROR ?WARN", "beside other terms"),
    ],
)
def test_what_cloudwatch_has_and_workshape_not_is_named(pattern: str, named: str) -> None:
    with pytest.raises(NotBuilt, match=named):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *("{", "{}", "{ $.a }", "{ $.a = }", "{ $.a = 1", "{ a = 1 }", "{ $.a > x }", "{ ($.a = 1 }", "{ $.a = 1 2 }"),
        *("{ $.a IS MAYBE }", "{ $.a = 1 && }", '"open', "{ $ = 1 }", "{ " + "(" * 40 + "$.a = 1" + ")" * 40 + " }"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidFilterPattern):
        compile_pattern(pattern)


@given(st.text('ab?-"%{}[]$. =<>!&|()*1\\', max_size=40), st.sampled_from([FAILED, "plain a b", "{}"]))
def test_any_text_is_a_pattern_or_refused(pattern: str, message: str) -> None:
    try:
        matches = compile_pattern(pattern)
    except (InvalidFilterPattern, NotBuilt):
        return
    assert matches(message) in (True, False)
