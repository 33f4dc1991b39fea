"""Resource-based policies over a real boto3 client: of functions, versions and aliases."""

import json
from typing import Any

import pytest

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.live_door import LiveDoor

INVOKE = {"FunctionName": "f", "Action": "lambda:InvokeFunction"}
NO_POLICY = ("ResourceNotFoundException", 404, "The resource you requested does not exist.")


@pytest.fixture
def client(door: LiveDoor, archive: Archive) -> Any:
    """A client, and a function with a version and an alias."""
    client = door.client("lambda")
    create(client, archive(), Publish=True)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    return client


def test_a_permission_is_a_statement_of_the_policy(client: Any) -> None:
    added = client.add_permission(
        **INVOKE,
        StatementId="s3",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::bucket",
        SourceAccount="123456789012",
    )
    client.add_permission(
        FunctionName="f",
        Action="lambda:InvokeFunctionUrl",
        StatementId="url",
        Principal="*",
        FunctionUrlAuthType="NONE",
        InvokedViaFunctionUrl=True,
    )

    shown = client.get_policy(FunctionName="f")

    first, second = json.loads(shown["Policy"])["Statement"]
    assert json.loads(shown["Policy"])["Version"] == "2012-10-17"
    assert (
        first
        == json.loads(added["Statement"])
        == {
            "Sid": "s3",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": ARN,
            "Condition": {
                "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
                "StringEquals": {"AWS:SourceAccount": "123456789012"},
            },
        }
    )
    assert second["Principal"] == "*"
    assert second["Condition"] == {
        "StringEquals": {"lambda:FunctionUrlAuthType": "NONE"},
        "Bool": {"lambda:InvokedViaFunctionUrl": True},
    }


def test_a_version_and_an_alias_have_policies_of_their_own(client: Any) -> None:
    for qualifier in ("1", "live"):
        client.add_permission(**INVOKE, Qualifier=qualifier, StatementId="a", Principal="210987654321")

    policies = {
        qualifier: json.loads(client.get_policy(FunctionName="f", Qualifier=qualifier)["Policy"])
        for qualifier in ("1", "live")
    }

    assert [policy["Statement"][0]["Resource"] for policy in policies.values()] == [f"{ARN}:1", f"{ARN}:live"]
    assert policies["1"]["Statement"][0]["Principal"] == {"AWS": "arn:aws:iam::210987654321:root"}
    assert refusal(lambda: client.get_policy(FunctionName="f")) == NO_POLICY


def test_a_policy_goes_with_its_last_statement_and_with_what_it_is_of(client: Any) -> None:
    for qualifier in ({}, {"Qualifier": "live"}):
        client.add_permission(**INVOKE, **qualifier, StatementId="a", Principal="*")

    client.remove_permission(FunctionName="f", StatementId="a")
    client.delete_alias(FunctionName="f", Name="live")
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    assert refusal(lambda: client.get_policy(FunctionName="f")) == NO_POLICY
    assert refusal(lambda: client.get_policy(FunctionName="f", Qualifier="live")) == NO_POLICY


def test_what_lambda_refuses_of_permissions_is_refused_in_its_words(client: Any) -> None:
    client.add_permission(**INVOKE, StatementId="a", Principal="*")
    revision = client.get_policy(FunctionName="f")["RevisionId"]
    client.add_permission(**INVOKE, StatementId="b", Principal="*", RevisionId=revision)

    assert refusal(lambda: client.add_permission(**INVOKE, StatementId="a", Principal="*")) == (
        "ResourceConflictException",
        409,
        "The statement id (a) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
    )
    assert refusal(lambda: client.remove_permission(FunctionName="f", StatementId="c"))[:2] == (
        "ResourceNotFoundException",
        404,
    )
    assert refusal(lambda: client.remove_permission(FunctionName="f", StatementId="a", RevisionId=revision))[:2] == (
        "PreconditionFailedException",
        412,
    )
    assert refusal(lambda: client.add_permission(**INVOKE, Qualifier="9", StatementId="a", Principal="*")) == (
        "ResourceNotFoundException",
        404,
        f"Function not found: {ARN}:9",
    )
    assert refusal(lambda: client.add_permission(**INVOKE, Qualifier="$LATEST", StatementId="a", Principal="*")) == (
        "InvalidParameterValueException",
        400,
        "We currently do not support adding policies for $LATEST.",
    )
    for number in range(100):
        try:
            client.add_permission(
                **INVOKE, StatementId=f"{'x' * 90}{number}", Principal="*", SourceArn=f"arn:aws:s3:::{'b' * 200}"
            )
        except client.exceptions.PolicyLengthExceededException:
            break
    else:
        pytest.fail("a policy has no end")
