"""Which route answers, against an oracle that reads AWS's priorities off the documentation in the dullest way."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.apis.routes import DEFAULT, Match, RouteTable, SameRequests
from workshape.errors import Invalid

METHODS = ["GET", "POST", "ANY"]
TEXTS = ["pets", "dog", "1", "a b", "ü", "a/b", "{id}"]


def table(*keys: str) -> RouteTable[str]:
    return RouteTable([(key, f"function of {key}") for key in keys])


def chosen(routes: RouteTable[str], method: str, path: str) -> str | None:
    match = routes.find(method, path)
    return match.key if match else None


def parameters(routes: RouteTable[str], path: str) -> dict[str, str]:
    match = routes.find("GET", path)
    assert match is not None
    return match.parameters


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
        ("POST", "/test/5", "ANY /{proxy+}"),
        ("POST", "/pets/dog/1", "ANY /{proxy+}"),
        ("GET", "/", "$default"),
    ],
)
def test_requests_are_routed_as_in_the_documentations_example(method: str, path: str, key: str) -> None:
    routes = table("GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default")

    assert chosen(routes, method, path) == key


def test_any_answers_the_methods_not_defined_for_its_path() -> None:
    routes = table("ANY /pets", "GET /pets", "GET /{name}")

    assert chosen(routes, "GET", "/pets") == "GET /pets"
    assert chosen(routes, "POST", "/pets") == "ANY /pets"
    assert chosen(routes, "HEAD", "/pets") == "ANY /pets"
    assert chosen(routes, "POST", "/cats") is None


def test_a_full_match_with_any_goes_before_a_greedy_match_with_the_method() -> None:
    assert chosen(table("GET /{proxy+}", "ANY /pets"), "GET", "/pets") == "ANY /pets"


def test_without_a_default_route_nothing_else_matches() -> None:
    assert table("GET /pets").find("GET", "/cats") is None
    assert table().find("GET", "/") is None


def test_the_default_route_catches_nothing_by_name() -> None:
    match = table("$default").find("DELETE", "/any/thing")

    assert match == Match("$default", "function of $default", {})


def test_variables_are_percent_decoded_after_the_path_is_taken_apart() -> None:
    assert parameters(table("GET /pets/{id}"), "/pets/a%2Fb%20%C3%BC") == {"id": "a/b ü"}
    assert parameters(table("GET /pets/{rest+}"), "/pets/a%2Fb/c%20d") == {"rest": "a/b/c d"}
    assert chosen(table("GET /a%20b"), "GET", "/a b") == "GET /a%20b"
    assert chosen(table("GET /a b"), "GET", "/a%20b") == "GET /a b"


def test_a_greedy_variable_catches_every_child_but_not_its_parent() -> None:
    routes = table("GET /pets/{rest+}")

    assert parameters(routes, "/pets/1") == {"rest": "1"}
    assert parameters(routes, "/pets/1/2/") == {"rest": "1/2/"}
    assert chosen(routes, "GET", "/pets") is None
    assert chosen(routes, "GET", "/pets/") is None


def test_a_trailing_slash_makes_another_path() -> None:
    routes = table("GET /pets", "GET /cats/", "GET /dogs/{id}")

    assert chosen(routes, "GET", "/pets/") is None
    assert chosen(routes, "GET", "/cats") is None
    assert chosen(routes, "GET", "/cats/") == "GET /cats/"
    assert chosen(routes, "GET", "/dogs/") is None
    assert chosen(routes, "GET", "//pets") is None


def test_the_root_is_a_path_like_others() -> None:
    assert chosen(table("GET /"), "GET", "/") == "GET /"
    assert chosen(table("GET /"), "GET", "") == "GET /"


@pytest.mark.parametrize(
    "key",
    [
        *("", "GET", "/pets", "get /pets", "TRACE /pets", "GET pets", "GET  /pets", "$Default"),
        *("GET /{id}x", "GET /x{id}", "GET /{}", "GET /{a b}", "GET /}"),
        *("GET /{a+}/b", "GET /{a}/{a}", "GET /{a}/{a+}"),
    ],
)
def test_what_is_no_route_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(Invalid) as refused:
        table(key)

    assert repr(key) in refused.value.reason


@pytest.mark.parametrize(
    "keys",
    [
        ("GET /pets", "GET /pets"),
        ("GET /pets/{id}", "GET /pets/{name}"),
        ("GET /{a+}", "GET /{b+}"),
        ("GET /a%20b", "GET /a b"),
        ("$default", "$default"),
    ],
)
def test_two_routes_for_the_same_requests_are_refused(keys: tuple[str, ...]) -> None:
    with pytest.raises(SameRequests):
        table(*keys)


def test_a_literal_that_reads_like_a_variables_kind_is_a_literal() -> None:
    routes = table("GET /%7BVARIABLE%7D", "GET /{id}")

    assert chosen(routes, "GET", "/%7BVARIABLE%7D") == "GET /%7BVARIABLE%7D"


segments = st.one_of(st.sampled_from(TEXTS).map(lambda text: quote(text, safe="")), st.just("{v}"))


@st.composite
def route_keys(draw: st.DrawFn) -> str:
    path = [
        part if part != "{v}" else f"{{v{index}}}" for index, part in enumerate(draw(st.lists(segments, max_size=3)))
    ]
    if draw(st.booleans()):
        path.append("{rest+}")
    return f"{draw(st.sampled_from(METHODS))} /{'/'.join(path)}"


def oracle(keys: list[str], method: str, path: str) -> str | None:
    """AWS: a full match of route and method, then a greedy one, then $default; the most specific of several."""
    candidates = []
    asked = path[1:].split("/")
    for key in keys:
        if key == DEFAULT:
            continue
        own_method, own_path = key.split(" ", 1)
        own = own_path[1:].split("/")
        greedy = own[-1].endswith("+}")
        if own_method not in (method, "ANY"):
            continue
        if greedy:
            head, rest = asked[: len(own) - 1], asked[len(own) - 1 :]
            fits = len(head) == len(own) - 1 and rest not in ([], [""])
            pairs = list(zip(own, head, strict=False))
        else:
            fits = len(own) == len(asked)
            pairs = list(zip(own, asked, strict=False))
        for mine, theirs in pairs:
            fits = fits and (theirs != "" if mine.startswith("{") else unquote(mine) == unquote(theirs))
        if fits:
            kinds = [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in own]
            candidates.append((greedy, kinds, own_method == "ANY", key))
    if candidates:
        return min(candidates)[-1]
    return DEFAULT if DEFAULT in keys else None


@given(
    st.lists(route_keys(), max_size=6),
    st.booleans(),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.lists(st.sampled_from([*TEXTS, ""]).map(lambda text: quote(text, safe="")), max_size=4),
)
def test_the_route_chosen_is_the_one_the_documentation_names(
    keys: list[str], default: bool, method: str, path: list[str]
) -> None:
    if default:
        keys = [*keys, DEFAULT]
    asked = "/" + "/".join(path)
    try:
        routes = table(*keys)
    except SameRequests:
        assert len(set(keys)) < len(keys)  # of these keys, only one given twice is refused
        return

    assert chosen(routes, method, asked) == oracle(keys, method, asked)


@given(st.lists(route_keys(), max_size=6, unique=True), st.data(), st.lists(st.sampled_from(["pets", "1", "x"])))
def test_the_order_of_the_routes_does_not_matter(keys: list[str], data: st.DataObject, path: list[str]) -> None:
    shuffled = data.draw(st.permutations(keys))
    asked = "/" + "/".join(path)

    assert chosen(table(*keys), "GET", asked) == chosen(table(*shuffled), "GET", asked)


@given(st.text(max_size=30), st.text(alphabet="/%{}+abAB09ü", max_size=30))
def test_no_path_breaks_the_table(method: str, path: str) -> None:
    routes = table("GET /{a}/{b+}", "ANY /{a}", "GET /a/%7B")

    match = routes.find(method, "/" + path)

    assert match is None or all(match.parameters.values())
