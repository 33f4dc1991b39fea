"""Web pages and buckets: a bucket's own CORS configuration lets pages in, and what a page only shows is shown."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fakes.live_engine import LiveEngine

APP = "http://app.example"
PAGE = {"origin": APP, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
SHOWN = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
PREFLIGHT = {**PAGE, "access-control-request-method": "PUT", "access-control-request-headers": "content-type"}


@pytest.fixture
def client(engine: LiveEngine) -> Any:
    return engine.client("s3")


def bucket(client: Any, name: str, *methods: str) -> str:
    """Make a bucket whose CORS configuration is for the page's origin and these methods."""
    client.create_bucket(Bucket=name)
    if methods:
        rule = {"AllowedOrigins": [APP], "AllowedMethods": [*methods], "AllowedHeaders": ["*"]}
        client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    return name


def test_a_page_uploads_where_the_buckets_configuration_lets_it(engine: LiveEngine, client: Any) -> None:
    name = bucket(client, "pages-may", "PUT", "GET")
    url = client.generate_presigned_url("put_object", {"Bucket": name, "Key": "up"})

    asked = httpx.options(url, headers=PREFLIGHT)
    put = httpx.put(url, headers=PAGE, content=b"from a page")
    read = urlsplit(client.generate_presigned_url("get_object", {"Bucket": name, "Key": "up"})).query
    own_host = {**PAGE, "host": f"{name}.s3.localhost:4566"}
    found = httpx.get(f"{engine.run_file.endpoint}/up?{read}", headers=own_host)

    assert asked.headers["access-control-allow-origin"] == APP
    assert put.headers["access-control-allow-origin"] == APP
    assert found.content == b"from a page"


def test_elsewhere_a_page_neither_writes_nor_reads(engine: LiveEngine, client: Any) -> None:
    closed, reading = bucket(client, "pages-may-not"), bucket(client, "pages-may-read", "GET")
    client.put_object(Bucket=closed, Key="kept", Body=b"1")
    at = engine.run_file.endpoint

    answers = [
        httpx.options(f"{at}/{closed}/kept", headers=PREFLIGHT),
        httpx.put(f"{at}/{closed}/new", headers=PAGE, content=b"2"),
        httpx.put(f"{at}/{reading}/new", headers=PAGE, content=b"2"),
        httpx.get(f"{at}/{closed}/kept", headers=PAGE),
        httpx.delete(f"{at}/{closed}/kept", headers=PAGE),
        httpx.post(f"{at}/moto-api/reset", headers=PAGE),
    ]

    assert [answer.status_code for answer in answers] == [403] * 6
    assert "CORS configuration of the bucket" in answers[1].text
    assert [found["Key"] for found in client.list_objects_v2(Bucket=closed)["Contents"]] == ["kept"]
    assert client.list_objects_v2(Bucket=reading)["KeyCount"] == 0


def test_an_image_in_a_page_and_a_link_from_it_are_shown(engine: LiveEngine, client: Any) -> None:
    name = bucket(client, "pages-show")
    client.put_object(Bucket=name, Key="picture", Body=b"1")
    url = client.generate_presigned_url("get_object", {"Bucket": name, "Key": "picture"})

    assert httpx.get(url, headers=SHOWN).content == b"1"
    assert httpx.get(url, headers={**SHOWN, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}).content == b"1"
