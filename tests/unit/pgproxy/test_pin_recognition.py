"""Which statements keep their session's connection, whatever they hide in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.pgproxy.pins import (
    BEYOND_RESET,
    EVERYTHING,
    NO_EFFECTS,
    READ_BYTES_MAX,
    STATEMENT_SHOWN_CHARACTERS,
    PinReason,
    effects_of,
    shown,
)

TRACKED = frozenset({"application_name", "client_encoding", "datestyle", "timezone", "search_path"})

PINNING = [
    ("SET work_mem = '64MB'", PinReason.VARIABLE),
    ("set WORK_MEM to default", PinReason.VARIABLE),
    ("SET SESSION statement_timeout = 5", PinReason.VARIABLE),
    ('SET "work_mem" = 1', PinReason.VARIABLE),
    ("SET my.setting = 'x'", PinReason.VARIABLE),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", PinReason.VARIABLE),
    ("SELECT set_config('work_mem', '1MB', false)", PinReason.VARIABLE),
    ("SELECT set_config('work_mem', $1, $2)", PinReason.VARIABLE),
    ("SELECT set_config($1, $2, true)", PinReason.VARIABLE),
    ("SELECT setseed(0.5)", PinReason.VARIABLE),
    ("SET ROLE admin", PinReason.ROLE),
    ("SET SESSION ROLE admin", PinReason.ROLE),
    ("SET SESSION AUTHORIZATION admin", PinReason.ROLE),
    ("LISTEN news", PinReason.LISTEN),
    ('listen "News"', PinReason.LISTEN),
    ("PREPARE p AS SELECT 1", PinReason.PREPARED),
    ("PREPARE transaction AS SELECT 1", PinReason.PREPARED),
    ("CREATE TEMP TABLE t (a int)", PinReason.TEMPORARY),
    ("create local temporary table t (a int)", PinReason.TEMPORARY),
    ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", PinReason.TEMPORARY),
    ("CREATE TEMPORARY SEQUENCE s", PinReason.TEMPORARY),
    ("SELECT 1 AS a INTO TEMP t", PinReason.TEMPORARY),
    ("SELECT 1into temp t", PinReason.TEMPORARY),
    ("CREATE TABLE pg_temp.t (a int)", PinReason.TEMPORARY),
    ("CREATE TEMP TABLE t (a int) ON COMMIT DELETE ROWS", PinReason.TEMPORARY),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", PinReason.CURSOR),
    ("declare c scroll cursor with hold for select 1", PinReason.CURSOR),
    ("SELECT pg_advisory_lock(1)", PinReason.ADVISORY_LOCK),
    ("select PG_TRY_ADVISORY_LOCK (1, 2)", PinReason.ADVISORY_LOCK),
    ('SELECT pg_catalog."pg_advisory_lock_shared"(1)', PinReason.ADVISORY_LOCK),
    ("SELECT pg_advisory_unlock_all(), pg_advisory_lock(1)", PinReason.ADVISORY_LOCK),
    ("SELECT nextval('s')", PinReason.SEQUENCE),
    ("SELECT lastval()", PinReason.SEQUENCE),
    ("LOAD 'auto_explain'", PinReason.LIBRARY),
    ("DO $$ BEGIN EXECUTE 'LISTEN x'; END $$", PinReason.BLOCK),
    # where they hide
    ("BEGIN; SET work_mem = 1; COMMIT", PinReason.VARIABLE),
    ("/* why */ SET work_mem = 1", PinReason.VARIABLE),
    ("-- why\nSET work_mem = 1", PinReason.VARIABLE),
    ("/* a /* nested */ comment */ LISTEN x", PinReason.LISTEN),
    ("SELECT 1 /* ' */; LISTEN x -- '", PinReason.LISTEN),
    ("SELECT 'it''s'; LISTEN x", PinReason.LISTEN),
    (r"SELECT 'a\'; LISTEN x --'", PinReason.LISTEN),
    (r"SELECT E'a\\'; LISTEN x", PinReason.LISTEN),
    (r"SELECT 1e'\''; LISTEN x --'", PinReason.LISTEN),
    ("SELECT $a$ $b$ $a$; LISTEN x -- $b$", PinReason.LISTEN),
    ("SELECT a$b$ FROM t; LISTEN x -- $b$", PinReason.LISTEN),
    ('SELECT "a""b"; LISTEN x', PinReason.LISTEN),
    (r'SELECT U&"\0070g_advisory_lock"(1)', PinReason.UNREAD),
    ("SELECT U&\"!0070g_advisory_lock\" UESCAPE '!' (1)", PinReason.UNREAD),
    ("SELECT E'a' -- more\n'\\''; LISTEN x --'", PinReason.UNREAD),
    ("SELECT 'no end; LISTEN x", PinReason.UNREAD),
    ("SELECT 1 /* no end; LISTEN x", PinReason.UNREAD),
    ("SELECT $a$ LISTEN x $b$", PinReason.UNREAD),
    ("DISCARD ALL; LISTEN x", PinReason.LISTEN),
]


@pytest.mark.parametrize(("text", "reason"), PINNING)
def test_a_statement_that_leaves_state_behind_pins_for_that_reason(text: str, reason: PinReason) -> None:
    assert effects_of(text.encode(), TRACKED).pins == {reason}


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "SELECT 1",
        "SET LOCAL work_mem = 1",
        "set local role admin",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET application_name = 'me'",
        "SET SESSION TIME ZONE 'UTC'",
        "SET TimeZone TO 'UTC'",
        "SET NAMES 'UTF8'",
        "SET SCHEMA 'public'",
        "SELECT set_config('TimeZone', 'UTC', false)",
        "SELECT set_config('work_mem', '1MB', true)",
        "RESET work_mem",
        "UNLISTEN news",
        "NOTIFY news, 'LISTEN'",
        "PREPARE TRANSACTION 'foo'",
        "DECLARE c CURSOR FOR SELECT 1",
        "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
        "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
        "CREATE TABLE temp (temp int)",
        "SELECT temp, hold, load FROM temporary",
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT pg_try_advisory_xact_lock_shared(1)",
        "SELECT pg_advisory_unlock(1)",
        "SELECT pg_advisory_lock FROM t",
        "UPDATE t\nSET a = 1",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO\nUPDATE SET a = 2",
        "SELECT 'LISTEN x; SET work_mem = 1'",
        "SELECT '\nSET work_mem = 1'",
        r"SELECT E'\'; LISTEN x; --'",
        "SELECT $$; LISTEN x; $$",
        "SELECT $tag$; LISTEN $$ x; $tag$",
        'SELECT "; LISTEN x"',
        "SELECT 1 -- ; LISTEN x",
        "SELECT 1 /* ; LISTEN x /* ; */ LISTEN x */",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql\nSET work_mem = '1MB' AS $$ SELECT 1 $$",
        "DO $$ BEGIN UPDATE t SET a = 1; END $$",
    ],
)
def test_what_ends_with_its_transaction_or_only_looks_like_state_does_not_pin(text: str) -> None:
    assert effects_of(text.encode(), TRACKED).pins == frozenset()


@pytest.mark.parametrize(
    ("text", "lifts"),
    [
        ("DISCARD ALL", EVERYTHING - BEYOND_RESET),
        ("discard temp;", {PinReason.TEMPORARY}),
        ("DISCARD SEQUENCES", {PinReason.SEQUENCE}),
        ("RESET ALL", {PinReason.VARIABLE}),
        ("UNLISTEN *", {PinReason.LISTEN}),
        ("/* done */ CLOSE ALL", {PinReason.CURSOR}),
        ("DEALLOCATE ALL", {PinReason.PREPARED}),
        ("DEALLOCATE PREPARE ALL", {PinReason.PREPARED}),
        ("SELECT pg_advisory_unlock_all()", {PinReason.ADVISORY_LOCK}),
        ("LISTEN x; UNLISTEN *", {PinReason.LISTEN}),
    ],
)
def test_a_statement_that_takes_state_away_ends_its_pins(text: str, lifts: set[PinReason]) -> None:
    effects = effects_of(text.encode(), TRACKED)

    assert effects.lifts == lifts
    assert effects.pins == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "DISCARD PLANS",
        'RESET "all"',
        'UNLISTEN "*"',
        'CLOSE "all"',
        'DEALLOCATE "all"',
        "SELECT 'pg_advisory_unlock_all'",
        "SELECT pg_advisory_unlock_all() WHERE false",
        "SELECT pg_advisory_unlock_all() FROM nobody",
    ],
)
def test_what_only_looks_like_taking_state_away_ends_no_pin(text: str) -> None:
    assert effects_of(text.encode(), TRACKED).lifts == frozenset()


def test_names_of_prepared_statements_in_sql_are_found() -> None:
    effects = effects_of(b'EXECUTE A(1); deallocate "B"; DEALLOCATE PREPARE c', TRACKED)

    assert effects.names == (b"a", b"B", b"c")
    assert effects.deallocates == (b"B", b"c")


def test_a_backslash_escapes_a_quote_where_standard_conforming_strings_is_off() -> None:
    text = rb"SELECT 'a\'; LISTEN x; --'"

    assert effects_of(text, TRACKED).pins == {PinReason.LISTEN}
    assert effects_of(text, TRACKED, backslash_escapes=True) is NO_EFFECTS


def test_a_text_too_long_to_be_read_pins_only_when_it_is_suspicious() -> None:
    padding = b" " * READ_BYTES_MAX

    assert effects_of(b"SELECT 1" + padding, TRACKED) is NO_EFFECTS
    assert effects_of(b"LISTEN x" + padding, TRACKED).pins == {PinReason.UNREAD}


def test_a_pins_statement_is_shown_in_one_short_line() -> None:
    assert shown(b"SET\n  a = 1") == "SET a = 1"
    assert len(shown(b"x" * 10_000)) == STATEMENT_SHOWN_CHARACTERS


CASES = st.lists(st.booleans(), min_size=40, max_size=40)
GAPS = st.sampled_from([" ", "\n", "\t", "/**/", " /* a /* b */ ' */ ", " -- it's\n"])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["LISTEN x", "SET ROLE x", "LOAD 'x'", "PREPARE p AS SELECT 1"]), CASES, GAPS, GAPS)
def test_neither_case_nor_white_space_nor_comments_hide_a_statement(
    text: str, upper: list[bool], gap: str, before: str
) -> None:
    spelled = "".join(letter.upper() if up else letter.lower() for letter, up in zip(text, upper, strict=False))

    effects = effects_of(f"SELECT 1;{before}{spelled.replace(' ', gap)}{gap}".encode(), TRACKED)

    assert len(effects.pins) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="aeE'\"$\\/*-;u&U! \n1LISTENxdo", max_size=60).map(str.encode), st.booleans())
def test_any_text_is_read_or_pins_and_reading_ends(text: bytes, escapes: bool) -> None:
    effects = effects_of(text + b" listen", TRACKED, backslash_escapes=escapes)

    assert effects.pins <= EVERYTHING
