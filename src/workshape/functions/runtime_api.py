"""The listeners of the APIs inside execution environments.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workshape.functions.environment_api import EnvironmentApi, RuntimeCallbacks
from workshape.functions.launch.peer import peer_user
from workshape.functions.limits import MIB
from workshape.functions.model import EnvironmentId, FunctionVersion, Invocation
from workshape.functions.telemetry_delivery import Telemetry
from workshape.http1.server import HttpServer, Limits, serve_socket

# Judging an over-size response is the session's, so the server lets through what is plainly one and no more.
# Together they are what one function can make the engine keep, however small its own memory is.
_LIMITS = Limits(
    body_bytes_max=64 * MIB,
    header_bytes_max=2 * MIB,  # awslambdaric sends causes of up to 1 MiB
    connections_max=64,  # a runtime has two at most, its extensions (ten, at most) and who watches over them one each
    held_bytes_max=128 * MIB,
)
_CONNECTIONS_WAITING_MAX = 128  # a runtime has two at most, its extensions one each
_log = logging.getLogger(__name__)


class RuntimeApi:
    """One TCP listener for each execution environment, so that nothing but the listener tells who speaks."""

    def __init__(self, callbacks: RuntimeCallbacks) -> None:
        self._callbacks = callbacks
        self._listeners: dict[EnvironmentId, _Listener] = {}
        self._spare: socket.socket | None = None
        """The next environment's."""

    def __repr__(self) -> str:
        return f"<RuntimeApi environments={len(self._listeners)}>"

    def open(
        self, environment: EnvironmentId, function: FunctionVersion, telemetry: Telemetry, extensions: Sequence[str]
    ) -> str:
        """Reserve an address for an environment; return its AWS_LAMBDA_RUNTIME_API (`127.0.0.1:PORT`).

        Whoever connects waits until `admit` has said who may. `extensions` are the external ones it will have, by
        their full file names.
        """
        assert environment not in self._listeners, "opened twice"
        listening, self._spare = self._spare or _listen(), None
        host, port = listening.getsockname()
        api = EnvironmentApi(environment, function, extensions, self._callbacks, telemetry)
        self._listeners[environment] = _Listener(api, listening)
        return f"{host}:{port}"

    async def admit(
        self,
        environment: EnvironmentId,
        *,
        user: int = -1,
        connection: socket.socket | None = None,
        restored: bool = False,
    ) -> None:
        """Serve an environment, to processes of `user` only (-1: to anyone), and over the connection it has, if any.

        `restored`: it was made from a snapshot.
        """
        listener = self._listeners.get(environment)
        if listener is None:
            if connection is not None:
                connection.close()
            return
        admits = _only(user) if user >= 0 else None
        api = listener.api
        if restored:
            api.restored()
        server = await serve_socket(api.handle, listener.listening, _LIMITS, api.take_body, admits=admits)
        listener.server = server
        if connection is not None:
            await server.adopt(connection)

    def make_spare(self) -> None:
        """Have a listener for the next environment, so that its start need not make one. `close_spare` ends it."""
        if self._spare is None:
            self._spare = _listen()

    def close_spare(self) -> None:
        """There is no next environment."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    async def close(self, environment: EnvironmentId) -> None:
        """Stop listening; a pending GET next is dropped. Closing what is not open does nothing."""
        listener = self._listeners.pop(environment, None)
        if listener is not None:
            listener.api.closed()
            await listener.api.telemetry.close()
            if listener.server is not None:
                await listener.server.close()
            listener.listening.close()

    def environment(self, environment: EnvironmentId) -> EnvironmentApi | None:
        """Find the conversation of an environment that is open."""
        listener = self._listeners.get(environment)
        return listener.api if listener is not None else None

    def dispatch(self, environment: EnvironmentId, invocation: Invocation, deadline_ms: int) -> None:
        """Give an idle environment its next invocation; `deadline_ms` is Unix time in milliseconds.

        Should its runtime have gone away while it waited, the invocation is kept for its next GET next.
        """
        self._listeners[environment].api.dispatch(invocation, deadline_ms)


@dataclass(slots=True)
class _Listener:
    api: EnvironmentApi
    listening: socket.socket
    server: HttpServer | None = None


def _listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=_CONNECTIONS_WAITING_MAX)


def _only(user: int) -> Callable[[socket.socket], bool]:
    strangers = 0

    def admits(connection: socket.socket) -> bool:
        nonlocal strangers
        found = peer_user(connection)
        if found != user:
            strangers += 1
            if strangers.bit_count() == 1:  # the first, and whenever there are twice as many: who knocks fills no disk
                _log.warning("runtime_api_stranger", extra={"user": found, "expected": user, "count": strangers})
        return found == user

    return admits
