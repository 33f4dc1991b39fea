"""Which statements keep their session's connection, whatever they hide in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.pgproxy import recognition
from workshape.pgproxy.pins import (
    BEYOND_RESET,
    EVERYTHING,
    NO_EFFECTS,
    STATEMENT_SHOWN_CHARACTERS,
    Effects,
    Findings,
    PinReason,
    shown,
)
from workshape.pgproxy.recognition import SCANNED_BYTES_MAX, effects_of, is_suspicious, parsed
from workshape.pgproxy.sql_scan import scan
from workshape.pgproxy.sql_tree import add_statement

TRACKED = frozenset({"application_name", "client_encoding", "datestyle", "timezone", "search_path"})

PINNING = [
    ("SET work_mem = '64MB'", PinReason.VARIABLE),
    ("set WORK_MEM to local", PinReason.VARIABLE),
    ("SET local.mine = 1", PinReason.VARIABLE),
    ("SET SESSION role.x = 1", PinReason.VARIABLE),
    ("UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'", PinReason.VARIABLE),
    ("WITH u AS (UPDATE pg_catalog.pg_settings SET setting = 1) SELECT 1", PinReason.VARIABLE),
    ("SELECT set_limit(0.5)", PinReason.VARIABLE),
    ("SELECT set_config('role', 'admin', false)", PinReason.ROLE),
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
    ("SET ROLE NONE", PinReason.ROLE),
    ("SET SESSION AUTHORIZATION DEFAULT", PinReason.ROLE),
    ('SET SESSION "authorization" = 1', PinReason.VARIABLE),
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
    ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql RETURN 1", PinReason.TEMPORARY),
    ("SET search_path = 'pg_temp', public", PinReason.TEMPORARY),
    ("SET LOCAL search_path TO pg_temp_3", PinReason.TEMPORARY),
    (r"SET search_path = E'pg\x5ftemp'", PinReason.TEMPORARY),
    ("SELECT set_config('search_path', 'pg_temp', true)", PinReason.TEMPORARY),
    ("CREATE TEMP TABLE t AS SELECT 1", PinReason.TEMPORARY),
    ("EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", PinReason.TEMPORARY),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", PinReason.CURSOR),
    ("declare c scroll cursor with hold for select 1", PinReason.CURSOR),
    ("SELECT pg_advisory_lock(1)", PinReason.ADVISORY_LOCK),
    ("select PG_TRY_ADVISORY_LOCK (1, 2)", PinReason.ADVISORY_LOCK),
    ('SELECT pg_catalog."pg_advisory_lock_shared"(1)', PinReason.ADVISORY_LOCK),
    ("SELECT pg_advisory_unlock_all(), pg_advisory_lock(1)", PinReason.ADVISORY_LOCK),
    ("SELECT nextval('s')", PinReason.SEQUENCE),
    ("SELECT lastval()", PinReason.SEQUENCE),
    ("COPY (SELECT nextval('s')) TO STDOUT", PinReason.SEQUENCE),
    ("CREATE MATERIALIZED VIEW m AS SELECT nextval('s')", PinReason.SEQUENCE),
    ("CALL p(nextval('s'))", PinReason.SEQUENCE),
    ("SELECT * FROM nextval('s')", PinReason.SEQUENCE),
    ("INSERT INTO t VALUES (pg_catalog . nextval /* */ ('s'))", PinReason.SEQUENCE),
    ("SELECT dblink_connect('there', 'dbname=x')", PinReason.LASTING),
    ("SELECT pg_create_logical_replication_slot('s', 'p', temporary => true)", PinReason.LASTING),
    ("SELECT pg_backup_start('b')", PinReason.LASTING),
    ("LOAD 'auto_explain'", PinReason.LIBRARY),
    ("DO $$ BEGIN EXECUTE 'LISTEN x'; END $$", PinReason.BLOCK),
    ("DO $$ BEGIN SET work_mem = 1; END $$", PinReason.BLOCK),
    ("DO $$ BEGIN PERFORM 1 FROM t FOR UPDATE; IF true THEN SET work_mem = 1; END IF; END $$", PinReason.BLOCK),
    ("DO $$ plpy.execute('LISTEN x') $$ LANGUAGE plpython3u", PinReason.BLOCK),
    ("DO LANGUAGE 'plperl' $$ $$", PinReason.BLOCK),
    (r"DO E'BEGIN \x45XECUTE ''LISTEN x''; END'", PinReason.BLOCK),
    ("DO 'BEGIN EXEC'\n'UTE ''LISTEN x''; END'", PinReason.BLOCK),
    ("DO $$ BEGIN PERFORM nextval('s'); END $$", PinReason.SEQUENCE),
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
        "SET transaction_isolation = 'serializable'",
        "SET work_mem TO DEFAULT",
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
        "DO LANGUAGE plpgsql $$ BEGIN SET LOCAL work_mem = 1; INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING; END $$",
        "SELECT * FROM pg_settings",
        "SELECT pg_export_snapshot(), pg_advisory_xact_lock_shared(1)",
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
    padding = b" " * SCANNED_BYTES_MAX

    assert effects_of(b"SELECT 1" + padding, TRACKED) is NO_EFFECTS
    assert effects_of(b"LISTEN x" + padding, TRACKED).pins == {PinReason.UNREAD}


def test_a_pins_statement_is_shown_in_one_short_line() -> None:
    assert shown(b"SET\n  a = 1") == "SET a = 1"
    assert len(shown(b"x" * 10_000)) == STATEMENT_SHOWN_CHARACTERS


needs_parser = pytest.mark.skipif(parsed(b"SELECT 1") is None, reason="pgparse is not built for this platform")


@needs_parser
@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (id int DEFAULT nextval('s'))",
        "CREATE VIEW v AS SELECT nextval('s')",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT nextval('s'); END",
        "CREATE FUNCTION nextval (a int) RETURNS int LANGUAGE sql SET work_mem = '1MB' RETURN a",
        "INSERT INTO nextval (a) VALUES (1)",
        "INSERT INTO temp VALUES (1)",
        "INSERT INTO temporary (a) SELECT 1",
        'SELECT U&"caf\\00e9" FROM t',
        "SELECT set_config('work_mem', $1, true)",
        "SELECT set_config('search_path', $1, false)",
    ],
)
def test_what_the_parser_knows_to_be_no_call_and_no_temporary_table_does_not_pin(text: str) -> None:
    assert effects_of(text.encode(), TRACKED) is NO_EFFECTS


@needs_parser
@pytest.mark.parametrize(
    "text",
    [
        r'SELECT U&"\0070g_advisory_lock"(1)',
        "SELECT U&\"!0070g_advisory_lock\" UESCAPE '!' (1)",
        "SELECT E'a'\n'\\''; SELECT pg_advisory_lock(1) --'",
    ],
)
def test_the_parser_reads_spellings_that_the_scan_does_not_follow(text: str) -> None:
    assert effects_of(text.encode(), TRACKED).pins == {PinReason.ADVISORY_LOCK}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CREATE TABLE t (id int DEFAULT nextval('s'))", PinReason.SEQUENCE),
        ("INSERT INTO temp VALUES (1)", PinReason.TEMPORARY),
        (r'SELECT U&"\0070g_advisory_lock"(1)', PinReason.UNREAD),
        ("SELECT E'a' -- more\n'\\''; LISTEN x --'", PinReason.UNREAD),
    ],
)
def test_without_a_parser_a_doubt_pins(monkeypatch: pytest.MonkeyPatch, text: str, reason: PinReason) -> None:
    monkeypatch.setattr(recognition, "pgparse", None)
    recognition._read_once.cache_clear()

    effects = effects_of(text.encode(), TRACKED)
    recognition._read_once.cache_clear()

    assert effects.pins == {reason}


@pytest.mark.parametrize(
    "text", ["SELECT nextval('s') +", "SELECT nextval('s'" + ")" * 9, "SELECT '\\xff', nextval('s')"]
)
def test_a_text_that_the_parser_refuses_is_judged_by_its_tokens(text: str) -> None:
    assert effects_of(text.encode("latin-1"), TRACKED).pins == {PinReason.SEQUENCE}


@needs_parser
@pytest.mark.parametrize("deep", ["+1", "::int", "||''", " UNION SELECT 1", "[1]"])
def test_a_text_nested_too_deeply_for_the_parser_is_judged_by_its_tokens(deep: str) -> None:
    text = "SELECT nextval('s')" + deep * (15 * 1024 // len(deep))

    assert effects_of(text.encode(), TRACKED).pins == {PinReason.SEQUENCE}


@pytest.mark.parametrize(
    ("text", "resets"),
    [
        ("RESET application_name", {"application_name"}),
        ('reset "TimeZone"', {"timezone"}),
        ("RESET TIME ZONE", {"timezone"}),
        ("SET TIME ZONE LOCAL", {"timezone"}),
        ("SET application_name TO DEFAULT", {"application_name"}),
        ("RESET application_name; SET application_name = 'a'", set()),
        ("RESET work_mem", set()),
        ("RESET ALL", TRACKED),
        ("DISCARD ALL", TRACKED),
        ("SET LOCAL application_name TO DEFAULT", set()),
    ],
)
def test_carried_variables_that_are_reset_are_told(text: str, resets: set[str]) -> None:
    assert effects_of(text.encode(), TRACKED).resets == resets


@pytest.mark.parametrize(
    "text", ["EXPLAIN EXECUTE p", "EXPLAIN (ANALYZE, VERBOSE) EXECUTE p(1)", "explain analyze verbose execute P"]
)
def test_a_prepared_statement_that_is_explained_is_named(text: str) -> None:
    assert effects_of(text.encode(), TRACKED).names == (b"p",)


def test_a_prepared_statement_that_fills_a_table_is_named() -> None:
    assert effects_of(b"CREATE TABLE t AS EXECUTE p(1)", TRACKED).names == (b"p",)


# The parser knows best: what the quick look and the scan are sure of must be what it says.


def by_parser(text: str) -> Effects | None:
    trees = parsed(text.encode())
    if trees is None:
        return None
    findings = Findings(TRACKED)
    for tree in trees:
        add_statement(findings, tree)
    return findings.effects


NAMES = st.sampled_from(
    ["a", "temp", "hold", '"t"', "pg_temp", '"Set"', "nextval", '"nextval"', "application_name", "work_mem", "load"]
)
FUNCTIONS = st.sampled_from(
    ["nextval", "pg_catalog.lastval", '"setval"', "pg_advisory_lock", "pg_advisory_xact_lock", "set_config", "now", "f"]
)
CONSTANTS = st.sampled_from(
    ["1", "'a'", "'nextval(''s'')'", "$$SET a = 1$$", "E'\\'; LISTEN x'", "true", "'application_name'"]
)
EXPRESSIONS = st.recursive(
    st.one_of(CONSTANTS, NAMES),
    lambda inner: st.one_of(
        st.tuples(FUNCTIONS, st.lists(inner, max_size=3)).map(lambda call: f"{call[0]}({', '.join(call[1])})"),
        st.tuples(inner, inner).map(" + ".join),
        inner.map("(SELECT {})".format),
        st.tuples(inner, inner).map(lambda two: f"CASE WHEN {two[0]} = 1 THEN {two[1]} END"),
    ),
    max_leaves=5,
)
SELECTS = st.tuples(EXPRESSIONS, NAMES).map(lambda two: f"SELECT {two[0]} FROM {two[1]}")
STATEMENTS = st.one_of(
    SELECTS,
    st.tuples(NAMES, EXPRESSIONS).map(lambda two: f"INSERT INTO {two[0]} VALUES ({two[1]})"),
    st.tuples(NAMES, NAMES, EXPRESSIONS).map(lambda all_: f"UPDATE {all_[0]} SET {all_[1]} = {all_[2]}"),
    st.tuples(st.sampled_from(["", "TEMP ", "LOCAL TEMPORARY ", "UNLOGGED "]), NAMES, SELECTS).map(
        lambda all_: f"CREATE {all_[0]}TABLE {all_[1]} AS {all_[2]}"
    ),
    st.tuples(NAMES, EXPRESSIONS, st.sampled_from(["", " ON COMMIT DROP"])).map(
        lambda all_: f"CREATE TEMP TABLE {all_[0]} (a int DEFAULT {all_[1]}){all_[2]}"
    ),
    st.tuples(st.sampled_from(["", "LOCAL ", "SESSION "]), NAMES, CONSTANTS).map(
        lambda all_: f"SET {all_[0]}{all_[1]} = {all_[2]}"
    ),
    st.sampled_from(["SET TIME ZONE 'UTC'", "SET ROLE a", "SET TRANSACTION READ ONLY", "RESET ALL", "SET a.b TO 1"]),
    NAMES.map("RESET {}".format),
    st.sampled_from(
        ["DISCARD ALL", "DISCARD TEMP", "DISCARD PLANS", "UNLISTEN *", "UNLISTEN a", "CLOSE ALL", "CLOSE a"]
    ),
    NAMES.map("LISTEN {}".format),
    st.tuples(NAMES, SELECTS).map(lambda two: f"PREPARE {two[0]} AS {two[1]}"),
    NAMES.map("EXECUTE {}".format),
    NAMES.map("EXPLAIN (COSTS off) EXECUTE {}".format),
    SELECTS.map("EXPLAIN ANALYZE {}".format),
    st.tuples(NAMES, st.sampled_from(["", " WITH HOLD", " WITHOUT HOLD"]), SELECTS).map(
        lambda all_: f"DECLARE {all_[0]} CURSOR{all_[1]} FOR {all_[2]}"
    ),
    SELECTS.map("DO $do$ BEGIN PERFORM 1; {}; END $do$".format),
    SELECTS.map("CREATE VIEW v AS {}".format),
)
TEXTS = st.lists(
    st.one_of(STATEMENTS, st.sampled_from(["", "-- it's\n", "/* SET a */ BEGIN", "COMMIT"])), max_size=3
).map("; ".join)


@needs_parser
@settings(max_examples=400, deadline=None, derandomize=True)
@given(TEXTS)
def test_what_the_scan_is_sure_of_is_what_the_parser_says(text: str) -> None:
    says = by_parser(text)
    if says is None:
        return
    guess, is_sure = scan(text.encode(), TRACKED, backslash_escapes=False)

    assert is_suspicious(text.encode()) or says is NO_EFFECTS
    if is_sure:
        assert guess == says
    else:
        assert says.pins <= guess.pins or PinReason.UNREAD in guess.pins


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
