"""What a request wants to do, as policies name it, and whether a policy allows it. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from enum import Enum
from typing import Any

from workshape.arn import is_like
from workshape.errors import Invalid

INVOKE = "execute-api:Invoke"


class MalformedPolicy(Invalid):
    """the policy is not one API Gateway can evaluate: {reason}"""

    reason: str


class Decision(Enum):
    """What a policy says of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_ALLOWED = "not allowed"
    """Nothing in it is about the request."""


def execution_arn(region: str, account: str, api_id: str, stage: str, method: str, path: str) -> str:
    """Name the request to a path, or the `$default` route, of a stage."""
    return f"arn:aws:execute-api:{region}:{account}:{api_id}/{stage}/{method}/{path.removeprefix('/')}"


def decide(document: Any, arn: str) -> Decision:
    """Evaluate a policy for invoking `arn`: an explicit denial goes before all allowances.

    Raises:
        MalformedPolicy: it has not the form of one, or it has conditions, which are not evaluated here.
    """
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list):
        raise MalformedPolicy(reason="it has no Statement")
    decision = Decision.NOT_ALLOWED
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise MalformedPolicy(reason="a statement's Effect is Allow or Deny")
        if statement.get("Condition"):
            raise MalformedPolicy(reason="conditions are not evaluated by workshape")
        if _is_about(statement, "Action", INVOKE.lower()) and _is_about(statement, "Resource", arn):
            if statement["Effect"] == "Deny":
                return Decision.DENIED
            decision = Decision.ALLOWED
    return decision


def _is_about(statement: dict[str, Any], element: str, value: str) -> bool:
    negated = f"Not{element}" in statement
    patterns = statement.get(f"Not{element}" if negated else element)
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise MalformedPolicy(reason=f"a statement has no {element}")
    if element == "Action":
        patterns = [pattern.lower() for pattern in patterns]
    return negated != any(is_like(pattern, value) for pattern in patterns)
