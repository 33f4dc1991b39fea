"""Identifiers of requests and traces: unlike each other, and no secrets."""

import os
from random import Random

_random = Random(os.urandom(32))  # noqa: S311 - nothing hangs on their being hard to guess
_VARIANTS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def random_hex(digits: int) -> str:
    """Return so many random hexadecimal digits."""
    return f"{_random.getrandbits(4 * digits):0{digits}x}"


def new_uuid() -> str:
    """Make a version 4 UUID at a fifth of the cost of `uuid`: each request, invocation and message has one.

    Source: https://www.rfc-editor.org/rfc/rfc9562#section-5.4
    """
    digits = random_hex(32)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"


new_request_id = new_uuid
"""AWS's request ids are such, as a rule."""
