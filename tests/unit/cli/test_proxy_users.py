"""The proxy's settings file: users with whatever they prove themselves by, and AWS."""

from pathlib import Path

import pytest

from workshape.cli.proxy_file import AwsEntry, ProxyFile, read_proxy_file
from workshape.errors import Invalid
from workshape.pgproxy.account import CertificateUse, IamAuth, LoginRules, PasswordAuth
from workshape.pgproxy.config import AwsAccess, DatabaseServer, ProxyConfig, ProxyUser, UserLookup
from workshape.sigv4 import Keys

OWNER = ProxyUser("app", "of the URL")
ENVIRONMENT = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}


def read(tmp_path: Path, text: str) -> ProxyFile:
    file = tmp_path / "proxy.toml"
    file.write_text(text)
    return read_proxy_file(file)


def test_a_user_is_a_password_or_a_table(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        """
        [users]
        reporting = "secret"
        [users.app]
        iam = "REQUIRED"
        [users.robot]
        secret = "prod/robot"
        password_auth = "POSTGRES_MD5"
        certificate = "verify-full"
        certificate_names = ["robot.internal"]
        """,
    )

    robot = LoginRules(IamAuth.DISABLED, PasswordAuth.MD5, CertificateUse.VERIFY_FULL, ("robot.internal",))
    assert file.proxy_users(OWNER) == (
        ProxyUser("app", "of the URL", rules=LoginRules(IamAuth.REQUIRED)),
        ProxyUser("reporting", "secret"),
        ProxyUser("robot", secret="prod/robot", rules=robot),
    )


def test_the_file_may_give_the_urls_user_another_password_or_a_secret(tmp_path: Path) -> None:
    assert read(tmp_path, '[users]\napp = "own"').proxy_users(OWNER) == (ProxyUser("app", "own"),)
    assert read(tmp_path, '[users.app]\nsecret = "s"').proxy_users(OWNER) == (ProxyUser("app", secret="s"),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[users.app]\niam = "MAYBE"', "line 2: [users.app] iam: expected one of DISABLED, "),
        ('[users.app]\npasword = "x"', "line 2: [users.app] pasword: there is no such key; did you mean"),
        ("[users]\napp = 3", "line 2: [users.app]: expected string | table, got integer"),
        ('[aws]\nkey = "x"', "line 2: [aws] key: there is no such key; there are: access_key, "),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Invalid) as error:
        read(tmp_path, text)

    assert told in str(error.value)


def test_what_the_file_lacks_of_aws_comes_from_the_environment() -> None:
    keys = Keys("AKID", "secret")
    own = AwsEntry(
        region="us-east-1", access_key="other", secret_key="s", endpoint="http://127.0.0.1:4566", hosts=("db:5432",)
    )

    assert AwsEntry().access({}) is None
    assert AwsEntry(region="us-east-1").access({}) is None
    assert AwsEntry().access(ENVIRONMENT) == AwsAccess(
        "eu-west-1", keys, "https://secretsmanager.eu-west-1.amazonaws.com"
    )
    assert AwsEntry().access(ENVIRONMENT | {"AWS_ENDPOINT_URL": "http://a"}) == AwsAccess("eu-west-1", keys, "http://a")
    assert own.access(ENVIRONMENT) == AwsAccess("us-east-1", Keys("other", "s"), "http://127.0.0.1:4566", ("db:5432",))


@pytest.mark.parametrize(
    ("user", "told"),
    [
        (ProxyUser("app", rules=LoginRules(IamAuth.REQUIRED)), "user 'app' needs [aws] with a region and keys"),
        (ProxyUser("app", database_iam=True), "user 'app' needs [aws] with a region and keys"),
        (ProxyUser("app", secret="s"), "user 'app' needs [aws] with a region and keys"),
        (ProxyUser("", secret="s"), "the user of secret 's' needs [aws]"),
        (ProxyUser("app", "x", secret="s"), "user 'app' needs a password or a secret, not both"),
        (
            ProxyUser("app", rules=LoginRules(certificate=CertificateUse.CERT)),
            "user 'app' needs an authority for clients' certificates (--client-ca)",
        ),
    ],
)
def test_what_a_user_needs_must_be_there(user: ProxyUser, told: str) -> None:
    with pytest.raises(Invalid) as error:
        ProxyConfig((DatabaseServer("db", "localhost", 5432),), (user,), certificate_file=Path("x"))

    assert told in str(error.value)


def test_a_verifier_must_be_one_and_who_looks_users_up_must_be_a_user(tmp_path: Path) -> None:
    servers = (DatabaseServer("db", "localhost", 5432),)
    lookup = read(tmp_path, '[lookup]\nuser = "admin"').user_lookup()

    with pytest.raises(Invalid, match="user 'app': the password begins like a SCRAM-SHA-256 verifier, and is none"):
        ProxyConfig(servers, (ProxyUser("app", "SCRAM-SHA-256$4096:x"),))
    with pytest.raises(Invalid, match="lookup: there is no user 'admin': add it to "):
        ProxyConfig(servers, (OWNER,), lookup=lookup)
    assert lookup == UserLookup("admin", "postgres")


def test_tokens_need_tls() -> None:
    aws = AwsEntry().access(ENVIRONMENT)
    user = ProxyUser("app", rules=LoginRules(IamAuth.ENABLED))

    with pytest.raises(Invalid, match="TLS offered to clients"):
        ProxyConfig((DatabaseServer("db", "localhost", 5432),), (user,), aws=aws)
