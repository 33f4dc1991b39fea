"""The socket to a client: its log-in, its session, and the database connection it has at the moment."""

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from sys import intern
from time import monotonic
from typing import Protocol, cast

from workshape.pgproxy.admin_session import AdminSession, Answer
from workshape.pgproxy.client_login import ClientLogin, LoginPolicy, LoginStep
from workshape.pgproxy.database_connection import WRITE_BUFFER_BYTES, DatabaseConnection
from workshape.pgproxy.messages import KIB, ProtocolViolation
from workshape.pgproxy.pool_actions import PoolKey
from workshape.pgproxy.session import Session, Want
from workshape.pgproxy.sqlstate import WireError, connection_lost, refused
from workshape.pgproxy.tls import ClientTls, common_name
from workshape.pgproxy.welcomes import Welcome

TLS_HANDSHAKE_S_MAX = 10.0
HELD_BYTES_MAX = 256 * KIB  # while a client waits it is read on, to notice that it left; but not without end
SECRET_BYTES = 4  # of BackendKeyData, after the process id
LONG_SECRET_BYTES = 32  # since version 3.2 of the protocol, as the server's
LONG_SECRET_SINCE = 2  # that is 3.2
PROCESS_ID_BITS = 31  # drivers read it as a signed number, and the server's are positive

_numbers = count(1)
_log = logging.getLogger(__name__)
_NOTHING = Want.NOTHING  # a name of this module's own: it is looked up for every packet


@dataclass(frozen=True, slots=True)
class ClientEvents:
    """What a client's connection tells its owner."""

    accepted: Callable[["ClientConnection"], None]
    """It logged in."""
    doubted: Callable[["ClientConnection"], None]
    """It seems to know another password than the proxy: say `relearned` when that is looked into."""
    refused: Callable[["ClientConnection"], None]
    """It could not."""
    cancels: Callable[["ClientConnection", bytes], None]
    """It asks to cancel what the holder of that key runs."""
    gone: Callable[["ClientConnection"], None]
    """It left; nothing can be sent any more."""
    endpoint: str
    """The name of the endpoint whose clients these are."""


class Lender(Protocol):
    """Who lends a client its database connections: one server's, or whichever reader's."""

    def want(self, client: "ClientConnection") -> None:
        """Lend the client a connection: now, or as soon as there is one."""

    def lend_at_once(self, client: "ClientConnection", now: float) -> DatabaseConnection | None:
        """Lend the client a connection that is idle, if there is one, without calling its `lend`."""

    def withdraw(self, client: "ClientConnection") -> None:
        """The client does not want one any more."""

    def known_welcome(self, key: PoolKey) -> Welcome | None:
        """What the server says to such clients; None while it has not been asked."""


