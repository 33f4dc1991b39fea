"""What differs between the services that read event patterns: operators, numbers, limits. A core."""

from dataclasses import dataclass

EXISTS, PREFIX, SUFFIX, NUMERIC, CIDR, WILDCARD = "exists", "prefix", "suffix", "numeric", "cidr", "wildcard"
EQUALS_IGNORE_CASE, ANYTHING_BUT = "equals-ignore-case", "anything-but"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one service reads patterns."""

    operators: frozenset[str]
    """Names of match expressions; those within another are written `anything-but/prefix`."""
    number_max: float
    """`numeric` reaches from minus this to this."""
    number_digits: int
    """So many digits after the decimal point count."""
    numbers_as_text: bool = True
    """Whether a bare 300 in a pattern is something else than 300.0."""
    exists_wants_content: bool = False
    """Whether null and the empty string count as absent."""
    matches_nothing_in_nothing: bool = False
    """Whether an event without any field is refused before `exists: false` is asked."""
    nested: bool = True
    keys_max: int | None = None
    """Keys of the first level."""
    combinations_max: int | None = None
    """The product of the lengths of its arrays, each times how deep it lies."""


_ON_STRINGS = frozenset((PREFIX, SUFFIX, EQUALS_IGNORE_CASE))
_NESTED = frozenset(
    f"{outer}/{inner}"
    for outer, inner in (
        (PREFIX, EQUALS_IGNORE_CASE),
        (SUFFIX, EQUALS_IGNORE_CASE),
        (ANYTHING_BUT, PREFIX),
        (ANYTHING_BUT, SUFFIX),
        (ANYTHING_BUT, WILDCARD),
        (ANYTHING_BUT, EQUALS_IGNORE_CASE),
    )
)
_EVERYWHERE = _ON_STRINGS | {EXISTS, NUMERIC, ANYTHING_BUT}

EVENT_BRIDGE = Dialect(_EVERYWHERE | _NESTED | {CIDR, WILDCARD}, number_max=5e9, number_digits=6)
"""Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"""

LAMBDA_FILTER = Dialect(_EVERYWHERE, number_max=5e9, number_digits=6)
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax"""

SNS_BODY = Dialect(
    _EVERYWHERE | {CIDR, WILDCARD} | {f"{ANYTHING_BUT}/{inner}" for inner in (PREFIX, SUFFIX, WILDCARD)},
    number_max=1e9,
    number_digits=5,
    numbers_as_text=False,  # AWS: undocumented for a bare number; its numeric operator compares values
    exists_wants_content=True,
    keys_max=5,
    combinations_max=150,
)
"""FilterPolicyScope MessageBody.

Source: https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html
Source: https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
Source: https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
"""

SNS_ATTRIBUTES = Dialect(
    SNS_BODY.operators,
    number_max=SNS_BODY.number_max,
    number_digits=SNS_BODY.number_digits,
    numbers_as_text=False,
    exists_wants_content=True,
    matches_nothing_in_nothing=True,
    nested=False,
    keys_max=5,
    combinations_max=150,
)
"""FilterPolicyScope MessageAttributes: events are attributes by name, as strings, numbers or arrays of them.

Source: https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
Source: https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
"""
