"""What a target gets: AWS's own examples, and what is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.errors import Invalid
from workshape.events.transformer import (
    InputTransformer,
    InvalidInput,
    InvalidInputPath,
    InvalidPlaceholder,
    InvalidTemplate,
    RuleContext,
    TargetInput,
    TwoInputs,
    compile_input,
)

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2015-11-11T21:29:54Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "count": 3, "tags": [{"k": "a"}, {"k": "b"}]},
}
PATHS = {"timestamp": "$.time", "instance": "$.detail.instance-id", "state": "$.detail.state"}
CONTEXT = RuleContext("arn:aws:events:us-east-2:123456789012:rule/example", "example", "2015-11-11T21:29:55Z")


def transformed(template: str, event: dict[str, Any] = EVENT, **paths: str) -> str:
    given = TargetInput(transformer=InputTransformer(template, paths or PATHS))
    return compile_input(given, "t")(event, msgspec.json.encode(event), CONTEXT).decode()


def part(path: str) -> str:
    return compile_input(TargetInput(path=path), "t")(EVENT, msgspec.json.encode(EVENT), CONTEXT).decode()


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        ('"instance \\"<instance>\\" is in <state>"', '"instance \\"i-0123456789\\" is in RUNNING"'),
        ('{\n  "instance" : <instance>,\n  "state": <state>\n}', '{"instance":"i-0123456789","state":"RUNNING"}'),
        (
            '{ "instance" : <instance>, "state": "<state>", "instanceStatus": "instance \\"<instance>\\" is <state>" }',
            '{"instance":"i-0123456789","state":"RUNNING","instanceStatus":"instance \\"i-0123456789\\" is RUNNING"}',
        ),
        (
            '{"instance" : <instance>, "state": [ 9, <state>, true ], "Transformed" : "Yes"}',
            '{"instance":"i-0123456789","state":[9,"RUNNING",true],"Transformed":"Yes"}',
        ),
        (
            '{"ruleArn" : <aws.events.rule-arn>, "ruleName" : <aws.events.rule-name>}',
            '{"ruleArn":"arn:aws:events:us-east-2:123456789012:rule/example","ruleName":"example"}',
        ),
        ('"<aws.events.rule-name> triggered"', '"example triggered"'),
        ('{"at": <aws.events.event.ingestion-time>}', '{"at":"2015-11-11T21:29:55Z"}'),
    ],
)
def test_awss_examples_come_out_as_documented(template: str, output: str) -> None:
    assert transformed(template) == output


def test_the_event_as_json_has_its_detail_and_the_event_alone_has_not() -> None:
    filled = msgspec.json.decode(transformed('{"whole": <aws.events.event.json>, "outer": <aws.events.event>}'))

    assert filled["whole"] == EVENT
    assert filled["outer"] == {name: value for name, value in EVENT.items() if name != "detail"}


def test_what_is_no_string_stands_without_quotes() -> None:
    assert transformed('{"n": <n>, "list": <tags>}', n="$.detail.count", tags="$.detail.tags[*].k") == (
        '{"n":3,"list":["a","b"]}'
    )


def test_an_object_inside_a_string_loses_its_quotes() -> None:
    assert transformed('"Detail is <d>"', d="$.detail.tags") == '"Detail is [{k:a},{k:b}]"'


def test_nothing_is_escaped_inside_a_string_so_that_quotes_break_it_as_they_do_on_aws() -> None:
    event = {**EVENT, "source": 'he said "hi"'}

    assert transformed('"<source>"', event, source="$.source") == '"he said "hi""'
    assert transformed('{"s": <source>}', event, source="$.source") == '{"s":"he said \\"hi\\""}'


def test_a_path_that_leads_nowhere_leaves_nothing() -> None:
    assert transformed('{"a": <none>, "b": "[<none>]"}', none="$.detail.nothing.here") == '{"a":"","b":"[]"}'


def test_several_lines_of_text_are_several_strings() -> None:
    template = '"Instance <instance>"\n"is <state>"'

    assert transformed(template) == '"Instance i-0123456789"\n"is RUNNING"'


def test_what_looks_like_markup_and_names_nothing_is_refused() -> None:
    with pytest.raises(InvalidPlaceholder) as refused:
        transformed('"<b>"')

    assert str(refused.value) == "InputTemplate for target t contains invalid placeholder b."


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.detail.state", '"RUNNING"'),
        ("$.detail['instance-id']", '"i-0123456789"'),
        ('$["detail"]["count"]', "3"),
        ("$.resources[0]", '"arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"'),
        ("$.detail.tags[1].k", '"b"'),
        ("$.detail.tags[*].k", '["a","b"]'),
        ("$.detail.tags[7]", "null"),
        ("$.detail-type", '"EC2 Instance State-change Notification"'),
    ],
)
def test_an_input_path_takes_a_part(path: str, found: str) -> None:
    assert part(path) == found


def test_the_root_is_the_whole_event() -> None:
    assert msgspec.json.decode(part("$")) == EVENT


@pytest.mark.parametrize(
    ("given_input", "error"),
    [
        (TargetInput(constant="not json"), InvalidInput),
        (TargetInput(constant="{}", path="$.detail"), TwoInputs),
        (TargetInput(path="detail"), InvalidInputPath),
        (TargetInput(path="$.detail[?(@.a)]"), InvalidInputPath),
        (TargetInput(transformer=InputTransformer('"<x>"', {"x": "nowhere"})), InvalidInputPath),
        (TargetInput(transformer=InputTransformer('"<AWS.x>"', {"AWS.x": "$.id"})), InvalidInputPath),
        (TargetInput(transformer=InputTransformer("instance <i> is up", {"i": "$.id"})), InvalidTemplate),
        (TargetInput(transformer=InputTransformer('{"a": <i>', {"i": "$.id"})), InvalidTemplate),
    ],
)
def test_what_aws_would_refuse_is_refused(given_input: TargetInput, error: type[Invalid]) -> None:
    with pytest.raises(error, match="target t"):
        compile_input(given_input, "t")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(values)
def test_a_variable_in_the_place_of_a_value_comes_out_as_it_is_in_the_event(value: Any) -> None:
    event = {**EVENT, "detail": {"value": value}}

    filled = msgspec.json.decode(transformed('{"here": <v>, "list": [<v>]}', event, v="$.detail.value"))

    assert filled == {"here": value, "list": [value]}
