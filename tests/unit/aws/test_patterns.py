"""The service models' patterns that were written anew take the same values, in no time."""

import re
import time

import pytest
from botocore.session import Session
from hypothesis import example, given
from hypothesis import strategies as st

from workshape.aws.protocol.patterns import LINEAR, compile_pattern

SHORT = st.text(st.sampled_from("aZ9 \t:-\n\x7f\x00é~_"), max_size=9)


@pytest.mark.parametrize("pattern", LINEAR)
def test_a_pattern_that_was_written_anew_takes_what_it_took(pattern: str) -> None:
    original, anew = re.compile(pattern), compile_pattern(pattern)
    assert anew is not None

    @given(SHORT)
    @example("\t a \t b\t")
    @example(" ")
    @example("\t")
    @example("")
    @example("a--b")
    def same(text: str) -> None:
        assert (original.fullmatch(text) is None) == (anew.fullmatch(text) is None)

    same()


@pytest.mark.parametrize("pattern", LINEAR)
@pytest.mark.parametrize("long", ["a " * 5_000, "\t" * 10_000, "a" * 10_000, "a\t \t" * 3_000])
def test_a_long_value_is_refused_at_once(pattern: str, long: str) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None

    began_at = time.process_time()
    refused = compiled.fullmatch(long + "\x00")

    assert refused is None
    assert time.process_time() - began_at < 1.0


def test_the_patterns_are_those_of_the_service_models() -> None:
    session = Session()
    shapes = [session.get_service_model(name) for name in ("events", "rds")]
    patterns = {model.shape_for(name).metadata.get("pattern") for model in shapes for name in model.shape_names}

    assert set(LINEAR) <= patterns


def test_what_is_no_pattern_of_pythons_is_left_out() -> None:
    assert compile_pattern("[") is None
