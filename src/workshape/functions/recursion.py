"""Whether a function may be part of a loop. A core.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionRecursionConfig.html
"""

from enum import StrEnum

import msgspec


class RecursiveLoop(StrEnum):
    """What is done about a loop."""

    ALLOW = "Allow"
    TERMINATE = "Terminate"


class RecursionConfig(msgspec.Struct, frozen=True):
    """What was set for a function; without it loops are stopped."""

    recursive_loop: RecursiveLoop = RecursiveLoop.TERMINATE
