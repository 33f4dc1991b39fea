"""Messages larger than any buffer pass whole, in both directions."""

import asyncpg
import pytest

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy


@pytest.mark.parametrize("size", [100_000, 5_000_000])
async def test_a_parameter_larger_than_any_buffer_comes_back_whole(make_proxy: MakeProxy, size: int) -> None:
    value = bytes(range(256)) * (size // 256)
    async with make_proxy() as proxy:
        client = await asyncpg.connect(
            host="127.0.0.1", port=proxy.port, user=USER, password=PASSWORD, database=DATABASE, ssl=False
        )
        statement = await client.prepare("SELECT $1::bytea")
        echoed = [await statement.fetchval(value, timeout=30) for _ in range(2)]
        await client.close()

    assert echoed == [value, value]
