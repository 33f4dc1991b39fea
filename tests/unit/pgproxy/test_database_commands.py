"""Statements that want a database for themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.pgproxy.database_commands import databases_wanted_alone
from workshape.pgproxy.pins import NO_EFFECTS
from workshape.pgproxy.recognition import effects_of


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"DROP DATABASE shop", ("shop",)),
        (b'drop database if exists "Shop"', ("Shop",)),
        (b"DROP DATABASE shop WITH (FORCE)", ("shop",)),
        (b"/* now */ DROP /* it */ DATABASE shop; DROP DATABASE IF EXISTS other;", ("shop", "other")),
        (b"DROP -- it\nDATABASE shop", ("shop",)),
        (b"ALTER DATABASE shop RENAME TO store", ("shop",)),
        (b"ALTER DATABASE shop SET TABLESPACE fast", ("shop",)),
        (b"ALTER DATABASE shop SET work_mem = '4MB'", ()),
        (b"CREATE DATABASE shop", ("template1",)),
        (b"CREATE DATABASE shop TEMPLATE seed", ("seed",)),
        (b"CREATE DATABASE shop WITH OWNER app TEMPLATE = \"seed\" ENCODING 'UTF8'", ("seed",)),
        (b"CREATE DATABASE shop TEMPLATE DEFAULT", ("template1",)),
        (b"CREATE DATABASE template", ("template1",)),
        (b"SELECT 'DROP DATABASE shop'", ()),
        (b"DROP DATABASE", ()),
        (b"DROP DATABASE 'shop", ()),
        (b"SELECT 1 FROM databases", ()),
    ],
)
def test_what_is_dropped_renamed_moved_or_copied_is_named(text: bytes, names: tuple[str, ...]) -> None:
    assert databases_wanted_alone(text) == names
    assert effects_of(text, frozenset()).databases_alone == names


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20), st.booleans())
def test_any_name_is_found_as_it_is_quoted(name: str, is_after_another: bool) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    text = ("SELECT ';'; " if is_after_another else "") + f"DROP DATABASE {quoted}"

    assert databases_wanted_alone(text.encode()) == (name,)


def test_a_text_about_databases_that_wants_none_for_itself_does_nothing() -> None:
    assert effects_of(b"SELECT current_database(), 'my database'", frozenset()) is NO_EFFECTS
