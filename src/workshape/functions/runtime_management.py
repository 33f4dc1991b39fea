"""When a function's runtime is updated. Kept and shown: a runtime here is this machine's interpreter. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtime-management-configure-settings.html
"""

from enum import StrEnum

import msgspec


class RuntimeUpdate(StrEnum):
    """The moments there are; the third, `Manual`, would want a version that this machine need not have."""

    AUTO = "Auto"
    FUNCTION_UPDATE = "FunctionUpdate"


class RuntimeManagement(msgspec.Struct, frozen=True):
    """What was set for one version of a function."""

    update_on: RuntimeUpdate = RuntimeUpdate.AUTO
