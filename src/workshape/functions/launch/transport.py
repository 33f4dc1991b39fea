"""How AWS's runtime client for Python reaches the platform here: a module that stands in for its compiled part.

`awslambdaric` does everything a function notices (its bootstrap: imports, contexts, errors, logs) in Python, and speaks
HTTP through four functions of a compiled module named `runtime_client`. These are those four, over a connection that is
there before the function is. A response asks for the next invocation, too, which is then its answer: the environment
is free again one round trip sooner, and is woken once an invocation.

Standard library only, Python 3.10: every Python that runs functions loads this file.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html,
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-custom.html
"""

import socket
from typing import Any

_INVOCATION = "/2018-06-01/runtime/invocation/"
_RESTORE = "/2018-06-01/runtime/restore/"
_RESTORE_NEXT = f"GET {_RESTORE}next HTTP/1.1\r\nHost: runtime\r\n\r\n".encode()
_NEXT = f"GET {_INVOCATION}next HTTP/1.1\r\nHost: runtime\r\n\r\n".encode()
_RECEIVE_BYTES = 1 << 16  # more than the C library keeps at hand would be mapped anew for each event
_END_OF_HEAD = b"\r\n\r\n"


_connection: "_Connection | None" = None


def adopt(descriptor: int) -> None:
    """Use a connected socket from now on, in the place of any other."""
    global _connection  # noqa: PLW0603 - the compiled module has one connection a process, too
    if _connection is not None:
        _connection.close()
    _connection = _Connection(socket.socket(fileno=descriptor))


def initialize_client(user_agent: str) -> None:
    """Do nothing: the platform does not ask who speaks."""


def next() -> tuple[bytes, dict[str, Any]]:  # noqa: A001 - AWS's name for it
    """Wait for the next invocation; return its event and its headers.

    Raises:
        RuntimeError: the platform is gone, or refuses what was handed back last, or gives no invocation.
    """
    assert _connection is not None, "adopt comes first"
    body, headers = _connection.next()
    deadline = headers.get("Lambda-Runtime-Deadline-Ms")
    headers["Lambda-Runtime-Deadline-Ms"] = int(deadline) if deadline else 0
    return body, headers


def post_invocation_result(  # AWS's signatures: the last argument is for its multi-concurrent mode
    invoke_id: str, result_data: bytes, content_type: str, _invocation_id: str | None = None
) -> None:
    """Hand back what the function returned. If that is refused, `next` raises it.

    Raises:
        OSError: the platform is gone.
    """
    assert _connection is not None, "adopt comes first"
    _connection.post(f"{invoke_id}/response", result_data, content_type, "")


def post_error(invoke_id: str, error_data: str, xray_fault: str, _invocation_id: str | None = None) -> None:
    """Hand back how the function failed, in the same way."""
    assert _connection is not None, "adopt comes first"
    header = f"Lambda-Runtime-Function-XRay-Error-Cause: {_one_line(xray_fault)}\r\n" if xray_fault else ""
    _connection.post(f"{invoke_id}/error", error_data.encode(), "application/json", header)


def restore_next() -> None:
    """Tell that a snapshot may be taken; return in an environment that has been restored from it.

    Raises:
        RuntimeError: the platform is gone, or refuses it.
    """
    assert _connection is not None, "adopt comes first"
    _connection.ask(_RESTORE_NEXT, 200)


def announce_restore() -> None:
    """Tell that a snapshot may be taken of this process, and do not wait: it is never answered."""
    assert _connection is not None, "adopt comes first"
    _connection.tell(_RESTORE_NEXT)


def let_go() -> None:
    """Forget the connection without closing it: its descriptor is another one's now."""
    global _connection  # noqa: PLW0603 - see `adopt`
    if _connection is not None:
        _connection.detach()
    _connection = None


def report_restore_error(error_data: str, error_type: str) -> None:
    """Hand back how what the function had to do after the restore has failed.

    Raises:
        RuntimeError: the platform is gone, or refuses it.
    """
    assert _connection is not None, "adopt comes first"
    body = error_data.encode()
    head = (
        f"POST {_RESTORE}error HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\n"
        f"Lambda-Runtime-Function-Error-Type: {error_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    _connection.ask(head.encode() + body, 202)


class _Connection:
    """A keep-alive connection. `_posted` is what was handed back last: the next invocation comes as its answer."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._received = b""
        self._posted = ""

    def close(self) -> None:
        self._socket.close()

    def next(self) -> tuple[bytes, dict[str, Any]]:
        posted, self._posted = self._posted, ""
        if not posted:
            self._socket.sendall(_NEXT)
        status, headers, body = self._answer()
        if posted and status == 413:  # what is too large has been answered for us: the next one may be smaller
            return self.next()
        if status != 200:
            failed = f"post {posted}" if posted else "get next invocation"
            raise RuntimeError(f"Failed to {failed}: {status} {body.decode(errors='replace')}")
        return body, headers

    def post(self, target: str, body: bytes, content_type: str, header: str) -> None:
        head = (
            f"POST {_INVOCATION}{target}/next HTTP/1.1\r\nHost: runtime\r\nContent-Type: {content_type}\r\n"
            f"{header}Content-Length: {len(body)}\r\n\r\n"
        )
        self._posted = target
        self._socket.sendall(head.encode("latin-1", "replace") + body)

    def tell(self, request: bytes) -> None:
        self._socket.sendall(request)

    def detach(self) -> None:
        self._socket.detach()

    def ask(self, request: bytes, expected_status: int) -> None:
        self.tell(request)
        status, _, answer = self._answer()
        if status != expected_status:
            raise RuntimeError(f"The platform refused: {status} {answer.decode(errors='replace')}")

    def _answer(self) -> tuple[int, dict[str, Any], bytes]:
        received = self._received
        while (end := received.find(_END_OF_HEAD)) < 0:
            received += self._receive()
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        headers: dict[str, Any] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.title()] = value
        begin = end + len(_END_OF_HEAD)
        missing = int(headers.get("Content-Length", "0")) - (len(received) - begin)
        parts = [received]
        while missing > 0:
            parts.append(self._receive())
            missing -= len(parts[-1])
        whole = b"".join(parts) if len(parts) > 1 else received
        stop = len(whole) + missing
        self._received = whole[stop:]
        return int(first.split(" ", 2)[1]), headers, whole[begin:stop]

    def _receive(self) -> bytes:
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise RuntimeError("the platform has closed the connection")
        return data


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
