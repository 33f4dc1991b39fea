"""A queue's access policy, changed a statement at a time. Kept and shown; nothing evaluates it. A core.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-basic-examples-of-sqs-policies.html
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from workshape.queues.limits import (
    LABEL_CHARACTERS_MAX,
    POLICY_ACTIONS_MAX,
    POLICY_BYTES_MAX,
    POLICY_PRINCIPALS_MAX,
    POLICY_STATEMENTS_MAX,
)
from workshape.queues.model import InvalidParameter, PolicyOverLimit

_LABEL = re.compile(r"[A-Za-z0-9_-]+")
_ACCOUNT = re.compile(r"[0-9]{12}")
_VERSION = "2012-10-17"


def add_permission(policy: str, label: str, accounts: Sequence[str], actions: Sequence[str], queue_arn: str) -> str:
    """Add a statement that allows `accounts` to do `actions`; returns the policy's JSON.

    Raises:
        InvalidParameter: the label is badly formed or there already, or an account is none.
        PolicyOverLimit: too much of something.
    """
    # AWS: undocumented; we chose the words.
    if not _LABEL.fullmatch(label) or len(label) > LABEL_CHARACTERS_MAX:
        reason = f"Can only include alphanumeric characters, hyphens, or underscores. 1 to {LABEL_CHARACTERS_MAX} long."
        raise InvalidParameter(value=label, parameter="Label", reason=reason)
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise InvalidParameter(value=account, parameter="AWSAccountIds", reason="An account has 12 digits.")
    document = _read(policy) or {"Version": _VERSION, "Id": f"{queue_arn}/SQSDefaultPolicy", "Statement": []}
    statements = _statements(document)
    if any(statement.get("Sid") == label for statement in statements):
        raise InvalidParameter(value=label, parameter="Label", reason="Already exists.")
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all([f"arn:aws:iam::{account}:root" for account in accounts])},
        "Action": _one_or_all([f"SQS:{action}" for action in actions]),
        "Resource": queue_arn,
    }
    written = _write({**document, "Statement": [*statements, statement]})
    check_policy(written)
    return written


def remove_permission(policy: str, label: str) -> str:
    """Take the statement of that label out; returns the policy's JSON: empty when nothing is left of it.

    Raises:
        InvalidParameter: there is no such statement.
    """
    document = _read(policy)
    statements = _statements(document)
    left = [statement for statement in statements if statement.get("Sid") != label]
    if len(left) == len(statements):
        # AWS: undocumented; we chose the words.
        raise InvalidParameter(value=label, parameter="Label", reason="can't find label on existing policy.")
    return _write({**document, "Statement": left}) if left else ""


def check_policy(policy: str) -> None:
    """Refuse a policy that is larger than SQS keeps.

    Raises:
        PolicyOverLimit: naming what there is too much of.
    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
    """
    statements = _statements(_read(policy))
    actions = max((len(_listed(statement.get("Action"))) for statement in statements), default=0)
    principals = sum(len(_principals(statement)) for statement in statements)
    for what, found, most in (
        ("Actions", actions, POLICY_ACTIONS_MAX),
        ("Principals", principals, POLICY_PRINCIPALS_MAX),
        ("Statements", len(statements), POLICY_STATEMENTS_MAX),
        ("Bytes", len(policy.encode()), POLICY_BYTES_MAX),
    ):
        if found > most:
            raise PolicyOverLimit(found=found, what=what, most=most)


def _principals(statement: dict[str, Any]) -> list[Any]:
    principal = statement.get("Principal")
    return _listed(principal.get("AWS") if isinstance(principal, dict) else principal)


def _read(policy: str) -> dict[str, Any]:
    return msgspec.json.decode(policy, type=dict[str, Any]) if policy else {}


def _write(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [statement for statement in _listed(document.get("Statement")) if isinstance(statement, dict)]


def _listed(value: Any) -> list[Any]:
    """A policy may have one thing where it may have several."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
