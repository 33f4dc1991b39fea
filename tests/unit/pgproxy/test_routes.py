"""Which database is where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.errors import Invalid
from workshape.pgproxy.config import DatabaseServer, ProxyConfig, ProxyUser
from workshape.pgproxy.routes import EVERY_DATABASE, ProxiedDatabase
from workshape.settings import PoolMode, ProxySettings

MAIN, OTHER = DatabaseServer("main", "db1", 5432), DatabaseServer("other", "db2", 5432)
NAMES = st.sampled_from(["shop", "billing", "archive"])


def test_without_databases_every_one_is_on_the_first_server() -> None:
    routes = ProxyConfig((MAIN, OTHER), ()).routes()

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
    routes = ProxyConfig((MAIN, OTHER), (), tuple(databases)).routes()

    found = routes.find(asked)

    expected = "main" if asked in named else "other" if has_rest else None
    assert (None if found is None else found.server) == expected
    assert routes.real_name(asked) == (f"real_{asked}" if asked in named else asked)


@given(*[st.none() | st.sampled_from(PoolMode)] * 2, st.sampled_from(PoolMode))
def test_a_users_pool_mode_goes_before_its_databases_and_that_before_the_proxys(
    of_user: PoolMode | None, of_database: PoolMode | None, of_proxy: PoolMode
) -> None:
    config = ProxyConfig(
        (MAIN,),
        (ProxyUser("app", "secret", of_user), ProxyUser("plain", "secret")),
        (ProxiedDatabase("shop", "main", pool_mode=of_database, connections_max=3), ProxiedDatabase("*", "main")),
        settings=ProxySettings(pool_mode=of_proxy),
    )

    routes = config.routes()

    assert routes.pool_mode("shop", "app") == (of_user or of_database or of_proxy)
    assert routes.pool_mode("shop", "plain") == (of_database or of_proxy)
    assert routes.pool_mode("other", "plain") == of_proxy
    assert (routes.connections_max("shop"), routes.connections_max("other")) == (3, None)


@pytest.mark.parametrize(
    ("servers", "databases", "told"),
    [
        ((), (), "needs a database server"),
        ((MAIN, MAIN), (), "two servers are called 'main'"),
        ((MAIN,), (ProxiedDatabase("a", "main"), ProxiedDatabase("a", "main")), "two databases are called 'a'"),
        ((MAIN,), (ProxiedDatabase("a", "b"),), "database 'a': there is no server 'b', only main"),
        ((MAIN,), (ProxiedDatabase("a", "main", readers=("c",)),), "there is no server 'c'"),
        ((MAIN,), (ProxiedDatabase("a", "main", readers=("main",)),), "database 'a': server 'main' is named twice"),
        ((MAIN,), (ProxiedDatabase("a", "main", user="owner"),), "database 'a': there is no user 'owner'"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    servers: tuple[DatabaseServer, ...], databases: tuple[ProxiedDatabase, ...], told: str
) -> None:
    with pytest.raises(Invalid, match=told):
        ProxyConfig(servers, (), databases)
