"""A resource-based policy: statements by their ids, and what they let a service of AWS do. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

from typing import Any

import msgspec

from workshape.arn import is_like
from workshape.errors import Conflict, Invalid, NotFound
from workshape.functions.revision import check_revision, new_revision

POLICY_BYTES_MAX = 20 * 1024
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


INVOKE = "lambda:InvokeFunction"


class StatementExists(Conflict):
    """The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing
    statement.
    """

    sid: str


class StatementNotFound(NotFound):
    """Statement {name} is not found in resource policy."""

    # AWS: undocumented; we chose the words.


class PolicyNotFound(NotFound):
    """The resource you requested does not exist."""


class PolicyTooLong(Invalid):
    """The resource-based policy would have {size} bytes, which is more than {bytes_max}."""

    size: int
    bytes_max: int


class Policy(msgspec.Struct, frozen=True):
    """A function's, a version's, an alias's or a layer version's."""

    statements: dict[str, msgspec.Raw]
    """JSON as AWS writes it."""
    revision: str

    def document(self) -> str:
        """Write it as IAM would."""
        document = {"Version": "2012-10-17", "Id": "default", "Statement": list(self.statements.values())}
        return msgspec.json.encode(document).decode()


def with_statement(policy: Policy | None, sid: str, statement: bytes, expected_revision: str | None) -> Policy:
    """Add a statement, given as JSON, to a policy or to none.

    Raises:
        StatementExists, PolicyTooLong, RevisionMismatch: it cannot be.
    """
    present = policy or Policy({}, "")
    check_revision(present.revision, expected_revision)
    if sid in present.statements:
        raise StatementExists(sid=sid)
    changed = Policy({**present.statements, sid: msgspec.Raw(statement)}, new_revision())
    size = len(changed.document().encode())
    if size > POLICY_BYTES_MAX:
        raise PolicyTooLong(size=size, bytes_max=POLICY_BYTES_MAX)
    return changed


def without_statement(policy: Policy | None, sid: str, expected_revision: str | None) -> Policy | None:
    """Take a statement out; without any left there is no policy.

    Raises:
        StatementNotFound, PolicyNotFound, RevisionMismatch: it cannot be.
    """
    if policy is None:
        raise PolicyNotFound(kind="policy", name=sid)
    check_revision(policy.revision, expected_revision)
    if sid not in policy.statements:
        raise StatementNotFound(kind="statement", name=sid)
    left = {name: statement for name, statement in policy.statements.items() if name != sid}
    return Policy(left, new_revision()) if left else None


def lets_invoke(policy: Policy | None, service: str, source_arn: str, account: str) -> bool:
    """Tell whether a service (`apigateway.amazonaws.com`) may invoke the function on behalf of `source_arn`.

    Conditions on the source's ARN and account are evaluated; a statement with any other allows nothing here.
    """
    if policy is None:
        return False
    facts = {"aws:sourcearn": source_arn, "aws:sourceaccount": account}
    return any(_allows(msgspec.json.decode(raw), service, facts) for raw in policy.statements.values())


def _allows(statement: dict[str, Any], service: str, facts: dict[str, str]) -> bool:
    principal = statement.get("Principal")
    named = principal.get("Service") if isinstance(principal, dict) else principal
    if named not in (service, "*") or not is_like(statement.get("Action", "").lower(), INVOKE.lower()):
        return False
    for operator, conditions in statement.get("Condition", {}).items():
        if operator not in ("ArnLike", "ArnEquals", "StringEquals", "StringLike"):
            return False
        for key, pattern in conditions.items():
            fact = facts.get(key.lower())
            exact = operator == "StringEquals"
            if fact is None or not (fact == pattern if exact else is_like(pattern, fact)):
                return False
    return True
