"""What a text (one statement or several) does to its session: asked of every statement, answered in three steps.

A quick look, whose findings `Harmless` remembers, finds nearly every text harmless. The others are scanned for tokens.
Where these leave a doubt, PostgreSQL's own parser decides; without it, or where it cannot read the text (one of a later
PostgreSQL, say), the doubt pins.
"""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from workshape.pgproxy.database_commands import databases_wanted_alone, wants_a_database_alone
from workshape.pgproxy.pins import NO_EFFECTS, UNREAD, Effects, Findings
from workshape.pgproxy.sql_scan import scan
from workshape.pgproxy.sql_tree import add_statement

try:
    import pgparse
except ImportError:  # it is built for Linux, and for macOS on ARM
    pgparse = None

KIB = 1024
TEXTS_REMEMBERED = 2048
REMEMBERED_BYTES_MAX = 4 * KIB  # longer texts are seldom repeated word for word
SCANNED_BYTES_MAX = 64 * KIB  # scanning is some MB/s: a longer text with a suspicious word in it pins unread
PARSED_BYTES_MAX = 16 * KIB  # 5 ms, and no deeper than the parser's stack allows; RDS Proxy pins on any longer text


def effects_of(sql: bytes, tracked: frozenset[str], *, backslash_escapes: bool = False) -> Effects:
    """Tell what a text does to its session.

    `tracked` are the variables that are carried, in lower case; `backslash_escapes` as with
    `standard_conforming_strings = off`. What does nothing is `NO_EFFECTS` itself.
    """
    if not is_suspicious(sql):
        return NO_EFFECTS
    if len(sql) > SCANNED_BYTES_MAX:
        return UNREAD
    if len(sql) > REMEMBERED_BYTES_MAX:
        return _read(sql, tracked, backslash_escapes)
    return _read_once(sql, tracked, backslash_escapes)


# The quick look: nearly every statement has none of these words in it.

# SET, RESET and DO count only where a statement may begin: after nothing, a semicolon, or a comment.
_BEGINS = rb"(?:\A|;|\*/|[\r\n])\s*"
_SETS = re.compile(_BEGINS + rb"(?:re)?set\b|set_config|setseed|set_limit")
_DO = re.compile(_BEGINS + rb"do\b")


def is_suspicious(sql: bytes) -> bool:
    """Whether a text may do anything to its session; surely not, if False.

    Written out: a loop over the words takes four times as long. No word has a digit in it: see `Harmless`.
    """
    lower = sql.lower()
    return (
        b"temp" in lower
        or b"listen" in lower
        or b"prepare" in lower
        or b"execute" in lower
        or b"deallocate" in lower
        or b"discard" in lower
        or b"hold" in lower
        or b"load" in lower
        or b"close" in lower
        or b"tval" in lower  # nextval, lastval, setval
        or b"currval" in lower
        or b'u&"' in lower  # a name spelled in code points
        or b"dblink" in lower
        or (b"database" in lower and wants_a_database_alone(lower))
        or (b"pg_" in lower and _HAS_LASTING.search(lower) is not None)
        or (b"set" in lower and _SETS.search(lower) is not None)
        or (b"do" in lower and _DO.search(lower) is not None)
    )


_HAS_LASTING = re.compile(rb"pg_(?:(?:try_)?advisory_(?:lock|unlock_all)|settings|\w*_slot|\w*_origin|\w*backup)")


# The careful look


@lru_cache(maxsize=TEXTS_REMEMBERED)
def _read_once(sql: bytes, tracked: frozenset[str], backslash_escapes: bool) -> Effects:
    return _read(sql, tracked, backslash_escapes)


def _read(sql: bytes, tracked: frozenset[str], backslash_escapes: bool) -> Effects:
    effects = _read_state(sql, tracked, backslash_escapes)
    alone = databases_wanted_alone(sql, backslash_escapes=backslash_escapes)
    return replace(effects, databases_alone=alone) if alone else effects


def _read_state(sql: bytes, tracked: frozenset[str], backslash_escapes: bool) -> Effects:
    guess, is_sure = scan(sql, tracked, backslash_escapes=backslash_escapes)
    if is_sure or backslash_escapes or len(sql) > PARSED_BYTES_MAX:  # the parser knows conforming strings only
        return guess
    statements = parsed(sql)
    if statements is None:
        return guess
    findings = Findings(tracked)
    for statement in statements:
        add_statement(findings, statement)
    return findings.effects


def parsed(sql: bytes) -> list[dict[str, Any]] | None:
    """Parse a text into its statements' trees; None where there is no parser, or it cannot."""
    if pgparse is None:
        return None
    try:
        return [each["stmt"] for each in pgparse.parse(sql.decode()) if "stmt" in each]
    except (pgparse.PGQueryError, UnicodeError, RecursionError):
        return None
