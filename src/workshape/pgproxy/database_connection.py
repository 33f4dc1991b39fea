"""The socket to the database: opening it, and passing on what comes from it."""

import asyncio
import contextlib
import logging
import secrets
import select
import socket
import ssl
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from time import monotonic
from typing import cast
from weakref import WeakValueDictionary

from workshape.errors import BackendUnavailable
from workshape.pgproxy import messages
from workshape.pgproxy.auth import ScramKeys
from workshape.pgproxy.database_login import DatabaseLogin, LoginFailed, ServerLimits, no_tls
from workshape.pgproxy.database_tls import DatabaseTls, end_point_hash
from workshape.pgproxy.figures import Latencies
from workshape.pgproxy.link import Link
from workshape.pgproxy.messages import KIB, SSL_REQUEST, ProtocolViolation, cancel_request, startup_message

CONNECT_S_MAX = 10.0  # from the first packet to a connection that can be used
WRITE_BUFFER_BYTES = 256 * KIB  # what may wait for a slow peer before the other side is not read any more
NONCE_BYTES = 18  # as PostgreSQL: 144 bits
KEEP_ALIVE_S = 30  # a peer that is gone without a word is noticed within about two minutes
UNACKNOWLEDGED_MS = 60_000  # or within this, when something was sent to it

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseEvents:
    """What a connection tells its owner."""

    rested: Callable[["DatabaseConnection"], None]
    """No transaction is open, nothing is owed."""
    lost: Callable[["DatabaseConnection", str], None]
    """It ended, for this reason."""
    left: Callable[["DatabaseConnection"], None]
    """Its client left, at whatever moment."""
    schema_changed: Callable[[], None]
    """Tables, types or the like are others now."""
    leave_alone: Callable[[str], None]
    """A statement comes that wants this database for itself."""
    backends: MutableMapping[bytes, Link] = field(default_factory=WeakValueDictionary)
    """All connections to one server, by its processes' ids: who is notified asks who notified."""


