"""The servers that answer for the AWS services that are not ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
import pytest

from workshape.parts.dynamodb import COORDINATE, dynamodb_local
from workshape.parts.jars import JavaUnavailable, find_java, resolve_jars
from workshape.parts.moto import moto_server
from workshape.parts.process import PartFailed, Server


@asynccontextmanager
async def started(part: Server) -> AsyncIterator[Server]:
    await part.start()
    try:
        yield part
    finally:
        await part.stop()


def client(service: str, port: int) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


async def test_moto_answers_for_the_account_we_name(tmp_path: Path, free_port: int) -> None:
    part = moto_server(
        host="127.0.0.1", port=free_port, account="000000000042", folder=tmp_path, log_file=tmp_path / "moto.log"
    )

    async with started(part):
        identity = await asyncio.to_thread(client("sts", free_port).get_caller_identity)

    assert identity["Account"] == "000000000042"


async def test_objects_keep_their_metadata_by_the_names_it_was_given(tmp_path: Path, free_port: int) -> None:
    part = moto_server(
        host="127.0.0.1", port=free_port, account="1" * 12, folder=tmp_path, log_file=tmp_path / "moto.log"
    )

    scope = "test/20260101/us-east-1/s3/aws4_request"
    headers = {
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "x-amz-meta-my_key": "mine",
    }

    def ask() -> list[tuple[int, str | None]]:
        connection = HTTPConnection("127.0.0.1", free_port)
        answers = []
        for method, path in (("PUT", "/bucket"), ("PUT", "/bucket/a%2Fb"), ("HEAD", "/bucket/a%2Fb")):
            connection.request(method, path, b"12" if "%" in path else b"", headers)
            answer = connection.getresponse()
            answer.read()
            answers.append((answer.status, answer.getheader("x-amz-meta-my_key")))
        connection.close()
        return answers

    async with started(part):
        answers = await asyncio.to_thread(ask)

    assert answers == [(200, None), (200, None), (200, "mine")]


async def test_pages_and_names_that_were_pointed_here_get_nothing(tmp_path: Path, free_port: int) -> None:
    part = moto_server(
        host="127.0.0.1", port=free_port, account="1" * 12, folder=tmp_path, log_file=tmp_path / "moto.log"
    )
    own, page = f"127.0.0.1:{free_port}", {"Origin": "http://elsewhere.example"}

    def ask(method: str, headers: dict[str, str]) -> tuple[int, str | None]:
        connection = HTTPConnection("127.0.0.1", free_port)
        connection.request(method, "/", headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.getheader("access-control-allow-origin")

    async with started(part):
        answers = [
            await asyncio.to_thread(ask, *asked)
            for asked in (
                ("GET", {"Host": own}),
                ("GET", {"Host": own, "Sec-Fetch-Site": "cross-site"}),
                ("OPTIONS", {"Host": own, "Access-Control-Request-Method": "PUT", **page}),
                ("GET", {"Host": f"elsewhere.example:{free_port}"}),
                ("GET", {"Host": "127.0.0.1:4566", **page}),
            )
        ]

    assert [status for status, _ in answers] == [200, 403, 403, 403, 200]
    assert answers[2][1] is None


async def test_a_port_in_use_is_told_with_the_programs_own_words(tmp_path: Path, free_port: int) -> None:
    def part(name: str) -> Server:
        return moto_server(
            host="127.0.0.1", port=free_port, account="1" * 12, folder=tmp_path, log_file=tmp_path / f"{name}.log"
        )

    async with started(part("first")):
        second = part("second")
        with pytest.raises(PartFailed, match="in use"):
            await _start_alone(second)


async def _start_alone(part: Server) -> None:
    """Start a part whose readiness check would be answered by another: wait for its end first."""
    starting = asyncio.create_task(part.start())
    while part.pid == 0:
        await asyncio.sleep(0.01)
    how = await part.wait()
    await asyncio.gather(starting, return_exceptions=True)
    raise part.failed(how)


async def test_the_jars_of_one_that_starts_stay_when_another_asks_for_them() -> None:
    jars = await resolve_jars(COORDINATE, "dynamodb")
    changed = {jar.parent: jar.parent.stat().st_mtime_ns for jar in jars.class_path}

    again = await resolve_jars(COORDINATE, "dynamodb")

    assert again == jars
    assert {folder: folder.stat().st_mtime_ns for folder in changed} == changed


async def test_dynamodb_local_keeps_its_tables(tmp_path: Path, free_port: int) -> None:
    async def part() -> Server:
        return await dynamodb_local(
            host="127.0.0.1", port=free_port, data_folder=tmp_path, log_file=tmp_path / "dynamodb.log"
        )

    async with started(await part()):
        dynamodb = client("dynamodb", free_port)
        await asyncio.to_thread(
            dynamodb.create_table,
            TableName="events",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        await asyncio.to_thread(dynamodb.put_item, TableName="events", Item={"pk": {"S": "a"}})
    async with started(await part()):
        found = await asyncio.to_thread(
            client("dynamodb", free_port).get_item, TableName="events", Key={"pk": {"S": "a"}}
        )

    assert found["Item"] == {"pk": {"S": "a"}}


async def test_a_java_that_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("workshape.parts.jars.find_spec", lambda name: None)

    with pytest.raises(JavaUnavailable, match="Java 17 or later was not found"):
        await find_java(17, "dynamodb")
    with pytest.raises(JavaUnavailable, match="jgo, which fetches jars, is not installed"):
        await resolve_jars("a:b:1", "dynamodb")
