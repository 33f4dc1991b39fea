"""Definitions in JSON and in YAML."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workshape.apis.definition_text import YAML_BYTES_MAX, InvalidDefinition, read_document

HEAD = "info: {title: t}\n"
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(-1e6, 1e6) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


class Quoting(yaml.SafeDumper):
    """Writes texts in quotation marks: what PyYAML takes for a text may be a number in YAML 1.2."""


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@given(st.dictionaries(texts, values, max_size=4))
def test_a_document_is_the_same_in_json_and_in_yaml(paths: dict[str, Any]) -> None:
    document = {"info": {"title": "t"}, "paths": paths}

    written = yaml.dump(document, Dumper=Quoting, allow_unicode=True)

    assert read_document(written) == read_document(json.dumps(document)) == document


def test_yaml_means_what_it_means_in_json() -> None:
    text = f"{HEAD}paths:\n  /a: {{on: yes, at: 2015-03-31, no: 0o17, t: 1:30, f: 1.5, n: ~, 200: {{ok: true}}, x: }}\n"

    assert read_document(text)["paths"]["/a"] == {
        "on": "yes",
        "at": "2015-03-31",
        "no": "0o17",
        "t": "1:30",
        "f": 1.5,
        "n": None,
        "200": {"ok": True},
        "x": None,
    }


def test_an_anchor_stands_for_what_it_names_and_is_merged() -> None:
    text = f"{HEAD}paths:\n  /a: &a {{get: {{x: 1}}}}\n  /b: *a\n  /c: {{<<: *a, put: 2}}\n"

    assert read_document(text)["paths"] == {
        "/a": {"get": {"x": 1}},
        "/b": {"get": {"x": 1}},
        "/c": {"get": {"x": 1}, "put": 2},
    }


def ever_more(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join([*lines, HEAD, "paths: {}"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"paths": ', "it begins like JSON, and is none"),
        ('{"paths": {"/a": \xff}}'.encode("latin-1"), "it begins like JSON, and is none"),
        (b"paths: \xff", "it is neither JSON nor YAML"),
        ("paths: [", "it is neither JSON nor YAML"),
        (f"{HEAD}paths: {{/a: !!python/name:os.system x}}", "it is neither JSON nor YAML"),
        (f"{HEAD}paths: {{/a: !Ref f}}", "it is neither JSON nor YAML"),
        (f"{HEAD}---\npaths: {{}}", "it is neither JSON nor YAML"),
        ("paths: " + "[" * 100_000, "it is neither JSON nor YAML"),
        (f"{HEAD}paths: {{/a: &a {{get: *a}}}}", "stands for something that contains it"),
        (f"{HEAD}paths: {'[' * 900}{']' * 900}", "it is nested too deeply"),
        (ever_more(9), "more than 200,000 values, with all that anchors repeat"),
        (f"{HEAD}paths: {{}} # {'x' * YAML_BYTES_MAX}", "YAML of 1,048,576 bytes at most, and this has 1,048,60[0-9]"),
        ("just words", "it has no paths"),
        ("", "it has no paths"),
        ("paths: {}", "it has no info.title"),
    ],
)
def test_what_cannot_be_read_is_refused_by_what_is_wrong(text: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        read_document(text)
