"""Every way AWS lets one name a function."""

import pytest

from workshape.functions.function_name import (
    InvalidFunctionName,
    QualifierMismatch,
    UnreachableFunction,
    parse_function_name,
)

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


def parse(text: str, qualifier: str | None = None) -> tuple[str, str | None]:
    found = parse_function_name(text, qualifier, region="us-east-1", account="123456789012")
    return found.name, found.qualifier


@pytest.mark.parametrize("text", ["f", "function:f", "123456789012:function:f", ARN])
def test_a_name_may_carry_its_qualifier(text: str) -> None:
    assert parse(text) == ("f", None)
    assert parse(f"{text}:$LATEST") == ("f", "$LATEST")
    assert parse(f"{text}:live") == ("f", "live")
    assert parse(f"{text}:7", "7") == ("f", "7")
    assert parse(text, "7") == ("f", "7")


def test_two_qualifiers_must_agree() -> None:
    with pytest.raises(QualifierMismatch, match="derived qualifier"):
        parse("f:1", "2")


@pytest.mark.parametrize(
    "text", ["arn:aws:lambda:eu-west-1:123456789012:function:f", "999999999999:function:f", ARN.replace("12:", "13:")]
)
def test_other_regions_and_accounts_cannot_be_reached(text: str) -> None:
    with pytest.raises(UnreachableFunction):
        parse(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "x" * 65, "arn:aws:sqs:us-east-1:123456789012:f", "f:a:b", "f/../g", "f\n"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidFunctionName):
        parse(text)
