"""WSGI applications on our own server, and how moto is told of a request."""

from collections.abc import Iterable
from typing import Any

import pytest

from workshape.http1.message import Request, Response
from workshape.parts.moto_program import describe
from workshape.parts.wsgi import WsgiHandler, read_environ


class Application:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, status: str, headers: list[tuple[str, str]], pieces: list[bytes]) -> None:
        self.status, self.headers, self.pieces = status, headers, pieces
        self.asked: dict[str, Any] = {}
        self.read = b""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked = environ
        self.read = environ["wsgi.input"].read()
        start_response(self.status, self.headers)
        return iter(self.pieces)


def test_a_request_is_described_as_wsgi_does() -> None:
    headers = (("host", "here"), ("content-type", "text/plain"), ("x-a", "1"), ("x-a", "2"), ("x_a", "3"))
    request = Request("PUT", "/b%C3%A4r/a%2Fb?x=%31", headers, b"body", "127.0.0.9")

    environ = read_environ(request)

    assert environ["PATH_INFO"].encode("latin-1").decode() == "/bär/a/b"
    assert (environ["QUERY_STRING"], environ["RAW_URI"]) == ("x=%31", "/b%C3%A4r/a%2Fb?x=%31")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "4")
    assert (environ["HTTP_HOST"], environ["HTTP_X_A"], environ["REMOTE_ADDR"]) == ("here", "1,2", "127.0.0.9")


def test_a_body_that_came_in_chunks_is_told_by_its_length() -> None:
    request = Request("PUT", "/", (("transfer-encoding", "chunked"), ("connection", "keep-alive")), b"12345")

    environ = read_environ(request)

    assert environ["CONTENT_LENGTH"] == "5"
    assert not {"HTTP_TRANSFER_ENCODING", "HTTP_CONNECTION"} & set(environ)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("GET", Response(404, (("etag", '"a"'),), b"not there")),
        ("HEAD", Response(404, (("content-length", "9"), ("etag", '"a"')), b"")),
    ],
)
async def test_the_answer_of_an_application_is_the_handlers(method: str, expected: Response) -> None:
    headers = [("Content-Length", "9"), ("ETag", '"a"'), ("Connection", "close")]
    application = Application("404 NOT FOUND", headers, [] if method == "HEAD" else [b"not ", b"there"])
    handler = WsgiHandler(application, "127.0.0.1", 80)

    answer = await handler.answer(Request(method, "/", body=b"asked"))
    handler.close()

    assert answer == expected
    assert application.read == b"asked"
    assert (application.asked["SERVER_NAME"], application.asked["SERVER_PORT"]) == ("127.0.0.1", "80")


def test_metadata_keeps_the_names_it_was_sent_by() -> None:
    headers = (("x-amz-meta-my_key", "a"), ("x-amz-meta-my-key", "b"), ("x-amz-meta-an_other", "c"), ("x_y", "d"))

    environ = describe(Request("PUT", "/b/k", headers))

    assert environ["HTTP_X_AMZ_META_MY_KEY"] == "b"
    assert environ["HTTP_X_AMZ_META_AN_OTHER"] == "c"
    assert environ["moto.preserved_header_names"] == {"HTTP_X_AMZ_META_AN_OTHER": "x-amz-meta-an_other"}
    assert "HTTP_X_Y" not in environ
