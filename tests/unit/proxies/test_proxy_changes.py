"""What RDS accepts of a proxy's settings, and how changes are laid over what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.proxies.test_registry import SHOP
from workshape.proxies.changes import (
    BORROW_S,
    PoolChange,
    changed_pool,
    check_auth,
    check_idle_client,
    check_name,
    check_role,
)
from workshape.proxies.model import InvalidCombination, InvalidValue, PoolConfig, UserAuth

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-abc"
NUMBERS = st.one_of(st.none(), st.integers(-10, 400))


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=20))
def test_a_pool_is_within_its_bounds_whatever_is_asked_for(
    changes: list[tuple[int | None, int | None, int | None]],
) -> None:
    pool = PoolConfig()

    for share, idle, borrow_s in changes:
        before = pool
        try:
            pool = changed_pool(pool, PoolChange(share, idle, borrow_s))
        except (InvalidValue, InvalidCombination):
            assert pool == before

        assert 1 <= pool.max_connections_percent <= 100
        assert 0 <= pool.max_idle_connections_percent <= pool.max_connections_percent
        assert BORROW_S[0] <= pool.borrow_timeout_s <= BORROW_S[1]


def test_what_is_not_given_stays_but_the_idle_share_which_is_half_of_a_new_share() -> None:
    pool = PoolConfig(borrow_timeout_s=7, init_query="SET x = 1")

    assert changed_pool(pool, PoolChange(max_connections_percent=80)) == PoolConfig(
        max_connections_percent=80, max_idle_connections_percent=40, borrow_timeout_s=7, init_query="SET x = 1"
    )
    assert changed_pool(pool, PoolChange(init_query="")) == PoolConfig(borrow_timeout_s=7)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (PoolChange(max_idle_connections_percent=10), "together with MaxConnectionsPercent"),
        (PoolChange(50, 51), "MaxIdleConnectionsPercent must be between 0 and 50, not 51"),
        (PoolChange(0), "MaxConnectionsPercent must be between 1 and 100, not 0"),
        (PoolChange(borrow_timeout_s=301), "ConnectionBorrowTimeout must be between 0 and 300, not 301"),
        (PoolChange(pinning_filters=("EXCLUDE_VARIABLE_SETS",)), "isn't supported for PostgreSQL"),
    ],
)
def test_what_rds_refuses_is_refused_with_its_name_and_bounds(change: PoolChange, told: str) -> None:
    with pytest.raises((InvalidValue, InvalidCombination), match=told):
        changed_pool(PoolConfig(), change)


def test_a_proxy_logs_in_by_secrets() -> None:
    check_auth([UserAuth(secret_arn=SECRET, iam="REQUIRED", password_type="POSTGRES_MD5")], "NONE")

    with pytest.raises(InvalidCombination, match="Auth must be given"):
        check_auth([], "NONE")
    with pytest.raises(InvalidCombination, match="SecretArn"):
        check_auth([UserAuth(secret_arn="")], "NONE")
    with pytest.raises(InvalidValue, match="knows no IAM"):
        check_auth([], "IAM_AUTH")
    with pytest.raises(InvalidValue, match="SQL Server"):
        check_auth([UserAuth(secret_arn=SECRET, iam="ENABLED")], "NONE")
    with pytest.raises(InvalidValue, match="MYSQL_NATIVE_PASSWORD"):
        check_auth([UserAuth(secret_arn=SECRET, password_type="MYSQL_NATIVE_PASSWORD")], "NONE")


def test_roles_names_and_times_are_those_of_rds() -> None:
    check_idle_client(28_800)

    with pytest.raises(InvalidValue, match="IdleClientTimeout must be between 1 and 28800"):
        check_idle_client(28_801)
    assert check_name("NewName", "my-proxy-2") == "my-proxy-2"
    for bad in ("2nd", "two--hyphens", "ends-", "", "x" * 64):
        with pytest.raises(InvalidValue, match="NewName"):
            check_name("NewName", bad)


def test_an_endpoint_for_readers_needs_a_database_that_has_some() -> None:
    reader = replace(SHOP.instances[0], identifier="shop-instance-2")
    cluster = replace(SHOP, instances=(*SHOP.instances, reader))

    for database, role in ((SHOP, "READ_WRITE"), (cluster, "READ_WRITE"), (cluster, "READ_ONLY")):
        check_role(role, database)

    with pytest.raises(InvalidCombination, match="Aurora or Multi-AZ DB cluster with a reader"):
        check_role("READ_ONLY", SHOP)
