"""The proxy reaches its database over TLS, as libpq would: verified, bound, with a certificate, or not at all.

The server is a proxy too: it speaks TLS and SCRAM-SHA-256-PLUS as libpq's own `channel_binding=require` wants it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fakes.certificate_authority import CertificateAuthority
from tests.fakes.iam_tokens import KEY, REGION, SECRET
from tests.integration.pgproxy.conftest import PASSWORD, USER, MakeProxy, Proxy, Server
from workshape.pgproxy.account import CertificateUse, IamAuth, LoginRules, PasswordAuth
from workshape.pgproxy.auth import ChannelBinding
from workshape.pgproxy.config import AwsAccess, DatabaseServer, ProxyUser
from workshape.pgproxy.database_tls import DatabaseTls, SslMode
from workshape.sigv4 import Keys

VERIFY_FULL, VERIFY_CA, REQUIRE, PREFER = SslMode.VERIFY_FULL, SslMode.VERIFY_CA, SslMode.REQUIRE, SslMode.PREFER


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "authority")


@asynccontextmanager
async def database(
    make_proxy: MakeProxy, authority: CertificateAuthority, *hosts: str, **changes: Any
) -> AsyncIterator[Proxy]:
    """A server that takes only TLS, with a certificate for these hosts."""
    shown = authority.issue("database", *hosts)
    changes = {"certificate_file": shown.certificate, "key_file": shown.key, "tls_required": True, **changes}
    async with make_proxy(**changes) as server:
        yield server


async def told(proxy: Proxy) -> tuple[str, int]:
    """Whom a client is to the database, and how many connections to it are encrypted; or why it is nobody, and 0."""
    try:
        client = await proxy.connect()
    except psycopg.OperationalError as error:
        return str(error), 0
    async with client:
        row = await (await client.execute("SELECT current_user")).fetchone()
        assert row is not None
        return str(row[0]), proxy.proxy.snapshot().databases.connections_tls


async def asked(make_proxy: MakeProxy, port: int, tls: DatabaseTls) -> tuple[str, int]:
    """What a client is told by a proxy that reaches a server that way."""
    async with make_proxy(servers=(DatabaseServer("main", "localhost", port, tls),)) as proxy:
        return await told(proxy)


async def test_the_server_must_be_who_it_says_as_far_as_sslmode_wants(
    make_proxy: MakeProxy, authority: CertificateAuthority, tmp_path: Path
) -> None:
    stranger = CertificateAuthority(tmp_path / "stranger", "a stranger")
    good, bad = str(authority.file), str(stranger.file)
    not_trusted = "is not trusted: unable to get local issuer certificate"
    async with database(make_proxy, authority, "localhost") as right, database(make_proxy, authority, "db") as wrong:
        for port, tls, expected in (
            (right.port, DatabaseTls(VERIFY_FULL, good), USER),
            (right.port, DatabaseTls(VERIFY_FULL, bad), not_trusted),
            (wrong.port, DatabaseTls(VERIFY_FULL, good), "is not trusted: Hostname mismatch"),
            (wrong.port, DatabaseTls(VERIFY_CA, good), USER),
            (wrong.port, DatabaseTls(VERIFY_CA, bad), not_trusted),
            (wrong.port, DatabaseTls(REQUIRE, good), USER),
            (wrong.port, DatabaseTls(REQUIRE, bad), not_trusted),
            (wrong.port, DatabaseTls(REQUIRE), USER),
            (wrong.port, DatabaseTls(PREFER), USER),
            (right.port, DatabaseTls(), "TLS is required"),
            (right.port, DatabaseTls(VERIFY_FULL, "system"), "is not trusted"),
        ):
            said, encrypted = await asked(make_proxy, port, tls)

            assert expected in said, tls
            assert encrypted == (expected == USER)


async def test_a_server_without_tls_is_gone_on_with_only_where_that_is_allowed(
    make_proxy: MakeProxy, server: Server
) -> None:
    preferred = await asked(make_proxy, server.port, DatabaseTls(PREFER))
    required, _ = await asked(make_proxy, server.port, DatabaseTls(REQUIRE))

    assert preferred == (USER, 0)
    assert f"localhost:{server.port} does not do TLS, and sslmode is require" in required


async def test_the_log_in_is_bound_to_the_connection_where_that_is_required(
    make_proxy: MakeProxy, authority: CertificateAuthority, server: Server
) -> None:
    bound = DatabaseTls(REQUIRE, channel_binding=ChannelBinding.REQUIRE)
    aws = AwsAccess(REGION, Keys(KEY, SECRET), "http://127.0.0.1:1")
    asks_in_the_clear = (ProxyUser(USER, PASSWORD, rules=LoginRules(IamAuth.ENABLED)),)
    async with (
        database(make_proxy, authority, "localhost") as binds,
        database(make_proxy, authority, "localhost", users=asks_in_the_clear, aws=aws) as does_not,
    ):
        assert await asked(make_proxy, binds.port, bound) == (USER, 1)
        unbound = DatabaseTls(REQUIRE, channel_binding=ChannelBinding.DISABLE)
        said, _ = await asked(make_proxy, binds.port, unbound)
        assert said == USER
        said, _ = await asked(make_proxy, does_not.port, bound)
        assert "the database offers no channel binding, and it is required" in said


async def test_the_proxy_shows_a_certificate_of_its_own(make_proxy: MakeProxy, authority: CertificateAuthority) -> None:
    own = authority.issue(USER)
    shows = DatabaseTls(VERIFY_FULL, str(authority.file), str(own.certificate), str(own.key))
    users = (ProxyUser(USER, PASSWORD, rules=LoginRules(certificate=CertificateUse.CERT)),)
    async with database(make_proxy, authority, "localhost", users=users, client_ca_file=authority.file) as server:
        assert await asked(make_proxy, server.port, shows) == (USER, 1)
        said, _ = await asked(make_proxy, server.port, DatabaseTls(VERIFY_FULL, str(authority.file)))
        assert "connection requires a valid client certificate" in said


async def test_the_proxy_logs_in_with_tokens_of_its_own(make_proxy: MakeProxy, authority: CertificateAuthority) -> None:
    aws = AwsAccess(REGION, Keys(KEY, SECRET), "http://127.0.0.1:1")
    takes_tokens = (ProxyUser(USER, PASSWORD, rules=LoginRules(IamAuth.REQUIRED)),)
    async with database(make_proxy, authority, "localhost", users=takes_tokens, aws=aws) as server:
        tls = DatabaseTls(VERIFY_FULL, str(authority.file))
        servers = (DatabaseServer("main", "localhost", server.port, tls),)
        for keys, expected in ((Keys(KEY, SECRET), USER), (Keys(KEY, "other"), "The IAM authentication failed")):
            users = (ProxyUser(USER, PASSWORD, database_iam=True),)
            async with make_proxy(servers=servers, users=users, aws=replace(aws, keys=keys)) as proxy:
                assert expected in (await told(proxy))[0]


async def test_a_cancel_request_goes_over_tls_too(make_proxy: MakeProxy, authority: CertificateAuthority) -> None:
    async with database(make_proxy, authority, "localhost") as server:
        tls = DatabaseTls(VERIFY_FULL, str(authority.file))
        async with (
            make_proxy(servers=(DatabaseServer("main", "localhost", server.port, tls),)) as proxy,
            await proxy.connect() as client,
        ):
            running = asyncio.create_task(client.execute("SELECT pg_sleep(30)"))
            await proxy.until(lambda: proxy.server.runs("pg_sleep(30)"))
            await client.cancel_safe()

            with pytest.raises(psycopg.errors.QueryCanceled):
                await running


async def test_a_server_may_ask_for_md5_and_over_tls_for_the_password_itself(
    make_proxy: MakeProxy, authority: CertificateAuthority
) -> None:
    md5 = (ProxyUser(USER, PASSWORD, rules=LoginRules(password_auth=PasswordAuth.MD5)),)
    aws = AwsAccess(REGION, Keys(KEY, SECRET), "http://127.0.0.1:1")
    clear = (ProxyUser(USER, PASSWORD, rules=LoginRules(IamAuth.ENABLED)),)
    async with (
        make_proxy(users=md5) as asks_for_md5,
        database(make_proxy, authority, "localhost", users=clear, aws=aws) as asks_in_the_clear,
    ):
        assert await asked(make_proxy, asks_for_md5.port, DatabaseTls()) == (USER, 0)
        assert await asked(make_proxy, asks_in_the_clear.port, DatabaseTls(REQUIRE)) == (USER, 1)
