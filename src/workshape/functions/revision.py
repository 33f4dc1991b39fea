"""RevisionId: what tells a caller that nobody changed a thing since it looked.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html (RevisionId)
"""

import uuid

from workshape.errors import Conflict


class RevisionMismatch(Conflict):
    """The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve
    the latest Revision Id
    """


def new_revision() -> str:
    """Make one that no other thing ever had."""
    return str(uuid.uuid4())


def check_revision(present: str, expected: str | None) -> None:
    """Go on only if the caller knows the present revision, or does not care (None).

    Raises:
        RevisionMismatch: it knows another.
    """
    if expected is not None and expected != present:
        raise RevisionMismatch()