class ClientConnection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_encrypting",
        "_events",
        "_held_bytes",
        "_is_doubted",
        "_is_slow",
        "_tls",
        "active_at",
        "admin",
        "admitted_from",
        "connected_at",
        "database",
        "held",
        "id",
        "is_encrypted",
        "is_ended",
        "is_waiting",
        "lender",
        "logged_in_as",
        "login",
        "pool_key",
        "session",
        "session_key",
        "transport",
        "writes",
    )

    def __init__(self, events: ClientEvents, login: ClientLogin, tls: ClientTls | None) -> None:
        self.id = next(_numbers)
        self.login: ClientLogin | None = login
        self.session: Session | None = None
        self.admin: AdminSession | None = None
        """In the place of a session, on the admin console."""
        self.database: DatabaseConnection | None = None
        self.pool_key: PoolKey | None = None
        self.logged_in_as = ""
        """Its user, once it has logged in; the proxy may log in at the database as another."""
        self.lender: Lender | None = None
        """Set once it has logged in, unless it is on the admin console."""
        self.writes = True
        """Whether it came by an endpoint for reading and writing."""
        self.admitted_from = ""
        """The address that it counts for, once it has logged in."""
        self.session_key = b""
        """What it was given for cancel requests."""
        self.is_waiting = False
        self.is_encrypted = False
        self.is_ended = False
        self.held = b""
        """What it sent before it was welcomed."""
        self.connected_at = self.active_at = monotonic()
        self.transport: asyncio.Transport
        self._events = events
        self._tls = tls
        self._encrypting: asyncio.Task[None] | None = None
        self._is_doubted = False
        self._held_bytes = 0
        self._is_slow = False

    def __repr__(self) -> str:
        return f"<ClientConnection {self.login or self.session} waiting={self.is_waiting}>"

    # how it is shown

    @property
    def endpoint(self) -> str:
        """The name of the endpoint that it came to."""
        return self._events.endpoint

    @property
    def address(self) -> str:
        """Where it comes from; empty once it is gone."""
        peer = self.transport.get_extra_info("peername")
        return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""

    @property
    def host(self) -> str:
        """The address it comes from, without the port."""
        peer = self.transport.get_extra_info("peername")
        return intern(peer[0]) if isinstance(peer, tuple) else ""  # one string for all who come from there

    @property
    def user(self) -> str:
        """Who it is, or says it is."""
        return self.logged_in_as or ("" if self.login is None else self.login.user)

    @property
    def database_name(self) -> str:
        """What it wants to speak to; empty before its log-in."""
        return "" if self.pool_key is None else self.pool_key.database

    @property
    def application_name(self) -> str:
        """What it calls itself."""
        return "" if self.session is None else self.session.state.variables.get("application_name", "")

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._encrypting is not None:
            self._encrypting.cancel()
        self._end()

    def data_received(self, data: bytes) -> None:
        if self.is_ended:
            return
        session = self.session
        if session is None:
            if self.admin is not None:
                self._on_console(data)
            else:
                self._before_session(data)
            return
        self.active_at = now = monotonic()
        try:
            link = session.link
            if link is not None:
                if not link.expected and self.database is not None:
                    self.database.asked_at = now
            elif session.asks_at_once(data) and not self.is_waiting and not self._borrow_at_once(session, now):
                session.hold(data, now)
                self._hold_back(len(data))
                self.want()
                return
            want = session.receive(data, now)
        except ProtocolViolation as error:
            self.end(refused(error.reason))
            return
        if self.is_waiting:
            self._hold_back(len(data))
        self.obey(want)

    def _borrow_at_once(self, session: Session, now: float) -> bool:
        """Go on with an idle connection, if there is one, before what asks for it is looked at."""
        assert self.lender is not None
        database = self.lender.lend_at_once(self, now)
        if database is None:
            return False
        assert database.link is not None
        self.database = database
        database.serve(self.transport)
        if self._is_slow:
            database.pause(True)
        session.attach(database.link)
        database.asked_at = now
        return True

    def pause_writing(self) -> None:
        self._is_slow = True
        if self.database is not None:
            self.database.pause(True)

    def resume_writing(self) -> None:
        self._is_slow = False
        if self.database is not None:
            self.database.pause(False)

    # for the owner

    def begin(self, session: Session, welcome: bytes) -> None:
        """Welcome the client, and look at what it has already sent."""
        self.session = session
        self.login = None
        self.transport.write(welcome)
        held, self.held = self.held, b""
        if held:
            self.data_received(held)

    def begin_admin(self, admin: AdminSession, welcome: bytes) -> None:
        """Welcome the client to the admin console."""
        self.admin = admin
        self.login = None
        self.transport.write(welcome)
        held, self.held = self.held, b""
        if held:
            self._on_console(held)

    def answer_admin(self, answer: Answer) -> None:
        """Bring the answer that the admin console left open."""
        assert self.admin is not None
        try:
            self.admin.answer(answer)
        except ProtocolViolation as error:
            self.end(refused(error.reason))
            return
        self._say_admin()

    def _say_admin(self) -> None:
        admin = self.admin
        assert admin is not None
        if admin.to_client and not self.transport.is_closing():
            self.transport.write(b"".join(admin.to_client))
        admin.to_client.clear()
        if admin.is_over:
            self._end()

    def want(self) -> None:
        """Ask for a database connection."""
        assert self.lender is not None
        self.is_waiting = True
        self.lender.want(self)

    def lose(self, reason: str) -> None:
        """Its database connection ended: so must it, with the reason where a message can stand."""
        link = self.take_back().link
        assert link is not None
        said = link.said_why or not link.at_message_boundary
        self.end(link.offence or (None if said else connection_lost(reason)))

    def lend(self, database: DatabaseConnection, now: float, waited_s: float) -> None:
        """Go on with this database connection, for which what it asked has waited so long."""
        assert self.session is not None
        assert database.link is not None
        self._stop_waiting()
        self.database = database
        database.serve(self.transport)
        database.pause(self._is_slow)
        try:
            want = self.session.attach(database.link)
        except ProtocolViolation as error:
            self.end(refused(error.reason))
            return
        self.obey(want)
        if database.link.expected:
            database.asked_at, database.waited_s = now, waited_s
        elif self.session.may_detach:  # there was nothing left to do
            database.events.rested(database)

    def take_back(self) -> DatabaseConnection:
        """Part the client from its database connection."""
        assert self.session is not None
        assert self.database is not None
        database, self.database = self.database, None
        self.session.detach()
        database.serve(None)
        if database.is_paused:
            database.pause(False)
        return database

    def refuse(self, error: WireError) -> None:
        """Answer what waits in the database's place; a client that has no session yet cannot get one."""
        self._stop_waiting()
        if self.session is None:
            self.end(WireError(error.code, error.message, error.detail, error.hint, fatal=True))
            return
        try:
            want = self.session.refuse(error)
        except ProtocolViolation as violation:
            self.end(refused(violation.reason))
            return
        self.obey(want)

    def end(self, error: WireError | None = None) -> None:
        """Say why, and hang up."""
        if self.is_ended:
            return
        if error is not None and not self.transport.is_closing():
            self.transport.write(bytes(error))
        self._end()

    def obey(self, want: Want) -> None:
        """Send what the session has to say, and give it what it wants."""
        session = self.session
        assert session is not None
        data = session.to_database
        if data:
            session.to_database = b""
            if self.database is not None:
                self.database.transport.write(data)
        if session.to_client:
            self.transport.write(session.to_client)
            session.to_client = b""
            if self.database is not None and session.may_detach:
                self.database.events.rested(self.database)
        if want is not _NOTHING:
            self._obey(want)

    def _obey(self, want: Want) -> None:
        if want is Want.END:
            self._end()
        elif not self.is_waiting:
            self.want()

    def _on_console(self, data: bytes) -> None:
        assert self.admin is not None
        self.active_at = monotonic()
        try:
            self.admin.receive(data)
        except ProtocolViolation as error:
            self.end(refused(error.reason))
            return
        self._say_admin()

    # before there is a session

    def _before_session(self, data: bytes) -> None:
        login = self.login
        if login is None or self._encrypting is not None or self._is_doubted or self.is_waiting:
            self.held += data
            if len(self.held) > HELD_BYTES_MAX:
                self.end(refused("too much was sent before the log-in was done"))
            return
        self._take(login.receive(data, time.time()), login)

    def relearned(self, policy: LoginPolicy) -> None:
        """Go on with a log-in that was in doubt, by what is known now."""
        login = self.login
        if self.is_ended or login is None:
            return
        self._is_doubted = False
        self._take(login.relearned(policy, time.time()), login)
        self._resume_login()

    def _take(self, step: LoginStep, login: ClientLogin) -> None:
        if login.to_client:
            self.transport.write(b"".join(login.to_client))
            login.to_client.clear()
        match step:
            case LoginStep.ENCRYPT:
                self._encrypting = asyncio.get_running_loop().create_task(self._encrypt(login))
            case LoginStep.DOUBTED:
                self._is_doubted = True
                self._events.doubted(self)
            case LoginStep.ACCEPTED:
                self.held = login.rest + self.held
                self._events.accepted(self)
            case LoginStep.CANCEL:
                self._events.cancels(self, login.cancel_key)
            case LoginStep.REFUSED:
                self._events.refused(self)
                self._end()

    async def _encrypt(self, login: ClientLogin) -> None:
        assert self._tls is not None
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                self.transport, self, self._tls.context, server_side=True, ssl_handshake_timeout=TLS_HANDSHAKE_S_MAX
            )
        except OSError as error:  # ssl.SSLError too: the client turned away, or shows a certificate of a stranger's
            # uvloop hangs up without the alert that would tell the client: let it be seen here at least.
            level = logging.WARNING if isinstance(error, ssl.SSLCertVerificationError) else logging.INFO
            _log.log(level, "client_tls_failed", extra={"address": self.address, "reason": str(error)})
            encrypted = None
        self._encrypting = None
        tls_session = None if encrypted is None else encrypted.get_extra_info("ssl_object")
        if encrypted is None or tls_session is None:  # the latter when the client has left since
            self.transport.abort()
            self._end()
            return
        self.transport = encrypted
        encrypted.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.is_encrypted = True
        sockname = encrypted.get_extra_info("sockname")
        port = sockname[1] if isinstance(sockname, tuple) else 0
        login.encrypted(self._tls.end_point, port, common_name(tls_session.getpeercert()))
        self._resume_login()

    def _resume_login(self) -> None:
        """Look at what came while the log-in could not go on."""
        if self.login is None or self.is_waiting or self.is_ended:
            return
        held, self.held = self.held, b""
        if held:
            self._before_session(held)

    # ends

    def _end(self) -> None:
        if self.is_ended:
            return
        self.is_ended = True
        self._events.gone(self)
        self.transport.close()

    def _hold_back(self, size: int) -> None:
        self._held_bytes += size
        if self._held_bytes > HELD_BYTES_MAX and not self.transport.is_closing():
            self.transport.pause_reading()

    def _stop_waiting(self) -> None:
        self.is_waiting = False
        if self._held_bytes > HELD_BYTES_MAX and not self.transport.is_closing():
            self.transport.resume_reading()
        self._held_bytes = 0


def new_session_key(minor_version: int) -> bytes:
    """Make what a client is given for its cancel requests: a process id and a secret, neither to be guessed.

    Source: https://www.postgresql.org/docs/current/protocol-message-formats.html (BackendKeyData, by protocol version)
    """
    secret_bytes = LONG_SECRET_BYTES if minor_version >= LONG_SECRET_SINCE else SECRET_BYTES
    return (secrets.randbits(PROCESS_ID_BITS) or 1).to_bytes(4, "big") + secrets.token_bytes(secret_bytes)
