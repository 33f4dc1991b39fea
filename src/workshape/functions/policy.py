"""A resource-based policy: statements by their ids. Kept and shown; nothing here evaluates it. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

import msgspec

from workshape.errors import Conflict, Invalid, NotFound
from workshape.functions.revision import check_revision, new_revision

POLICY_BYTES_MAX = 20 * 1024
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


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
