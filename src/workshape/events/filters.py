"""Event filtering: which messages and records a mapping hands to its function. A core.

A filter says what it expects of the data (`body` of a message, `value` of a record): JSON, or a plain string. Of a
message that is the other the filter does not hold; of a record it says nothing then, so the record passes.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html (only `body`; what mismatches is dropped)
Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-filtering.html (only `value`; what mismatches passes)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from workshape.events.dialects import LAMBDA_FILTER
from workshape.events.operators import InvalidPattern
from workshape.events.pattern import OR, Pattern, compile_pattern

BODY, VALUE = "body", "value"
PATTERN_CHARACTERS_MAX = 4_096
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_Filter.html"""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Filter:
    """One compiled pattern and what it expects of the data."""

    pattern: Pattern
    wants_json: bool
    wants_text: bool
    mismatch_passes: bool
    key: str

    def accepts(self, text: str) -> bool:
        """Tell whether data passes."""
        decoded = self.pattern.decode(text)
        is_json = decoded is not None or text.strip() == "null"
        if not (self.wants_json if is_json else self.wants_text):
            return self.mismatch_passes
        if not is_json:
            return self.pattern.matches({self.key: text})
        # A scalar is JSON without fields: a pattern that asks for fields finds none.
        return self.pattern.matches({self.key: decoded if isinstance(decoded, dict | list) else {}})


Filters = Callable[[str | None], bool]
"""Takes the data (None: no text in UTF-8) and tells whether it passes."""


def compile_filters(patterns: Sequence[str], key: str) -> Filters | None:
    """Compile a mapping's filters, of which one must hold; None when there are none and everything passes.

    Raises:
        InvalidPattern: a pattern is none, or asks for something else than the data.
    """
    if not patterns:
        return None
    filters = [_compile(pattern, key) for pattern in patterns]
    mismatch_passes = key == VALUE

    def passes(text: str | None) -> bool:
        if text is None:
            return mismatch_passes
        return any(each.accepts(text) for each in filters)

    return passes


def _compile(pattern: str, key: str) -> Filter:
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise InvalidPattern(reason=f"A filter pattern has at most {PATTERN_CHARACTERS_MAX} characters")
    compiled = compile_pattern(pattern, LAMBDA_FILTER)
    forms = dict(_asked(msgspec.json.decode(pattern)))
    if forms.keys() != {key}:
        others = ", ".join(sorted(forms.keys() - {key})) or "nothing"
        raise InvalidPattern(reason=f"Filters of this source ask for `{key}` only, not {others}")
    wanted = [form for name, form in _asked(msgspec.json.decode(pattern)) if name == key]
    return Filter(compiled, dict in wanted, list in wanted, key == VALUE, key)


def _asked(pattern: Mapping[str, Any]) -> Iterator[tuple[str, type]]:
    """The keys of the first level that a pattern asks for, and whether each is to be an object or a plain value."""
    for name, value in pattern.items():
        if name == OR and isinstance(value, list):
            for alternative in value:
                yield from _asked(alternative)
        else:
            first, dot, _ = name.partition(".")
            yield first, dict if dot else type(value)
