"""What a function's policy lets a service of AWS do."""

import json
from typing import Any

import pytest

from workshape.functions.policy import Policy, lets_invoke, with_statement

SOURCE = "arn:aws:execute-api:us-east-1:123456789012:api/prod/GET/pets/{id}"
ACCOUNT = "123456789012"
API_GATEWAY = "apigateway.amazonaws.com"


def policy(**statement: Any) -> Policy:
    whole = {"Effect": "Allow", "Principal": {"Service": API_GATEWAY}, "Action": "lambda:InvokeFunction", **statement}
    return with_statement(None, "s", json.dumps(whole).encode(), None)


def like(pattern: str) -> dict[str, Any]:
    return {"ArnLike": {"AWS:SourceArn": pattern}}


@pytest.mark.parametrize(
    ("statement", "is_allowed"),
    [
        ({}, True),
        ({"Action": "lambda:*"}, True),
        ({"Action": "lambda:GetFunction"}, False),
        ({"Principal": "*"}, True),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, False),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, False),
        ({"Condition": like("arn:aws:execute-api:us-east-1:123456789012:api/*/*/pets/*")}, True),
        ({"Condition": like("arn:aws:execute-api:us-east-1:123456789012:api/*")}, True),
        ({"Condition": like("arn:aws:execute-api:us-east-1:123456789012:api/*/*/pets/{id}")}, True),
        ({"Condition": like("arn:aws:execute-api:us-east-1:123456789012:other/*")}, False),
        ({"Condition": like("arn:aws:execute-api:us-east-1:123456789012:api/*/POST/*")}, False),
        ({"Condition": {"StringEquals": {"AWS:SourceAccount": ACCOUNT}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False),
        ({"Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}}, False),
    ],
)
def test_a_statement_lets_in_whom_it_names(statement: dict[str, Any], is_allowed: bool) -> None:
    assert lets_invoke(policy(**statement), API_GATEWAY, SOURCE, ACCOUNT) is is_allowed


def test_without_a_policy_nobody_may() -> None:
    assert not lets_invoke(None, API_GATEWAY, SOURCE, ACCOUNT)
