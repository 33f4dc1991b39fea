"""A reload reads certificates and authorities again: whoever comes finds the new ones, whoever is there stays."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fakes.certificate_authority import CertificateAuthority, Files
from tests.integration.pgproxy.conftest import PASSWORD, USER, MakeProxy, Proxy
from workshape.pgproxy.account import CertificateUse, LoginRules
from workshape.pgproxy.config import DatabaseServer, ProxyUser
from workshape.pgproxy.database_tls import DatabaseTls, SslMode


class Renewable:
    """A certificate and its authority's in files that are written anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._renewals = 0
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "shown.pem", folder / "shown.key"
        self.issued: Files
        self.renew()

    def renew(self) -> str:
        """Have another authority sign another one; return a copy of the authority that stays as it is."""
        self._renewals += 1
        authority = CertificateAuthority(self._folder / str(self._renewals), f"authority {self._renewals}")
        self.issued = authority.issue(USER, "localhost", "127.0.0.1")
        for made, file in ((authority.file, self.ca), (self.issued.certificate, self.certificate)):
            shutil.copy(made, file)
        shutil.copy(self.issued.key, self.key)
        return str(authority.file)

    @property
    def first_ca(self) -> str:
        """The authority that there was at first."""
        return str(self._folder / "1" / "ca.pem")

    def shown(self) -> dict[str, Path]:
        """As a proxy takes it."""
        return {"certificate_file": self.certificate, "key_file": self.key}


@pytest.fixture
def files(tmp_path: Path) -> Renewable:
    return Renewable(tmp_path / "files")


async def connect(proxy: Proxy, ca: str) -> psycopg.AsyncConnection[Any]:
    """Come as a client that trusts this authority, and is bound to the certificate that it sees."""
    return await proxy.connect(sslmode="verify-full", sslrootcert=ca, channel_binding="require")


async def test_new_clients_see_the_new_certificate_and_old_ones_stay(make_proxy: MakeProxy, files: Renewable) -> None:
    async with make_proxy(**files.shown()) as proxy, await connect(proxy, files.first_ca) as old:
        new_ca = files.renew()
        assert proxy.proxy.try_reload() is None
        async with await connect(proxy, new_ca) as new:
            answers = [await (await client.execute("SELECT 1")).fetchone() for client in (old, new)]
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            await connect(proxy, files.first_ca)

    assert answers == [(1,), (1,)]


@pytest.mark.parametrize("broken", ["certificate", "key", "ca"])
async def test_a_broken_file_is_one_error_and_the_old_ones_stay_in_use(
    make_proxy: MakeProxy, files: Renewable, broken: str
) -> None:
    options: dict[str, Any] = {**files.shown(), "client_ca_file": files.ca, "administrators": (USER,)}
    async with (
        make_proxy(**options) as proxy,
        await proxy.connect(dbname="workshape") as console,
    ):
        file: Path = getattr(files, broken)
        file.write_text("-----BEGIN NOTHING-----")
        with pytest.raises(psycopg.errors.ConfigFileError) as caught:
            await console.execute(b"RELOAD")
        async with await connect(proxy, files.first_ca) as client:
            answer = await (await client.execute("SELECT 1")).fetchone()
        new_ca = files.renew()
        await console.execute(b"RELOAD")
        async with await connect(proxy, new_ca):
            pass

    assert str(file) in str(caught.value)
    assert caught.value.diag.message_hint == "Settings and certificates are as they were."
    assert answer == (1,)


async def test_clients_certificates_are_checked_by_the_new_authority(make_proxy: MakeProxy, files: Renewable) -> None:
    user = ProxyUser(USER, PASSWORD, rules=LoginRules(certificate=CertificateUse.CERT))
    async with make_proxy(client_ca_file=files.ca, users=(user,)) as proxy:
        before = files.issued
        async with await proxy.connect(sslmode="require", **before.options()):
            files.renew()
            assert proxy.proxy.try_reload() is None
            async with await proxy.connect(sslmode="require", **files.issued.options()) as client:
                answer = await (await client.execute("SELECT 1")).fetchone()
            with pytest.raises(psycopg.OperationalError):
                await proxy.connect(sslmode="require", **before.options())

    assert answer == (1,)


async def test_the_databases_new_certificate_is_checked_by_its_new_authority(
    make_proxy: MakeProxy, files: Renewable
) -> None:
    tls = DatabaseTls(SslMode.VERIFY_FULL, str(files.ca))
    async with make_proxy(**files.shown(), tls_required=True) as database:
        servers = (DatabaseServer("main", "localhost", database.port, tls),)
        async with make_proxy(servers=servers) as proxy, await proxy.connect() as old:
            await old.execute("LISTEN news")  # so it keeps its connection
            files.renew()
            assert database.proxy.try_reload() is None
            with pytest.raises(psycopg.OperationalError, match="is not trusted"):
                await proxy.connect(dbname="postgres")  # which has no connection yet
            assert proxy.proxy.try_reload() is None
            async with await proxy.connect() as new:
                answers = [await (await client.execute("SELECT 1")).fetchone() for client in (old, new)]
            running = asyncio.create_task(old.execute("SELECT pg_sleep(30)"))
            await database.until(lambda: database.server.runs("pg_sleep(30)"))
            await old.cancel_safe()  # over a new connection, for one from before
            with pytest.raises(psycopg.errors.QueryCanceled):
                await running

    assert answers == [(1,), (1,)]
