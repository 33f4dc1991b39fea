"""A client that says what it is given, as bytes, and takes down what it hears."""

import asyncio
import struct
from collections.abc import Callable
from typing import cast

from tests.conversations.heard import Hearing
from workshape.pgproxy import messages
from workshape.pgproxy.auth import SCRAM, ScramClient
from workshape.pgproxy.messages import MessageBuffer, message

LOG_IN_S_MAX = 20.0
LOOKS_S = 0.002  # how often a condition is looked at of which nothing that is heard tells


class Speaker(asyncio.Protocol):
    """One client."""

    def __init__(self) -> None:
        self.hearing: Hearing | None = None
        """From its log-in on."""
        self.is_closed = False
        self.transport: asyncio.Transport
        self._buffer = MessageBuffer()
        self._waiters: list[asyncio.Future[None]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.hearing is None:
            self._buffer.feed(data)
        else:
            self.hearing.feed(data)
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self.wake()

    @property
    def address(self) -> str:
        """Where it comes from."""
        host, port = self.transport.get_extra_info("sockname")
        return f"{host}:{port}"

    async def say(self, pieces: list[bytes]) -> None:
        """Send pieces one by one: the other end has read each before the next one comes, if it runs on this loop."""
        for piece in pieces:
            if self.transport.is_closing():
                return
            self.transport.write(piece)
            for _ in range(2):
                await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Wait for something to come true; False: it did not, in that time."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + within_s
        while not condition():
            if loop.time() > give_up_at:
                return False
            news = loop.create_future()
            self._waiters.append(news)
            looking = loop.call_later(LOOKS_S, self.wake)
            await news
            looking.cancel()
        return True

    def wake(self) -> None:
        """Have those who wait look again."""
        waiters, self._waiters = self._waiters, []
        for news in waiters:
            if not news.done():
                news.set_result(None)

    def hang_up(self) -> None:
        """Leave without a word."""
        self.transport.abort()

    async def log_in(self, password: str, **parameters: str) -> Hearing:
        """Prove who it is, and hear what the server says of itself."""
        self.transport.write(messages.startup_message(parameters))
        scram = ScramClient(password, "nonce", None)
        said: dict[str, str] = {}
        process_id = b""
        while True:
            kind, body = await self._next()
            if kind == messages.AUTHENTICATION:
                self._prove(scram, int.from_bytes(body[:4], "big"), body[4:])
            elif kind == messages.PARAMETER_STATUS:
                name, value = messages.read_parameter_status(body)
                said[name] = value
            elif kind == messages.BACKEND_KEY_DATA:
                process_id = body[:4]
            elif kind == messages.READY_FOR_QUERY:
                self.hearing = Hearing(process_id, said)
                return self.hearing
            else:
                raise AssertionError(f"at its log-in a client was told {chr(kind)} {body!r}")

    def _prove(self, scram: ScramClient, step: int, body: bytes) -> None:
        if step == messages.AUTH_SASL:
            _, first = scram.first((SCRAM,))
            said = SCRAM.encode() + b"\0" + struct.pack("!i", len(first)) + first
            self.transport.write(message(messages.PASSWORD, said))
        elif step == messages.AUTH_SASL_CONTINUE:
            self.transport.write(message(messages.PASSWORD, scram.final(body)))
        elif step == messages.AUTH_SASL_FINAL:
            scram.verify(body)

    async def _next(self) -> tuple[int, bytes]:
        found: list[tuple[int, bytes]] = []

        def has_come() -> bool:
            message = self._buffer.next_message()
            found.extend([] if message is None else [message])
            return bool(found) or self.is_closed

        assert await self.until(has_come, LOG_IN_S_MAX), "nothing came during a log-in"
        assert found, "the connection ended during a log-in"
        return found[0]


async def connect(port: int, password: str, **parameters: str) -> Speaker:
    """Come and log in."""
    _, speaker = await asyncio.get_running_loop().create_connection(Speaker, "127.0.0.1", port)
    await speaker.log_in(password, **parameters)
    return speaker
