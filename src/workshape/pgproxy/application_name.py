"""What becomes of the name that an application gives itself: as a server keeps it, and reports it. A core.

Source: https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-APPLICATION-NAME
"""

import re

NAME_BYTES_MAX = 63  # NAMEDATALEN less one
HEXADECIMAL_SINCE = 16  # the page above, and that of PostgreSQL 15: what cannot be printed was a question mark before

_UNPRINTABLE = re.compile(rb"[^ -~]")


def cut_name(name: str) -> str:
    """Give as much of it as a server keeps: whole characters."""
    kept = name[:NAME_BYTES_MAX]
    while len(kept.encode("utf-8", "surrogateescape")) > NAME_BYTES_MAX:
        kept = kept[:-1]
    return kept


def printable(name: str, server_version: str) -> str:
    """Replace what is not printable ASCII, as a server of this version does."""
    digits = re.match(r"\d+", server_version)
    is_old = digits is not None and int(digits[0]) < HEXADECIMAL_SINCE
    said = name.encode("utf-8", "surrogateescape")
    return _UNPRINTABLE.sub(lambda found: b"?" if is_old else b"\\x%02x" % found[0][0], said).decode()
