"""Variables that are reset are again what they were when the client came."""

import psycopg
import pytest

from tests.integration.pgproxy.conftest import MakeProxy
from workshape.settings import ProxySettings

ONE_CONNECTION = ProxySettings(max_connections_percent=6, connection_borrow_timeout_s=20.0)


async def said(connection: psycopg.AsyncConnection[tuple[str]], sql: str) -> str:
    row = await (await connection.execute(sql.encode())).fetchone()
    assert row is not None
    return row[0]


RESETS = ["RESET application_name", "RESET ALL", "DISCARD ALL", "SET application_name TO DEFAULT"]


@pytest.mark.parametrize("parameters", [None, ()], ids=["query", "batch"])
@pytest.mark.parametrize("reset", RESETS)
async def test_an_applications_name_is_its_own_again_after_a_reset(
    make_proxy: MakeProxy, reset: str, parameters: tuple[()] | None
) -> None:
    async with (
        make_proxy(ONE_CONNECTION) as proxy,
        await proxy.connect(application_name="mine") as mine,
        await proxy.connect() as other,
    ):
        await mine.execute("SET application_name = 'else'")
        await mine.execute(reset.encode(), parameters)
        shown = await said(mine, "SHOW application_name")
        told = mine.info.parameter_status("application_name")
        others = await said(other, "SHOW application_name")

    assert (shown, told, others) == ("mine", "mine", "")


async def test_a_reset_that_is_rolled_back_leaves_the_name_that_was_set(make_proxy: MakeProxy) -> None:
    async with make_proxy(ONE_CONNECTION) as proxy, await proxy.connect(application_name="mine") as mine:
        await mine.execute("SET application_name = 'else'")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await mine.execute("RESET application_name; SELECT 1/0")
        after_error = await said(mine, "SHOW application_name")
        await mine.execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await mine.execute("SELECT 1/0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await mine.execute("RESET ALL")
        await mine.execute("ROLLBACK")
        after_refusal = await said(mine, "SHOW application_name")
        await mine.execute("BEGIN")
        await mine.execute("RESET ALL")
        inside = await said(mine, "SHOW application_name")
        await mine.execute("ROLLBACK")
        after_rollback = await said(mine, "SHOW application_name")

    assert (after_error, after_refusal, inside, after_rollback) == ("else", "else", "mine", "else")
