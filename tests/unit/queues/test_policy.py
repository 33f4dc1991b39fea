"""Access policies, a statement at a time."""

import json

import pytest

from workshape.queues.model import InvalidParameter, PolicyOverLimit
from workshape.queues.policy import add_permission, check_policy, remove_permission

ARN = "arn:aws:sqs:us-east-2:444455556666:queue1"


def add(policy: str, label: str, accounts: tuple[str, ...] = ("111122223333",), actions: int = 1) -> str:
    names = ["SendMessage", "ReceiveMessage", *(f"Action{number}" for number in range(10))]
    return add_permission(policy, label, accounts, names[:actions], ARN)


def test_a_permission_is_a_statement_of_the_policy() -> None:
    policy = json.loads(add("", "AliceSendMessage"))

    assert policy["Version"] == "2012-10-17"
    assert policy["Statement"] == [
        {
            "Sid": "AliceSendMessage",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Action": "SQS:SendMessage",
            "Resource": ARN,
        }
    ]


def test_several_accounts_and_actions_are_lists() -> None:
    (statement,) = json.loads(add("", "a", ("111122223333", "444455556666"), actions=2))["Statement"]

    assert statement["Principal"]["AWS"] == ["arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"]
    assert statement["Action"] == ["SQS:SendMessage", "SQS:ReceiveMessage"]


def test_an_uploaded_policy_keeps_its_statements() -> None:
    uploaded = '{"Version":"2012-10-17","Id":"mine","Statement":{"Sid":"one","Effect":"Deny","Principal":"*"}}'

    policy = json.loads(add(uploaded, "two"))

    assert policy["Id"] == "mine"
    assert [statement["Sid"] for statement in policy["Statement"]] == ["one", "two"]


def test_a_removed_permission_leaves_the_others_and_the_last_nothing() -> None:
    policy = add(add("", "a"), "b")

    policy = remove_permission(policy, "a")

    assert [statement["Sid"] for statement in json.loads(policy)["Statement"]] == ["b"]
    assert remove_permission(policy, "b") == ""
    with pytest.raises(InvalidParameter, match="can't find label"):
        remove_permission(policy, "a")


@pytest.mark.parametrize("label", ["", "a b", "x" * 81, "ä"])
def test_bad_labels_are_refused(label: str) -> None:
    with pytest.raises(InvalidParameter, match="Label"):
        add("", label)


def test_a_label_is_there_once() -> None:
    with pytest.raises(InvalidParameter, match="Already exists"):
        add(add("", "a"), "a")


def test_a_principal_is_an_account() -> None:
    with pytest.raises(InvalidParameter, match="An account has 12 digits"):
        add("", "a", ("alice",))


def test_a_policy_has_its_limits() -> None:
    with pytest.raises(PolicyOverLimit, match="8 Actions were found in the policy, maximum allowed is 7"):
        add("", "a", actions=8)
    with pytest.raises(PolicyOverLimit, match="51 Principals"):
        add("", "a", tuple(f"{number:012}" for number in range(51)))
    policy = ""
    for number in range(20):
        policy = add(policy, f"label-{number}")
    with pytest.raises(PolicyOverLimit, match="21 Statements"):
        add(policy, "one-more")
    with pytest.raises(PolicyOverLimit, match="Bytes"):
        check_policy(json.dumps({"Id": "x" * 8_192}))
