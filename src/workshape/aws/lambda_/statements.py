"""Policy statements as Lambda writes them.

Source: https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html (examples)
"""

import re
from typing import Any

import msgspec

EVERYBODY = "*"
_ACCOUNT = re.compile(r"\d{12}")
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?")


def write_statement(
    sid: str, principal: str, action: str, resource: str, conditions: dict[str, dict[str, Any]]
) -> bytes:
    """Write a statement that allows something, as JSON; `conditions` by operator and key, empty ones left out."""
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": _principal(principal),
        "Action": action,
        "Resource": resource,
    }
    given = {operator: values for operator, values in conditions.items() if values}
    if given:
        statement["Condition"] = given
    return msgspec.json.encode(statement)


def _principal(text: str) -> str | dict[str, str]:
    if text == EVERYBODY:
        return text
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    return {"AWS": f"arn:aws:iam::{text}:root" if _ACCOUNT.fullmatch(text) else text}
