"""Secrets are read from a real Secrets Manager (moto's), whatever they hold."""

from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from moto.server import ThreadedMotoServer

from workshape.errors import BackendUnavailable, Invalid, NotFound
from workshape.pgproxy.accounts import SecretValue
from workshape.pgproxy.config import AwsAccess
from workshape.pgproxy.secrets_manager import SecretsManager, SecretUnreadable
from workshape.sigv4 import Keys

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto: str) -> AwsAccess:
    return AwsAccess(REGION, Keys("AKIDEXAMPLE", "secret", "session"), moto)


async def test_a_secret_is_read_by_name_and_arn_and_what_is_none_is_refused_by_name(moto: str, aws: AwsAccess) -> None:
    owner = boto3.client("secretsmanager", REGION, endpoint_url=moto, aws_access_key_id="x", aws_secret_access_key="y")
    whole = '{"username": "app", "password": "p\\u00e4ss", "engine": "postgres", "host": "db", "port": 5432}'
    arn = owner.create_secret(Name="prod/app", SecretString=whole)["ARN"]
    owner.create_secret(Name="bare", SecretString='{"password": "x"}')
    owner.create_secret(Name="text", SecretString="only-a-password")
    owner.create_secret(Name="bytes", SecretBinary=b"{}")
    secrets = SecretsManager()
    try:
        by_name, by_arn, bare = [await secrets.read(aws, name) for name in ("prod/app", arn, "bare")]
        for name in ("text", "bytes"):
            with pytest.raises(Invalid, match=f'secret {name} is not what a proxy can use, JSON with "username"'):
                await secrets.read(aws, name)
        with pytest.raises(NotFound, match="There is no secret named gone"):
            await secrets.read(aws, "gone")
        owner.delete_secret(SecretId="bare")
        with pytest.raises(SecretUnreadable, match=r"did not tell bare: InvalidRequestException: .*deleted"):
            await secrets.read(aws, "bare")
    finally:
        await secrets.close()

    assert by_name == by_arn == SecretValue("app", "p\u00e4ss")
    assert bare == SecretValue("", "x")
    assert "p\u00e4ss" not in repr(by_name)


async def test_a_place_where_nobody_answers_is_named(aws: AwsAccess) -> None:
    secrets = SecretsManager()

    with pytest.raises(BackendUnavailable, match=r"Secrets Manager does not answer at http://127\.0\.0\.1:1"):
        await secrets.read(replace(aws, secrets_endpoint="http://127.0.0.1:1"), "prod/app")
    with pytest.raises(Invalid, match="is not the address of Secrets Manager"):
        await secrets.read(replace(aws, secrets_endpoint="127.0.0.1:4566"), "prod/app")
