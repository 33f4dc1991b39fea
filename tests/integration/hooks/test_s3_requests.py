"""Uploads as clients send them: with checksums, cut into chunks, and to a host that is the bucket's."""

import socket
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import boto3
import pytest
from botocore.config import Config

from tests.fakes.live_engine import REGION, LiveEngine
from tests.integration.hooks.test_s3_notifications import listening_bucket, told

RESOLVE = socket.getaddrinfo


def test_an_upload_with_the_checksum_that_boto3_sends_by_default_tells_its_size(engine: LiveEngine) -> None:
    client, url = listening_bucket(engine, "checksums")

    put = client.put_object(Bucket="checksums", Key="whole", Body=b"12345")
    (record,) = told(engine, url)

    assert put["ChecksumCRC32"]
    assert (record["s3"]["object"]["size"], record["s3"]["object"]["eTag"]) == (5, put["ETag"].strip('"'))


def test_an_upload_cut_into_chunks_tells_the_size_of_what_was_cut(engine: LiveEngine) -> None:
    client, url = listening_bucket(engine, "chunks")
    content = b"x" * 70_000
    pieces = [content[start : start + 65_536] for start in range(0, len(content), 65_536)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])[:-2]
    body += b"x-amz-checksum-crc32:" + b64encode(crc32(content).to_bytes(4, "big")) + b"\r\n\r\n"
    headers = {
        "content-type": "application/octet-stream",
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(content)),
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "authorization": f"AWS4-HMAC-SHA256 Credential=anybody/20260101/{REGION}/s3/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }

    request = urllib.request.Request(f"{engine.run_file.endpoint}/chunks/cut", body, headers, method="PUT")
    urllib.request.urlopen(request, timeout=30).close()
    (record,) = told(engine, url)
    found = client.get_object(Bucket="chunks", Key="cut")["Body"].read()

    assert record["s3"]["object"]["size"] == len(content)
    assert found == content


def test_a_request_to_the_buckets_own_host_tells_the_same(engine: LiveEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    _, url = listening_bucket(engine, "hosted")
    port = urlsplit(engine.run_file.endpoint).port
    asked: list[str] = []

    def resolve(host: Any, *more: Any, **options: Any) -> Any:
        """Find names below localhost on this machine, as browsers do and not every resolver does."""
        if str(host).endswith("s3.localhost"):
            asked.append(str(host))
            host = "127.0.0.1"
        return RESOLVE(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://s3.localhost:{port}",
        region_name=REGION,
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
        config=Config(s3={"addressing_style": "virtual"}),
    )

    client.put_object(Bucket="hosted", Key="folder/key", Body=b"123")
    found = client.get_object(Bucket="hosted", Key="folder/key")["Body"].read()
    (record,) = told(engine, url)

    assert set(asked) == {"hosted.s3.localhost"}
    assert (record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]) == ("hosted", "folder/key")
    assert found == b"123"
