"""The patterns of service models, as Python can match them in linear time.

Some of AWS's can be matched in many ways, which Python tries one after the other when a value does not match after all:
thirty words and a colon, given as a password, take minutes. Those are written anew here, for the same values.
"""

import re

_ANY_HEADER = r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$"
_ANY_CREDENTIAL = r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$"
LINEAR = {
    _ANY_HEADER: r"\t*[\x20-\x7E][\x20-\x7E\t]*",
    _ANY_CREDENTIAL: r"\t*[^\x00-\x1F:\x7F](?:[^\x00-\x1F:\x7F]|\t)*",
    r"[a-zA-Z](?:-?[a-zA-Z0-9]+)*": r"[a-zA-Z](?:-?[a-zA-Z0-9])*",
}


def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """Make a pattern ready for `fullmatch`; None: it is Java's, and Python cannot read it."""
    try:
        return re.compile(LINEAR.get(pattern, pattern))
    except re.error:
        return None
