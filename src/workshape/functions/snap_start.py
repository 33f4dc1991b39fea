"""SnapStart as callers see it: why there is no snapshot, and what an invocation is told then. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-troubleshooting.html,
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (the errors)
"""

from typing import Self

import msgspec

from workshape.errors import PlatformError
from workshape.functions import results
from workshape.functions.function_state import PENDING, FunctionNotActive, FunctionState


class SnapStartNotReady(FunctionNotActive):
    """Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE."""


def check_active(state: FunctionState, *, snap_start: bool) -> None:
    """Let only what is active be invoked.

    Raises:
        SnapStartNotReady: its snapshot is being taken. FunctionNotActive: it is not.
    """
    if not state.is_active:
        error = SnapStartNotReady if snap_start and state.state == PENDING.state else FunctionNotActive
        raise error(state=state.state)


class SnapshotFailure(msgspec.Struct, frozen=True):
    """Why there is no snapshot of a version.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html (StateReasonCode)
    """

    # AWS: the codes are documented, the reasons are not; we chose the words.

    code: str
    reason: str
    status: str = "error"
    """Of its INIT_REPORT."""
    error_type: str | None = None

    @classmethod
    def timed_out(cls, init_s_max: float) -> Self:
        """The init phase took too long."""
        reason = f"The init phase, hooks before the snapshot included, did not end within {init_s_max:g} seconds."
        return cls("FunctionError.InitTimeout", reason, "timeout")

    @classmethod
    def init_failed(cls, error_type: str) -> Self:
        """The runtime reported an error."""
        reason = f"The init phase failed: {error_type}. The function's log has more."
        return cls("FunctionError.RuntimeInitError", reason, error_type=error_type)

    @classmethod
    def exited(cls, how: str) -> Self:
        """The runtime ended."""
        reason = f"The runtime ended in its init phase: {how}."
        return cls("FunctionError.RuntimeInitError", reason, error_type=results.EXIT_ERROR)

    @classmethod
    def extension_failed(cls, error_type: str, why: str) -> Self:
        """An extension did."""
        reason = f"An extension failed in the init phase: {why}."
        return cls("FunctionError.ExtensionInitError", reason, error_type=error_type)

    @classmethod
    def internal(cls, reason: str) -> Self:
        """No environment could be started."""
        return cls("InternalError", reason)


class RestoreFailed(PlatformError):
    """The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs.

    Its cause is the function's; but what is invoked then has not run, and AWS answers with an error of the service.
    """


class RestoreTimedOut(PlatformError):
    """Lambda couldn't restore the snapshot within the timeout limit."""
