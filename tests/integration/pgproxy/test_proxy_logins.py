"""Real clients prove who they are: tokens, certificates, md5, and passwords that are secrets."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fakes.certificate_authority import CertificateAuthority
from tests.fakes.iam_tokens import KEY, REGION, SECRET, token_for
from tests.integration.pgproxy.conftest import PASSWORD, USER, MakeProxy, Proxy, Server
from workshape.errors import BackendUnavailable
from workshape.pgproxy.account import CertificateUse, IamAuth, LoginRules, PasswordAuth
from workshape.pgproxy.accounts import SecretValue
from workshape.pgproxy.auth import ScramVerifier
from workshape.pgproxy.config import AwsAccess, ProxyUser, UserLookup
from workshape.sigv4 import Keys

AWS = AwsAccess(REGION, Keys(KEY, SECRET), "http://127.0.0.1:1")


def with_rules(**rules: Any) -> tuple[ProxyUser, ...]:
    return (ProxyUser(USER, PASSWORD, rules=LoginRules(**rules)),)


async def whoever(proxy: Proxy, **options: str) -> str:
    """Log in, and ask the database as whom."""
    client = await proxy.connect(**options)
    async with client:
        row = await (await client.execute("SELECT current_user")).fetchone()
    assert row is not None
    return str(row[0])


async def refusal(proxy: Proxy, **options: str) -> str:
    with pytest.raises(psycopg.OperationalError) as error:
        await proxy.connect(**options)
    return str(error.value)


async def test_a_token_of_the_sdk_is_a_password_over_tls(make_proxy: MakeProxy) -> None:
    async with make_proxy(aws=AWS, users=with_rules(iam=IamAuth.REQUIRED)) as proxy:
        token = token_for(USER, proxy.port)
        verified = {"sslmode": "verify-full", "sslrootcert": str(proxy.certificates.ca)}

        assert await whoever(proxy, host="localhost", password=token, **verified) == USER
        assert "IAM is allowed only with SSL connections." in await refusal(proxy, password=token, sslmode="disable")
        for wrong, why in (
            ("secret", "is no IAM token"),
            (token_for("stranger", proxy.port), "is for user 'stranger'"),
            (token_for(USER, proxy.port + 1), f"is for localhost:{proxy.port + 1}"),
            (token.replace("Signature=", "Signature=0"), "signature does not hold"),
        ):
            told = await refusal(proxy, password=wrong, **verified)
            assert f"The IAM authentication failed for the role {USER}." in told
            assert why in told
        await proxy.until(lambda: proxy.proxy.snapshot().client_connections == 0)


async def test_who_moves_to_tokens_may_come_with_either(make_proxy: MakeProxy) -> None:
    async with make_proxy(aws=AWS, users=with_rules(iam=IamAuth.ENABLED)) as proxy:
        assert await whoever(proxy, password=token_for(USER, proxy.port), sslmode="require") == USER
        assert await whoever(proxy, sslmode="require") == USER
        assert await whoever(proxy, sslmode="disable", require_auth="scram-sha-256") == USER
        assert "password authentication failed" in await refusal(proxy, password="wrong", sslmode="require")


async def test_md5_is_for_clients_of_old(make_proxy: MakeProxy) -> None:
    async with make_proxy(users=with_rules(password_auth=PasswordAuth.MD5)) as proxy:
        assert await whoever(proxy, require_auth="md5") == USER
        assert "password authentication failed" in await refusal(proxy, password="wrong")


@pytest.mark.parametrize("use", [CertificateUse.VERIFY_CA, CertificateUse.VERIFY_FULL, CertificateUse.CERT])
async def test_a_certificate_of_the_authority_for_clients_is_asked_for(
    make_proxy: MakeProxy, tmp_path: Path, caplog: pytest.LogCaptureFixture, use: CertificateUse
) -> None:
    authority, stranger = CertificateAuthority(tmp_path / "ours"), CertificateAuthority(tmp_path / "theirs")
    rules = {"certificate": use, "certificate_names": (USER, "robot.internal")}
    own, robot, other = (authority.issue(name).options() for name in (USER, "robot.internal", "other"))
    foreign = stranger.issue(USER).options()
    users = (*with_rules(**rules), ProxyUser("stranger", "x"))
    async with make_proxy(client_ca_file=authority.file, users=users) as proxy:
        channel_binding = "prefer" if use is CertificateUse.CERT else "require"
        for certificate in (own, robot):
            assert await whoever(proxy, channel_binding=channel_binding, **certificate) == USER
        if use is CertificateUse.VERIFY_CA:
            assert await whoever(proxy, **other) == USER
        else:
            told = await refusal(proxy, **other)
            assert f'certificate authentication failed for user "{USER}"' in told
            assert "in the name 'other'" in told
        assert "connection requires a valid client certificate" in await refusal(proxy, sslmode="require")
        assert "connection requires a valid client certificate" in await refusal(proxy, sslmode="disable")
        assert "SSL error" in await refusal(proxy, sslmode="require", **foreign)
        assert "client_tls_failed" in [record.message for record in caplog.records if record.levelname == "WARNING"]
        if use is not CertificateUse.CERT:
            assert "password authentication failed" in await refusal(proxy, password="wrong", **own)


async def test_a_verifier_is_enough_for_the_proxy_too(make_proxy: MakeProxy, server: Server) -> None:
    ((verifier,),) = server.run(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{USER}'")
    another = verifier.replace("4096", "4097")
    users = (ProxyUser(USER, verifier), ProxyUser("postgres", another))
    async with make_proxy(users=users) as proxy:
        assert await whoever(proxy, channel_binding="require", sslmode="require") == USER
        assert await whoever(proxy) == USER
        assert "password authentication failed" in await refusal(proxy, password="wrong")
        assert "password authentication failed" in await refusal(proxy, user="postgres")


async def test_a_verifier_that_is_not_the_databases_is_told_apart(make_proxy: MakeProxy) -> None:
    verifier = ScramVerifier.of_password(PASSWORD, b"another salt")
    parts = [base64.b64encode(part).decode() for part in (verifier.salt, verifier.stored_key, verifier.server_key)]
    text = f"SCRAM-SHA-256$4096:{parts[0]}${parts[1]}:{parts[2]}"
    async with make_proxy(users=(ProxyUser(USER, text),)) as proxy:
        assert "the database keeps another verifier of the password than the proxy" in await refusal(proxy)


class Secrets:
    """Secrets Manager, as the proxy sees it: `asked` counts."""

    def __init__(self, **values: SecretValue) -> None:
        self.values = values
        self.asked = 0

    async def read(self, _aws: AwsAccess, name: str) -> SecretValue:
        self.asked += 1
        if name not in self.values:
            raise BackendUnavailable(backend="Secrets Manager", address="nowhere", reason="a test wants it so")
        return self.values[name]


class SlowSecrets(Secrets):
    """Answers the second time only when it may."""

    def __init__(self, **values: SecretValue) -> None:
        super().__init__(**values)
        self.may_answer = asyncio.Event()

    async def read(self, aws: AwsAccess, name: str) -> SecretValue:
        value = await super().read(aws, name)
        if self.asked > 1:
            await self.may_answer.wait()
        return value


@pytest.fixture
def rotating(server: Server) -> str:
    """A role whose password changes."""
    server.run("DROP ROLE IF EXISTS rotating")
    server.run("CREATE ROLE rotating LOGIN PASSWORD 'first'")
    return "rotating"


async def test_a_secret_is_rotated_and_nobody_is_sent_away(
    make_proxy: MakeProxy, server: Server, rotating: str
) -> None:
    secrets = Secrets(main=SecretValue(rotating, "first"))
    async with make_proxy(read_secret=secrets.read, aws=AWS, users=(ProxyUser("", secret="main"),)) as proxy:
        stays = await proxy.connect(user=rotating, password="first")
        await stays.execute("SELECT 1")
        server.run("ALTER ROLE rotating PASSWORD 'second'")
        secrets.values["main"] = SecretValue(rotating, "second")
        comes = await whoever(proxy, user=rotating, password="second")
        is_behind = await refusal(proxy, user=rotating, password="first")
        async with stays:
            still = await (await stays.execute("SELECT 2")).fetchone()

        assert comes == rotating
        assert "password authentication failed" in is_behind
        assert still == (2,)
        assert secrets.asked <= 4  # at the start, for the newcomer, for who is behind


async def test_the_database_has_the_new_password_before_the_secret_says_it(
    make_proxy: MakeProxy, server: Server, rotating: str
) -> None:
    secrets = Secrets(main=SecretValue(rotating, "first"))
    async with make_proxy(read_secret=secrets.read, aws=AWS, users=(ProxyUser(rotating, secret="main"),)) as proxy:
        server.run("ALTER ROLE rotating PASSWORD 'second'")
        coming = asyncio.create_task(whoever(proxy, user=rotating, password="first"))
        await proxy.until(lambda: secrets.asked >= 2)
        secrets.values["main"] = SecretValue(rotating, "second")

        assert await coming == rotating


async def test_who_has_no_readable_secret_is_told_so_until_it_is_readable(make_proxy: MakeProxy, rotating: str) -> None:
    secrets = Secrets(others=SecretValue("somebody_else", "x"))
    users = (ProxyUser(rotating, secret="main"), ProxyUser(USER, secret="others"))
    async with make_proxy(read_secret=secrets.read, aws=AWS, users=users) as proxy:
        unread = await refusal(proxy, user=rotating, password="first")
        mistaken = await refusal(proxy)
        secrets.values["main"] = SecretValue("", "first")

        assert f"This RDS proxy has no credentials for the role {rotating}." in unread
        assert f"This RDS proxy has no credentials for the role {USER}." in mistaken
        assert await whoever(proxy, user=rotating, password="first") == rotating


async def test_whoever_leaves_or_talks_on_while_the_secret_is_read_harms_nobody(
    make_proxy: MakeProxy, rotating: str
) -> None:
    secrets = SlowSecrets(main=SecretValue(rotating, "first"))
    async with make_proxy(read_secret=secrets.read, aws=AWS, users=(ProxyUser(rotating, secret="main"),)) as proxy:
        waits = [asyncio.create_task(refusal(proxy, user=rotating, password=f"guess{n}")) for n in range(20)]
        await proxy.until(lambda: secrets.asked == 2)
        leaves = waits.pop()
        leaves.cancel()
        knows = await whoever(proxy, user=rotating, password="first")
        secrets.may_answer.set()
        told = await asyncio.gather(*waits)

        assert knows == rotating
        assert all("password authentication failed" in one for one in told)
        assert secrets.asked < len(told) / 2  # doubts share a reading; who came late shares the next
        await proxy.until(lambda: proxy.proxy.snapshot().client_connections == 0)


async def test_users_whom_nobody_named_are_looked_up_in_the_database(
    make_proxy: MakeProxy, server: Server, rotating: str
) -> None:
    server.run("DROP ROLE IF EXISTS closed")
    server.run("CREATE ROLE closed NOLOGIN PASSWORD 'first'")
    users = (ProxyUser("postgres", PASSWORD),)
    async with make_proxy(users=users, lookup=UserLookup("postgres")) as proxy:
        found = await whoever(proxy, user=rotating, password="first", channel_binding="require", sslmode="require")
        wrong = await refusal(proxy, user=rotating, password="wrong")
        unknown = await refusal(proxy, user="no\\\\'body", password="first")
        closed = await refusal(proxy, user="closed", password="first")
        server.run("ALTER ROLE rotating PASSWORD 'second'")
        changed = await whoever(proxy, user=rotating, password="second")

        assert found == changed == rotating
        assert 'password authentication failed for user "rotating"' in wrong
        assert "password authentication failed for user" in unknown
        assert 'password authentication failed for user "closed"' in closed
