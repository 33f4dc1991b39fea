"""A PostgreSQL client of the least cost: so many of them fit into one process that the server is what is measured."""

import asyncio
import secrets
import struct
from typing import cast

from benchmarks.proxy_servers import DATABASE, Server
from workshape.pgproxy import messages
from workshape.pgproxy.auth import ScramClient
from workshape.pgproxy.messages import MessageBuffer, message, query, read_error_fields, startup_message

CONNECT_S_MAX = 30.0
ANSWER_S_MAX = 130.0  # longer than any of the servers lets a client wait
RECEIVED_BYTES = 4096


class Refused(Exception):
    """The server answered with an error; its SQLSTATE is the text."""


class Client(asyncio.Protocol):
    """One connection. Nothing is kept of the answers but their errors."""

    def __init__(self) -> None:
        self._messages = MessageBuffer()
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._error = ""
        self._scram: ScramClient | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def log_in(cls, port: int, server: Server) -> "Client":
        """Connect.

        Raises:
            Refused, OSError, TimeoutError
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S_MAX):
            _, client = await loop.create_connection(cls, "127.0.0.1", port)
        client._scram = ScramClient(server.password, secrets.token_urlsafe(18), None)
        try:
            await client._say(startup_message({"user": server.user, "database": DATABASE}))
        except BaseException:
            client.close()
            raise
        client._scram = None
        return client

    async def ask(self, sql: str) -> None:
        """Run a statement.

        Raises:
            Refused, OSError, TimeoutError
        """
        await self._say(query(sql))

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    async def _say(self, data: bytes) -> None:
        self._answered = asyncio.get_running_loop().create_future()
        self._error = ""
        self._transport.write(data)
        async with asyncio.timeout(ANSWER_S_MAX):
            await self._answered

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Refused(self._error) if self._error else ConnectionError("The server hung up."))

    def data_received(self, data: bytes) -> None:
        self._messages.feed(data)
        while (found := self._messages.next_message()) is not None:
            kind, body = found
            if kind == messages.AUTHENTICATION:
                self._authenticate(body)
            elif kind == messages.ERROR_RESPONSE:
                self._error = read_error_fields(body).get("C", "?")
            elif kind == messages.READY_FOR_QUERY:
                self._end(Refused(self._error) if self._error else None)

    def _authenticate(self, body: bytes) -> None:
        (code,) = struct.unpack_from("!I", body)
        assert self._scram is not None
        if code == messages.AUTH_SASL:
            name, first = self._scram.first(("SCRAM-SHA-256",))
            answer = name.encode() + b"\0" + struct.pack("!i", len(first)) + first
            self._transport.write(message(messages.PASSWORD, answer))
        elif code == messages.AUTH_SASL_CONTINUE:
            self._transport.write(message(messages.PASSWORD, self._scram.final(body[4:])))

    def _end(self, error: Exception | None) -> None:
        if self._answered.done():
            return
        if error is None:
            self._answered.set_result(None)
        else:
            self._answered.set_exception(error)
            self._answered.exception()  # whoever waits sees it; if nobody does, it is no news
