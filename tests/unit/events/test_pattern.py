"""Event patterns: AWS's published examples, and what holds for all."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.events.dialects import EVENT_BRIDGE, LAMBDA_FILTER, SNS_ATTRIBUTES, SNS_BODY, Dialect
from workshape.events.operators import InvalidPattern
from workshape.events.pattern import BRANCHES_MAX, compile_pattern

EC2 = {
    "version": "0",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "time": "2017-10-02T16:24:49Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-1", "arn:aws:autoscaling:x"],
    "detail": {
        "c-count": 5,
        "d-count": 3,
        "x-limit": 301.8,
        "source-ip": "10.0.0.33",
        "state": "running",
        "eventVersion": "",
        "responseElements": None,
        "FileName": "pictures/Cat.PNG",
        "ok": True,
    },
}
EMPLOYEES = {
    "employees": [
        [{"firstName": "John", "lastName": "Doe"}, {"firstName": "Anna", "lastName": "Smith", "tags": ["a", "b"]}],
        [{"firstName": "Peter", "lastName": "Jones"}],
    ]
}


def matches(pattern: Any, event: Any, dialect: Dialect = EVENT_BRIDGE) -> bool:
    return compile_pattern(json.dumps(pattern), dialect).matches_json(json.dumps(event))


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["aws.ec2", "aws.fargate"]},
        {"detail-type": ["EC2 Instance State-change Notification"], "detail": {"state": ["initializing", "running"]}},
        {"resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-1", "arn:aws:ec2:us-east-1:4:instance/i-2"]},
        {"time": [{"prefix": "2017-10-02"}]},
        {"source": [{"prefix": {"equals-ignore-case": "AWS.e"}}]},
        {"source": [{"suffix": "ec2"}]},
        {"detail": {"FileName": [{"suffix": {"equals-ignore-case": ".png"}}]}},
        {"detail": {"state": [{"equals-ignore-case": "RUNNING"}]}},
        {"detail": {"state": [{"anything-but": "initializing"}]}},
        {"detail": {"x-limit": [{"anything-but": 123}]}},
        {"detail": {"state": [{"anything-but": ["stopped", "overloaded"]}]}},
        {"detail": {"x-limit": [{"anything-but": [100, 200, 300]}]}},
        {"detail": {"state": [{"anything-but": {"prefix": "init"}}]}},
        {"detail": {"state": [{"anything-but": {"prefix": ["init", "error"]}}]}},
        {"detail": {"FileName": [{"anything-but": {"suffix": ".txt"}}]}},
        {"detail": {"FileName": [{"anything-but": {"suffix": [".txt", ".rtf"]}}]}},
        {"detail": {"state": [{"anything-but": {"equals-ignore-case": "initializing"}}]}},
        {"detail": {"state": [{"anything-but": {"equals-ignore-case": ["initializing", "stopped"]}}]}},
        {"detail": {"FileName": [{"anything-but": {"wildcard": "*/lib/*"}}]}},
        {"detail": {"c-count": [{"numeric": [">", 0, "<=", 5]}], "d-count": [{"numeric": ["<", 10]}]}},
        {"detail": {"x-limit": [{"numeric": ["=", 3.018e2]}]}},
        {"detail": {"source-ip": [{"cidr": "10.0.0.0/24"}]}},
        {"detail": {"c-count": [{"exists": True}], "e-count": [{"exists": False}]}},
        {"detail": {"responseElements": [{"exists": True}]}},
        {"detail": [{"exists": False}]},
        {"detail": {"FileName": [{"wildcard": "pictures/*.PNG"}]}},
        {"detail": {"FileName": [{"wildcard": "*"}]}},
        {"detail": {"eventVersion": [""]}},
        {"detail": {"responseElements": [None]}},
        {"detail": {"ok": [True]}},
        {"detail": {"c-count": [5]}},
        {"detail.state": ["running"]},
        {"$or": [{"source": ["aws.s3"]}, {"detail": {"d-count": [{"numeric": ["<", 10]}]}}]},
        {
            "source": ["aws.ec2"],
            "detail": {"$or": [{"c-count": [9]}, {"d-count": [3], "$or": [{"a": [1]}, {"ok": [True]}]}]},
        },
        {"detail": {"missing": [{"exists": False}, "or this"]}},
    ],
    ids=json.dumps,
)
def test_the_event_is_taken(pattern: dict[str, Any]) -> None:
    assert matches(pattern, EC2)


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["aws.EC2"]},
        {"source": ["aws.ec2"], "region": ["eu-west-1"]},
        {"time": [{"prefix": "2018"}]},
        {"detail": {"c-count": [{"prefix": "5"}]}},
        {"detail": {"state": [{"anything-but": "running"}]}},
        {"detail": {"missing": [{"anything-but": "running"}]}},
        {"detail": {"state": [{"anything-but": {"prefix": "run"}}]}},
        {"detail": {"FileName": [{"anything-but": {"wildcard": "*/Cat*"}}]}},
        {"detail": {"c-count": [{"numeric": [">", 5]}]}},
        {"detail": {"state": [{"numeric": [">", 0]}]}},
        {"detail": {"source-ip": [{"cidr": "10.0.1.0/24"}]}},
        {"detail": {"state": [{"cidr": "10.0.1.0/24"}]}},
        {"detail": {"state": [{"exists": False}]}},
        {"detail": [{"exists": True}]},
        {"detail": {"missing": [{"exists": True}]}},
        {"detail": {"eventVersion": [None]}},
        {"detail": {"responseElements": [""]}},
        {"detail": {"c-count": ["5"]}},
        {"detail": {"ok": [1]}},
        {"detail": {"ok": ["true"]}},
        {"detail": {"state": [{"wildcard": "*nn"}]}},
        {"source": {"nested": ["aws.ec2"]}},
        {"$or": [{"source": ["aws.s3"]}, {"region": ["eu-west-1"]}]},
    ],
    ids=json.dumps,
)
def test_the_event_is_not_taken(pattern: dict[str, Any]) -> None:
    assert not matches(pattern, EC2)


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ({"firstName": ["Anna"]}, True),
        ({"firstName": ["Anna"], "lastName": ["Smith"]}, True),
        ({"firstName": ["Anna"], "lastName": ["Jones"]}, False),
        ({"firstName": ["Anna"], "tags": ["b"]}, True),
        ({"tags": [{"exists": False}]}, False),
        ({"age": [{"exists": False}], "firstName": ["Peter"]}, True),
    ],
    ids=str,
)
def test_fields_of_an_array_of_objects_are_found_in_one_element(pattern: dict[str, Any], taken: bool) -> None:
    assert matches({"employees": pattern}, EMPLOYEES) is taken


@pytest.mark.parametrize("event", [{"a": {"b": {"c": "x"}}}, {"a": {"b.c": "x"}}, {"a.b.c": "x"}, {"a.b": {"c": "x"}}])
@pytest.mark.parametrize("pattern", [{"a": {"b": {"c": ["x"]}}}, {"a": {"b.c": ["x"]}}, {"a.b.c": ["x"]}])
def test_dots_join_keys(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    assert matches(pattern, event)
    assert not matches({"a": {"b": {"c": [{"exists": False}]}}}, event)


def test_an_event_may_have_a_field_both_nested_and_dotted() -> None:
    event = {"a": {"b": "x", "d": 1}, "a.b": "y", "a.c": "z"}

    for pattern in ({"a": {"b": ["x"]}}, {"a": {"b": ["y"], "c": ["z"]}}, {"a": {"d": [1]}}):
        assert matches(pattern, event)


class Counted(dict[str, Any]):
    """An object of an event that counts how often it is looked into."""

    looks = 0

    def __contains__(self, key: object) -> bool:
        Counted.looks += 1
        assert Counted.looks < 10_000, "the event is looked at again and again"
        return super().__contains__(key)


def test_whether_a_field_is_nowhere_is_looked_up_once() -> None:
    pattern = compile_pattern('{"items": {"a": [{"exists": false}]}}')
    items = [Counted(a=number) for number in range(2_000)]
    Counted.looks = 0

    assert not pattern.matches({"items": items})
    assert pattern.matches({"items": [Counted(b=number) for number in range(2_000)]})


@pytest.mark.parametrize("dialect", [EVENT_BRIDGE, LAMBDA_FILTER])
def test_a_bare_number_is_compared_as_it_is_written(dialect: Dialect) -> None:
    pattern = compile_pattern('{"price": [300, 3.0e2]}', dialect)

    assert pattern.matches_json('{"price": 300}')
    assert pattern.matches_json('{"price": 3.0e2}')
    assert not pattern.matches_json('{"price": 300.0}')
    assert pattern.matches({"price": 300})


def test_the_last_of_two_patterns_for_one_field_counts() -> None:
    pattern = compile_pattern('{"source": ["aws.s3"], "source": ["aws.sns"]}')

    assert pattern.matches({"source": "aws.sns"})
    assert not pattern.matches({"source": "aws.s3"})


@pytest.mark.parametrize(
    ("wildcard", "text", "taken"),
    [
        ("Simple*Service", "SimpleQueueService", True),
        ("Simple*Service", "SimpleService", True),
        ("a*a", "a", False),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "acb", False),
        (r"\**", "*x", True),
        (r"\**", "x*", False),
        (r"c:\\*", r"c:\dir", True),
        ("plain", "plain", True),
    ],
)
def test_a_star_stands_for_any_characters(wildcard: str, text: str, taken: bool) -> None:
    assert matches({"a": [{"wildcard": wildcard}]}, {"a": text}) is taken


def test_ipv6_addresses_lie_in_their_networks() -> None:
    pattern = {"ip": [{"cidr": "2001:db8::/32"}]}

    assert matches(pattern, {"ip": "2001:0DB8:0::1"})
    assert not matches(pattern, {"ip": "2001:db9::1"})
    assert not matches(pattern, {"ip": "10.0.0.1"})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[]", "Filter is not an object"),
        ('{"a": ["x"]', "not valid JSON"),
        ('{"a": [NaN]}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("{}", "Empty objects are not allowed"),
        ('{"detail": {}}', "Empty objects are not allowed"),
        ('{"detail": "something"}', '"detail" must be an object or an array'),
        ('{"a": []}', "Empty arrays are not allowed"),
        ('{"a": [["x"]]}', "Match value must be String, number, true, false, or null"),
        ('{"a": [{}]}', "Match expression name not found"),
        ('{"a": [{"contains": "x"}]}', "Unrecognized match type contains"),
        ('{"a": [{"prefix": "x", "suffix": "y"}]}', "Only one key allowed in match expression"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"suffix": {"prefix": "x"}}]}', "Unsupported suffix pattern: prefix"),
        ('{"a": [{"anything-but": {"numeric": [">", 1]}}]}', "Unsupported anything-but pattern: numeric"),
        ('{"a": [{"anything-but": {"prefix": ""}}]}', "Null prefix/suffix not allowed"),
        ('{"a": [{"anything-but": ["x", 1]}]}', "mixed type is not supported"),
        ('{"a": [{"anything-but": []}]}', "mixed type is not supported"),
        ('{"a": [{"anything-but": [null]}]}', "start|null|boolean is not supported"),
        ('{"a": [{"exists": "yes"}]}', "exists match pattern must be either true or false."),
        ('{"a": [{"cidr": "10.0.0.0"}]}', "Malformed CIDR, one '/' required"),
        ('{"a": [{"cidr": "10.0.0.0/33"}]}', "Malformed CIDR"),
        ('{"a": [{"numeric": 5}]}', "Value of numeric must be an array."),
        ('{"a": [{"numeric": []}]}', "Invalid member in numeric match"),
        ('{"a": [{"numeric": ["~", 5]}]}', "Unrecognized numeric range operator: ~"),
        ('{"a": [{"numeric": ["=", "5"]}]}', "Value of equals must be numeric"),
        ('{"a": [{"numeric": [">"]}]}', "Value of > must be numeric"),
        ('{"a": [{"numeric": ["<", 5, ">", 1]}]}', "Too many elements in numeric expression"),
        ('{"a": [{"numeric": [">", 1, ">", 5]}]}', "Bad numeric range operator: >"),
        ('{"a": [{"numeric": [">", 1, {}, 5]}]}', "Bad numeric range operator"),
        ('{"a": [{"numeric": [">", 1, "<", 5, "<", 6]}]}', "Too many terms in numeric range expression"),
        ('{"a": [{"numeric": [">", 5, "<", 1]}]}', "Bottom must be less than top"),
        ('{"a": [{"numeric": ["=", 6e9]}]}', "Value must be between -5.0E+09 and 5.0E+09, inclusive"),
        ('{"a": [{"wildcard": "a**b"}]}', "Consecutive wildcard characters at pos 1"),
        (r'{"a": [{"wildcard": "a\\b"}]}', "Invalid escape character at pos 1"),
        ('{"$or": {"a": [1]}}', "It must be an Array followed with $or."),
        ('{"$or": [{"a": [1]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"$or": [{"a": [1]}, 2]}', "Only JSON object is allowed in array of $or relationship."),
        ('{"$or": [{"prefix": ["x"]}, {"a": [1]}]}', "prefix is Ruler reserved fieldName"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern(pattern)

    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "written", ['{"a":' * 600 + '["x"]' + "}" * 600, f'{{"{".".join("a" * 600)}": ["x"]}}', "[" * 5_000]
)
def test_a_pattern_that_is_nested_too_deep_is_refused(written: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(written)


@pytest.mark.parametrize("levels", [400, 100_000])
def test_an_event_that_is_nested_too_deep_is_not_taken(levels: int) -> None:
    pattern = compile_pattern('{"a": {"b": {"c": ["x"]}}}')
    deep = '{"c":' * levels + "1" + "}" * levels

    assert not pattern.matches_json(f'{{"a.b": {deep}, "a": {{"b": {deep}}}}}')


def test_ors_that_multiply_out_of_bounds_are_refused() -> None:
    either = {"$or": [{"a": [1]}, {"b": [1]}]}
    pattern = {f"k{number}": either for number in range(BRANCHES_MAX.bit_length())}

    with pytest.raises(InvalidPattern, match="combinations"):
        compile_pattern(json.dumps(pattern))


@pytest.mark.parametrize(
    "expression",
    [
        {"wildcard": "*"},
        {"cidr": "10.0.0.0/8"},
        {"anything-but": {"prefix": "x"}},
        {"prefix": {"equals-ignore-case": "x"}},
    ],
    ids=json.dumps,
)
def test_filters_of_mappings_have_fewer_operators(expression: dict[str, Any]) -> None:
    with pytest.raises(InvalidPattern, match=r"Un(recognized|supported)"):
        compile_pattern(json.dumps({"body": [expression]}), LAMBDA_FILTER)


@pytest.mark.parametrize(
    ("policy", "attributes", "taken"),
    [
        ({"customer_interests": ["rugby", "tennis"]}, {"customer_interests": "rugby"}, True),
        (
            {"customer_interests": [{"anything-but": ["rugby", "tennis"]}]},
            {"customer_interests": ["rugby", "ball"]},
            True,
        ),
        ({"customer_interests": [{"anything-but": ["rugby", "tennis"]}]}, {"customer_interests": ["rugby"]}, False),
        ({"event": [{"anything-but": {"prefix": "order-"}}]}, {"event": "order_number"}, True),
        ({"event": [{"anything-but": {"prefix": "order-"}}]}, {"event": "order-cancelled"}, False),
        ({"customer_interests": [{"anything-but": {"wildcard": "*ball"}}]}, {"customer_interests": ["hockey"]}, True),
        ({"customer_interests": [{"anything-but": {"suffix": "ball"}}]}, {"customer_interests": ["baseball"]}, False),
        ({"source_ip": [{"cidr": "10.0.0.0/24"}]}, {"source_ip": "10.0.0.255"}, True),
        ({"price_usd": [{"numeric": ["=", 301.5]}]}, {"price_usd": 3.015e2}, True),
        ({"price_usd": [301.5]}, {"price_usd": 301.50}, True),
        ({"price_usd": [{"numeric": [">", 0, "<=", 150]}]}, {"price_usd": 150}, True),
        ({"price": [{"anything-but": [100, 500]}]}, {"price": [100, 50]}, True),
        ({"store": [{"exists": True}]}, {"store": ""}, False),
        ({"store": [{"exists": False}]}, {"other": "x"}, True),
        ({"store": [{"exists": False}]}, {}, False),
        ({"store": ["x"], "$or": [{"a": ["1"]}, {"b": ["1"]}]}, {"store": "x", "b": "1"}, True),
    ],
    ids=str,
)
def test_a_subscription_takes_by_attributes(policy: dict[str, Any], attributes: dict[str, Any], taken: bool) -> None:
    assert matches(policy, attributes, SNS_ATTRIBUTES) is taken


def test_a_subscription_has_limits() -> None:
    deep = {"a": {"b": {"c": {"d": ["1", "2", "3", "4"]}}, "e": {"f": ["1", "2", "3"]}}}  # 4 x 4 by 3 x 3 is 144
    compile_pattern(json.dumps(deep), SNS_BODY)

    for policy, dialect, reason in (
        ({"a": {"b": ["x"]}}, SNS_ATTRIBUTES, "nested"),
        ({f"k{number}": ["x"] for number in range(6)}, SNS_BODY, "5 keys"),
        ({"a": list("abcdefgh"), "b": list("abcdefgh"), "c": list("abc")}, SNS_ATTRIBUTES, "too complex"),
        ({**deep, "g": ["1", "2"]}, SNS_BODY, "too complex"),
        ({"a": [{"numeric": ["=", 2e9]}]}, SNS_BODY, "between"),
    ):
        with pytest.raises(InvalidPattern, match=reason):
            compile_pattern(json.dumps(policy), dialect)


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.*", max_size=3)
KEYS = st.sampled_from(["a", "b", "c", "a.b", "b.c"])
EVENTS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
    ),
    max_size=4,
)
SIMPLE = st.recursive(
    st.lists(SCALARS, min_size=1, max_size=3),
    lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=2),
    max_leaves=4,
).filter(lambda made: isinstance(made, dict))


@given(SIMPLE, SIMPLE, EVENTS)
def test_or_takes_what_either_takes_and_nothing_else(
    one: dict[str, Any], other: dict[str, Any], event: dict[str, Any]
) -> None:
    either = matches({"$or": [one, other]}, event)

    assert either is (matches(one, event) or matches(other, event))


@given(EVENTS, st.sampled_from(["a", "b", "c"]), st.sampled_from(["a", "b", "c"]))
def test_a_field_is_there_or_not(event: dict[str, Any], outer: str, inner: str) -> None:
    there = matches({outer: {inner: [{"exists": True}]}}, event)

    assert matches({outer: {inner: [{"exists": False}]}}, event) is not there
    assert matches({outer: {inner: [{"exists": False}, {"exists": True}]}}, event)


@given(st.text("ab*\\", max_size=6), st.text("ab*", max_size=8))
def test_a_wildcard_is_what_a_regular_expression_would_be(wildcard: str, text: str) -> None:

    try:
        taken = matches({"a": [{"wildcard": wildcard}]}, {"a": text})
    except InvalidPattern:
        return

    expression = "".join(
        ".*" if part == "*" else re.escape(part[-1]) for part in re.findall(r"\\.|.", wildcard, re.DOTALL)
    )
    assert taken is bool(re.fullmatch(expression, text, re.DOTALL))