class DatabaseConnection(asyncio.Protocol):
    """One connection. What comes from it goes to the client it serves, while there is one."""

    def __init__(self, link_id: int, target: "DatabaseTarget", events: DatabaseEvents) -> None:
        self.id = link_id
        self.target = target
        self.events = events
        self.link: Link | None = None
        self.limits: ServerLimits | None = None
        self.is_encrypted = False
        self.answer: list[bytes | None] = []
        """To the question that was asked when it was opened."""
        self.active_at = 0.0
        """When the server last spoke inside a transaction."""
        self.rested_at = 0.0
        """When it last came back."""
        self.latencies = Latencies()
        """What its client, and others like it, have waited."""
        self.asked_at = 0.0
        """When what its client asked last, with nothing owed before, was sent; 0: that has been answered."""
        self.waited_s = 0.0
        """How long its client had waited for it then."""
        self.cancels = 0
        """Cancel requests on their way: until they are through, nobody else may get the connection."""
        self.transport: asyncio.Transport
        self._login: DatabaseLogin | None = None
        self._loop = asyncio.get_running_loop()
        self._first_byte: asyncio.Future[bytes] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._client: asyncio.Transport | None = None
        self.is_paused = False
        """It is not read: its client is slow."""
        self._is_full = False
        self._lost_reason = ""

    def __repr__(self) -> str:
        return f"<DatabaseConnection {self.id} {self.link}>"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        set_socket_options(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self._lost_reason or (f"It ended: {exc}." if exc is not None else "The database closed it.")
        for future in (self._first_byte, self._opened):
            if not future.done():
                future.set_exception(ConnectionError(reason))
                future.exception()  # whoever waits sees it; if nobody does, it is no news
        if self.link is not None:
            self.events.lost(self, reason)

    def data_received(self, data: bytes) -> None:
        link = self.link
        if link is None:
            self._negotiate(data)
            return
        try:
            out = link.receive(data)
        except ProtocolViolation as error:
            self.abort(f"{error.reason}.")
            return
        if out and self._client is not None:
            self._client.write(out)
        if link.broken:
            self.abort(f"{link.broken}.")
        elif link.expected:
            self.active_at = monotonic()
        elif link.status == messages.IDLE:
            self.events.rested(self)  # it may be: the rest of the conditions is looked at there
        else:
            self.active_at = monotonic()
            self.answered(self.active_at)

    def answered(self, now: float) -> None:
        """The server owes nothing any more: tell how long that took, if a client asked."""
        if self.asked_at:
            self.latencies.answered(now - self.asked_at, self.waited_s)
            self.asked_at = self.waited_s = 0.0

    def pause_writing(self) -> None:
        self._is_full = True
        self._let_client_speak(False)

    def resume_writing(self) -> None:
        self._is_full = False
        self._let_client_speak(True)

    # for the owner

    def serve(self, client: asyncio.Transport | None) -> None:
        """Pass on to this client from now on, or to nobody."""
        if self._is_full:  # what was sent for the last one has not left yet
            self._let_client_speak(True)
        self._client = client
        if self._is_full:
            self._let_client_speak(False)

    def send(self, data: bytes) -> None:
        """Send to the database."""
        self.transport.write(data)

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on: the client is slow."""
        if paused != self.is_paused and not self.transport.is_closing():
            self.is_paused = paused
            if paused:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def has_news(self) -> bool:
        """Whether something came from the server, or it hung up, that the loop has not got to yet."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def hang_up(self) -> None:
        """Say good-bye and end it."""
        self.send(messages.message(messages.TERMINATE))
        self.transport.close()

    def abort(self, reason: str) -> None:
        """End it at once."""
        self._lost_reason = self._lost_reason or reason
        self.transport.abort()

    def _let_client_speak(self, may: bool) -> None:
        if self._client is not None and not self._client.is_closing():
            if may:
                self._client.resume_reading()
            else:
                self._client.pause_reading()

    # opening

    async def open(self, login: Callable[[bytes | None], DatabaseLogin], first: bytes) -> None:
        """Negotiate TLS if wanted, and log in.

        Raises:
            BackendUnavailable, LoginFailed
        """
        end_point = await self._encrypt()
        self._login = login(end_point)
        self.send(first)
        await self._opened

    async def _encrypt(self) -> bytes | None:
        target = self.target
        if target.context is None:
            return None
        self.send(SSL_REQUEST)
        answer = await self._first_byte
        if answer == b"N" and target.tls.is_optional:
            return None
        if answer != b"S":
            raise no_tls(f"{target.address} does not do TLS, and sslmode is {target.tls.sslmode}")
        try:
            encrypted = await self._loop.start_tls(
                self.transport, self, target.context, server_hostname=target.host, ssl_handshake_timeout=CONNECT_S_MAX
            )
        except ssl.SSLCertVerificationError as error:
            raise no_tls(f"the certificate of {target.address} is not trusted: {error.verify_message}") from error
        tls_session = None if encrypted is None else encrypted.get_extra_info("ssl_object")
        if encrypted is None or tls_session is None:
            raise BackendUnavailable(backend="PostgreSQL", address=target.address, reason="it hung up during TLS")
        self.transport = encrypted
        self.is_encrypted = True
        encrypted.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        certificate = tls_session.getpeercert(binary_form=True)
        return end_point_hash(certificate)

    def _negotiate(self, data: bytes) -> None:
        """Take what comes before the connection can be used."""
        if self._login is None:
            if not self._first_byte.done():
                # More than one byte came before TLS: somebody in between may have put it there.
                self._first_byte.set_result(data)
            return
        try:
            done = self._login.receive(data)
        except LoginFailed as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            self.transport.abort()
            return
        if self._login.to_database:
            self.send(b"".join(self._login.to_database))
            self._login.to_database.clear()
        if done and not self._opened.done():
            events = self.events
            self.link = Link(
                self.id,
                self._login.parameters,
                self._login.key,
                events.schema_changed,
                events.leave_alone,
                events.backends,
            )
            self.limits, self.answer = self._login.limits, self._login.answer
            self._login = None
            self._opened.set_result(None)


@dataclass(frozen=True, slots=True)
class DatabaseTarget:
    """Where the database is, and how to speak to it."""

    host: str
    port: int
    tls: DatabaseTls
    context: ssl.SSLContext | None
    """What follows from `tls`."""

    @classmethod
    def of(cls, host: str, port: int, tls: DatabaseTls) -> "DatabaseTarget":
        """Reach it this way.

        Raises:
            Invalid: a file that TLS needs.
        """
        return cls(host, port, tls, tls.context())

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"

    async def connect(
        self,
        link_id: int,
        events: DatabaseEvents,
        *,
        user: str,
        password: str | ScramKeys,
        parameters: dict[str, str],
        init_query: str = "",
        question: bytes = b"",
    ) -> DatabaseConnection:
        """Open a connection and log in; the answer to a question is the connection's `answer`.

        Raises:
            BackendUnavailable: it cannot be reached, or not in time. LoginFailed: it can, and does not want us.
        """
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        transport = None
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                transport, connection = await asyncio.get_running_loop().create_connection(
                    lambda: DatabaseConnection(link_id, self, events), self.host, self.port
                )
                await connection.open(
                    lambda end_point: DatabaseLogin(
                        user, password, nonce, end_point, init_query, self.tls.channel_binding, question
                    ),
                    startup_message({"user": user, **parameters}),
                )
        except BaseException as error:  # cancelled or failed alike: nothing may stay open
            if transport is not None:
                transport.abort()
            if isinstance(error, TimeoutError):
                reason = f"not ready within {CONNECT_S_MAX:g} s"
                raise BackendUnavailable(backend="PostgreSQL", address=self.address, reason=reason) from error
            if isinstance(error, OSError):  # ssl.SSLError too
                raise BackendUnavailable(backend="PostgreSQL", address=self.address, reason=str(error)) from error
            raise
        return connection

    async def cancel(self, key: bytes) -> None:
        """Ask the database to cancel what the connection with that key runs; returns when it has heard."""
        with contextlib.suppress(OSError, TimeoutError):  # a cancel request promises nothing
            async with asyncio.timeout(CONNECT_S_MAX):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                try:
                    if self.context is not None:
                        writer.write(SSL_REQUEST)
                        is_encrypted = await reader.readexactly(1) == b"S"
                        if is_encrypted:
                            await writer.start_tls(self.context, server_hostname=self.host)
                        elif not self.tls.is_optional:
                            return
                    writer.write(cancel_request(key))
                    await reader.read(1)  # the server closes when it is done
                except (asyncio.IncompleteReadError, ConnectionError):
                    _log.info("cancel_not_delivered", extra={"database": self.address})
                finally:
                    writer.close()


def set_socket_options(raw: socket.socket) -> None:
    """Send small packets at once, and notice a peer that is gone. Whom a listening socket lets in has its options.

    Source: https://man7.org/linux/man-pages/man7/tcp.7.html
    """
    if raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_S),
        ("TCP_KEEPINTVL", KEEP_ALIVE_S),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
    ):
        if hasattr(socket, name):  # not on every system
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
