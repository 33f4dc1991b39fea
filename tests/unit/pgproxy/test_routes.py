"""Which database is where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.errors import Invalid
from workshape.pgproxy.config import DatabaseServer, ProxyConfig
from workshape.pgproxy.routes import EVERY_DATABASE, ProxiedDatabase, Routes

MAIN, OTHER = DatabaseServer("main", "db1", 5432), DatabaseServer("other", "db2", 5432)
NAMES = st.sampled_from(["shop", "billing", "archive"])


def test_without_databases_every_one_is_on_the_first_server() -> None:
    routes = Routes(ProxyConfig((MAIN, OTHER), ()).all_databases())

    found = routes.find("anything")

    assert found is not None
    assert found.server == "main"
    assert routes.real_name("anything") == "anything"


@given(st.lists(NAMES, unique=True), st.booleans(), NAMES)
def test_a_name_leads_to_its_own_entry_then_to_the_one_for_all_others_then_nowhere(
    named: list[str], has_rest: bool, asked: str
) -> None:
    databases = [ProxiedDatabase(name, "main", real_name=f"real_{name}") for name in named]
    if has_rest:
        databases.append(ProxiedDatabase(EVERY_DATABASE, "other"))
    databases = databases or [ProxiedDatabase("elsewhere", "main")]
    routes = Routes(ProxyConfig((MAIN, OTHER), (), tuple(databases)).all_databases())

    found = routes.find(asked)

    expected = "main" if asked in named else "other" if has_rest else None
    assert (None if found is None else found.server) == expected
    assert routes.real_name(asked) == (f"real_{asked}" if asked in named else asked)


@pytest.mark.parametrize(
    ("servers", "databases", "told"),
    [
        ((), (), "needs a database server"),
        ((MAIN, MAIN), (), "two servers are called 'main'"),
        ((MAIN,), (ProxiedDatabase("a", "main"), ProxiedDatabase("a", "main")), "two databases are called 'a'"),
        ((MAIN,), (ProxiedDatabase("a", "b"),), "database 'a': there is no server 'b', only main"),
        ((MAIN,), (ProxiedDatabase("a", "main", readers=("c",)),), "there is no server 'c'"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    servers: tuple[DatabaseServer, ...], databases: tuple[ProxiedDatabase, ...], told: str
) -> None:
    with pytest.raises(Invalid, match=told):
        ProxyConfig(servers, (), databases)
