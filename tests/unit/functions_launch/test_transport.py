"""The connection that stands in for AWS's compiled client: what it sends, and what it makes of the answers."""

import socket
from collections.abc import Iterator

import pytest

from workshape.functions.launch import transport

EVENT = b'{"n": 1}'
INVOCATION = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: r1\r\n"
    b"lambda-runtime-deadline-ms: 12\r\nContent-Length: 8\r\n\r\n" + EVENT
)
ASKS = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(transport, "_connection", None)
    transport.adopt(theirs.detach())
    yield ours
    ours.close()


def refusal(status: int) -> bytes:
    return f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno".encode()


def test_the_first_invocation_is_asked_for_and_the_next_comes_as_the_answer_to_a_result(
    platform: socket.socket,
) -> None:
    platform.sendall(INVOCATION + INVOCATION)

    event, headers = transport.next()
    transport.post_invocation_result("r1", b"2", "application/json")
    second, _ = transport.next()

    assert (event, second) == (EVENT, EVENT)
    assert (headers["Lambda-Runtime-Aws-Request-Id"], headers["Lambda-Runtime-Deadline-Ms"]) == ("r1", 12)
    head, _, body = platform.recv(4096).removeprefix(ASKS).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /2018-06-01/runtime/invocation/r1/response/next HTTP/1.1\r\n")
    assert body == b"2"


def test_a_result_that_is_too_large_has_been_answered_and_the_next_invocation_is_asked_for(
    platform: socket.socket,
) -> None:
    platform.sendall(refusal(413) + INVOCATION)

    transport.post_invocation_result("r1", b"2", "application/json")
    event, _ = transport.next()

    assert event == EVENT
    assert platform.recv(4096).endswith(ASKS)


def test_a_refused_result_is_said_when_the_next_invocation_is_wanted(platform: socket.socket) -> None:
    platform.sendall(refusal(403))

    transport.post_error("r1", "{}", "")

    with pytest.raises(RuntimeError, match="Failed to post r1/error: 403 no"):
        transport.next()


def test_a_platform_that_has_gone_is_said(platform: socket.socket) -> None:
    platform.close()

    transport_fails = pytest.raises((RuntimeError, BrokenPipeError))

    with transport_fails:
        transport.next()
