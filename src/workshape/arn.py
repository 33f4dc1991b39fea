"""Amazon Resource Names of the things workshape runs.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from workshape.errors import Invalid

_PATTERNS_MAX = 1_024  # distinct patterns in the policies that are asked about now


@dataclass(frozen=True, slots=True)
class Arn:
    """A parsed name: `arn:partition:service:region:account:resource`; `resource` keeps its own colons."""

    service: str
    region: str
    account: str
    resource: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn:
    """Take an ARN apart.

    Raises:
        Invalid: the text is not an ARN of six parts.
    """
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        raise Invalid(reason=f"{text!r} is not an ARN (arn:partition:service:region:account:resource)")
    _, partition, service, region, account, resource = parts
    return Arn(service, region, account, resource, partition)


def function_arn(region: str, account: str, name: str, qualifier: str | None = None) -> str:
    """Name a Lambda function, or one version or alias of it."""
    suffix = f":{qualifier}" if qualifier else ""
    return f"arn:aws:lambda:{region}:{account}:function:{name}{suffix}"


def queue_arn(region: str, account: str, name: str) -> str:
    """Name an SQS queue."""
    return f"arn:aws:sqs:{region}:{account}:{name}"


def is_like(pattern: str, text: str) -> bool:
    """Compare as IAM does: `*` stands for any characters, `?` for one.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=_PATTERNS_MAX)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Each part is taken where it is first found and not looked for again: the text is a client's path, and trying all
    # ways to lay several asterisks over it would take for ever.
    first, *others = ("".join("." if one == "?" else re.escape(one) for one in part) for part in pattern.split("*"))
    if not others:
        return re.compile(first, re.DOTALL)
    *middle, last = others
    return re.compile(f"{first}{''.join(f'(?>.*?{part})' for part in middle)}.*{last}", re.DOTALL)
