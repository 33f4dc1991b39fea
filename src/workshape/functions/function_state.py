"""Whether a function can be invoked, and what became of its last update. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
"""

from dataclasses import dataclass

from workshape.errors import Conflict


class FunctionNotActive(Conflict):
    """The operation cannot be performed at this time. The function is currently in the following state: {state}"""

    retryable = True
    state: str


class UpdateInProgress(Conflict):
    """The operation cannot be performed at this time. An update is in progress for resource: {arn}"""

    arn: str


@dataclass(frozen=True, slots=True)
class FunctionState:
    """What GetFunctionConfiguration tells of a function's state."""

    state: str = "Active"
    """`Pending`, `Active` or `Failed`."""
    reason: str | None = None
    reason_code: str | None = None
    last_update: str | None = "Successful"
    """`InProgress`, `Successful` or `Failed`; None until the function has been created."""
    last_update_reason: str | None = None
    last_update_reason_code: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether it can be invoked."""
        return self.state == "Active"


ACTIVE = FunctionState()
PENDING = FunctionState("Pending", "The function is being created.", "Creating", None)
UPDATING = FunctionState(last_update="InProgress")


def creation_failed(reason: str, code: str) -> FunctionState:
    """The state of a function that could not be created."""
    return FunctionState("Failed", reason, code, None)


def update_failed(reason: str, code: str) -> FunctionState:
    """The state of a function that is what it was before its last update."""
    return FunctionState(last_update="Failed", last_update_reason=reason, last_update_reason_code=code)
