"""Everybody who may log in, and what is known of their passwords: given, or read from Secrets Manager, repeatedly."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from workshape.errors import Invalid, WorkshapeError
from workshape.pgproxy.account import Account, KnownPassword
from workshape.pgproxy.auth import SALT_BYTES, ScramKeys, ScramVerifier, is_verifier
from workshape.pgproxy.client_login import MOCK_KEY_BYTES, LoginPolicy
from workshape.pgproxy.config import AwsAccess, DatabaseServer, ProxyConfig, ProxyUser
from workshape.pgproxy.database_connection import DatabaseTarget
from workshape.pgproxy.found_users import FoundUsers
from workshape.pgproxy.iam_token import NOBODYS, TokenRules, make_token
from workshape.pgproxy.secret_book import SecretBook
from workshape.pgproxy.tls import ClientTls
from workshape.pgproxy.user_lookup import ask_verifier

LOOKUPS_AT_ONCE = 2  # connections to the database for them, beside the pools'
READ_S_MAX = 10.0  # for one secret; who waits for it is bounded by its own start-up timeout as well
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecretValue:
    """What a secret says. `username` may be empty."""

    username: str
    password: str = field(repr=False)


ReadSecret = Callable[[AwsAccess, str], Awaitable[SecretValue]]
"""Reads a secret by its name or ARN; raises a WorkshapeError when it cannot."""


async def no_secrets(aws: AwsAccess, name: str) -> SecretValue:
    """Read none: for a proxy whose users all have passwords."""
    raise Invalid(reason=f"nobody reads secrets of {aws.secrets_endpoint} for this proxy: {name}")


class Accounts:
    """All users of one proxy, on the running loop."""

    def __init__(
        self,
        config: ProxyConfig,
        tls: ClientTls | None,
        targets: Mapping[str, DatabaseTarget],
        read_secret: ReadSecret,
    ) -> None:
        """`tls` is how clients are spoken to, `targets` how the servers are, by their names."""
        self.policy: LoginPolicy
        """By which clients are let in; another one as soon as anything is learned."""
        self._config = config
        self._tls = tls
        self._read_secret = read_secret
        self._asked = _asked(config, targets)
        self._mock_key = secrets.token_bytes(MOCK_KEY_BYTES)
        self._salts: dict[str, bytes] = {}
        self._known: dict[str, tuple[str, KnownPassword]] = {}
        self._passwords: dict[str, str | ScramKeys] = {}
        self._client_keys: dict[str, bytes] = {}
        self._secret_of: dict[str, str] = {}
        self._values: dict[str, SecretValue] = {}
        self._named: set[str] = set()
        self._by_token: frozenset[str] = frozenset()
        self._book = SecretBook(_secrets(config))
        self._readings: dict[str, asyncio.Task[None]] = {}
        self._found = FoundUsers()
        self._lookups: dict[str, asyncio.Task[None]] = {}
        self._lookup_turn = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._loop = asyncio.get_running_loop()
        self._take_note()

    def __repr__(self) -> str:
        return f"<Accounts users={len(self.policy.accounts)} {self._book}>"

    def password(self, user: str) -> str | ScramKeys | None:
        """The password by which the proxy logs in as this user, or what a client's proof left of it; None: unknown."""
        return self._passwords.get(user)

    def password_at(self, server: DatabaseServer, user: str) -> str | ScramKeys | None:
        """The same for one server: a token for it, where the user's log-ins are by tokens."""
        aws = self._config.aws
        if user in self._by_token and aws is not None:
            return make_token(server.host, server.port, user, aws.region, aws.keys, time.time())
        return self.password(user)

    @property
    def passwords(self) -> Mapping[str, str]:
        """Every password that is known, by user."""
        return {user: password for user, password in self._passwords.items() if isinstance(password, str)}

    def proved(self, user: str, client_key: bytes) -> None:
        """A client proved to be this user: where only a verifier is known, that is what the proxy can log in with."""
        account = self.policy.accounts.get(user)
        if account is None or account.password is None or isinstance(self._passwords.get(user), str):
            return
        if account.password.verifier.is_of(client_key):  # and not somebody with a token or a certificate
            self._client_keys[user] = client_key
            self._passwords[user] = ScramKeys(account.password.verifier, client_key)

    def apply(self, config: ProxyConfig, tls: ClientTls | None, targets: Mapping[str, DatabaseTarget]) -> None:
        """Go by other users, certificates and servers; read every secret again."""
        self._config, self._tls, self._asked = config, tls, _asked(config, targets)
        names = _secrets(config)
        self._book.apply(names)
        self._values = {name: value for name, value in self._values.items() if name in names}
        self._found.all_old()
        self._take_note()
        self.tick(monotonic())

    def tick(self, now: float) -> None:
        """Let time pass: secrets grow old, and so do users who were looked up."""
        if self._found.grow_old(now):
            self._take_note()
        for name in self._book.due(now):
            self._begin(name, now)

    async def read_secrets(self) -> None:
        """Read all secrets that are due, and return when that is done, well or in vain."""
        self.tick(monotonic())
        if self._readings:
            await asyncio.wait(self._readings.values())

    async def learn_anew(self, user: str) -> None:
        """Read the user's secret again, or look the user up: at once, or a moment later if that has just been done."""
        if self._config.lookup is not None and user not in self._named:
            lookup = self._lookups.get(user)
            if lookup is None:
                at = self._found.may_ask_at(user, monotonic())
                lookup = self._lookups[user] = self._loop.create_task(self._look_up(user, at))
            await asyncio.wait([lookup])
            return
        name = self._secret_of.get(user, "")
        reading = self._readings.get(name)
        may_read_at = self._book.may_read_at(name, monotonic())
        if may_read_at is not None:
            reading = self._begin(name, may_read_at)
        if reading is not None:
            await asyncio.wait([reading])  # others wait for it too: it does not end when one of them does

    async def wait_for_another(self, user: str, refused: str | ScramKeys) -> bool:
        """Wait until the user's password is another than the one that the database refused; False: in vain.

        Rotation gives the database the new password a moment before the secret says it.
        """
        name = self._secret_of.get(user)
        if name is None:
            return False
        hope_until = self._book.refused(name, monotonic())
        while self.password(user) in (None, refused):
            if monotonic() >= hope_until or self._secret_of.get(user) != name:
                return False
            await self.learn_anew(user)
        return True

    async def close(self) -> None:
        """Read no more."""
        readings = [*self._readings.values(), *self._lookups.values()]
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)

    # reading

    def _begin(self, name: str, at: float) -> asyncio.Task[None]:
        self._book.began(name, at)
        reading = self._readings[name] = self._loop.create_task(self._read(name, at))
        return reading

    async def _read(self, name: str, at: float) -> None:
        try:
            await asyncio.sleep(at - monotonic())
            aws = self._config.aws
            if aws is None:  # a reload took the last secret away meanwhile
                return
            async with asyncio.timeout(READ_S_MAX):
                value = await self._read_secret(aws, name)
        except (WorkshapeError, TimeoutError) as error:
            reason = str(error) or f"no answer within {READ_S_MAX:g} s"
            _log.warning("secret_unread", extra={"secret": name, "reason": reason})
            self._book.failed(name, monotonic())
        else:
            before = self._values.get(name)
            self._values[name] = value
            self._book.succeeded(name, monotonic(), is_news=value != before)
            if value != before:
                _log.info("secret_read", extra={"secret": name, "user": value.username})
                self._take_note()
        finally:
            if self._readings.get(name) is asyncio.current_task():
                del self._readings[name]

    async def _look_up(self, user: str, at: float) -> None:
        lookup = self._config.lookup
        try:
            await asyncio.sleep(at - monotonic())
            password = None if lookup is None else self.password(lookup.user)
            if lookup is None or self._asked is None or password is None:
                return
            async with self._lookup_turn, asyncio.timeout(READ_S_MAX):
                verifier = await ask_verifier(self._asked, lookup, password, user)
            if verifier and not is_verifier(verifier):
                _log.warning("user_without_scram_verifier", extra={"user": user})
                verifier = ""
            self._found.note(user, verifier, monotonic())
            self._take_note()
        except (WorkshapeError, TimeoutError) as error:
            _log.warning("user_not_looked_up", extra={"user": user, "reason": str(error)})
        finally:
            del self._lookups[user]

    # what follows from what is known

    def _take_note(self) -> None:
        """Make the policy anew."""
        config = self._config
        accounts: dict[str, Account] = {}
        self._passwords, self._secret_of = {}, {}
        for user in config.users:
            name, password = self._credentials(user)
            if not name:
                continue  # its secret will say who it is
            if user.secret:
                self._secret_of[name] = user.secret
            known = self._know_verifier(name, password) if user.has_verifier else self._know(name, password)
            accounts[name] = Account(user.rules, known, can_be_relearned=bool(user.secret))
        self._named = set(accounts)
        self._by_token = frozenset(user.name for user in config.users if user.database_iam)
        fresh, old = self._found.fresh(), self._found.old()
        for name, verifier in {**old, **fresh}.items():
            if name not in self._named:
                known = self._know_verifier(name, verifier)
                accounts[name] = Account(password=known if name in fresh else None, can_be_relearned=True)
        self._known = {name: kept for name, kept in self._known.items() if name in accounts}
        self._client_keys = {name: key for name, key in self._client_keys.items() if name in accounts}
        self.policy = LoginPolicy(
            accounts,
            Account(can_be_relearned=config.lookup is not None),
            mock_key=self._mock_key,
            tls_offered=self._tls is not None,
            tls_required=config.tls_required,
            tokens=_token_rules(config, self._tls),
        )

    def _know_verifier(self, name: str, text: str) -> KnownPassword:
        """Note what there is to check a client by; and what one has left, to log in at the database with."""
        verifier = ScramVerifier.read(text)
        client_key = self._client_keys.get(name, b"")
        if verifier.is_of(client_key):
            self._passwords[name] = ScramKeys(verifier, client_key)
        return KnownPassword(verifier)

    def _know(self, name: str, password: str) -> KnownPassword | None:
        """Note what there is to check a client by, and to log in at the database with."""
        if password or name not in self._secret_of:
            self._passwords[name] = password  # empty: for a database that does not ask
        return self._keep(name, password) if password else None

    def _credentials(self, user: ProxyUser) -> tuple[str, str]:
        if not user.secret:
            return user.name, user.password
        value = self._values.get(user.secret)
        if value is None:
            return user.name, ""
        if user.name and value.username and user.name != value.username:
            _log.warning("secret_of_another_user", extra={"secret": user.secret, "user": user.name})
            return user.name, ""
        return user.name or value.username, value.password

    def _keep(self, user: str, password: str) -> KnownPassword:
        """Derive what checks the password, once; always with one salt, so that a log-in survives a rotation."""
        kept = self._known.get(user)
        if kept is None or kept[0] != password:
            salt = self._salts.setdefault(user, secrets.token_bytes(SALT_BYTES))
            kept = self._known[user] = password, KnownPassword.of(user, password, salt)
        return kept[1]


def _asked(config: ProxyConfig, targets: Mapping[str, DatabaseTarget]) -> DatabaseTarget | None:
    """Which server is asked for users."""
    return None if config.lookup is None else targets[config.servers[0].name]


def _secrets(config: ProxyConfig) -> list[str]:
    return [user.secret for user in config.users if user.secret]


def _token_rules(config: ProxyConfig, tls: ClientTls | None) -> TokenRules:
    """Tokens are for the names that the certificate has, the addresses that are listened at, and whatever is said."""
    aws = config.aws
    if aws is None or tls is None:
        return NOBODYS
    listening = {endpoint.host.lower() for endpoint in config.endpoints}
    local = LOCAL_HOSTS if listening & (LOCAL_HOSTS | EVERYWHERE) else frozenset()
    said = {host.lower() for host in aws.hosts}
    addresses = frozenset(host for host in said if host.count(":") == 1 or "]:" in host)
    hosts = tls.names | local | (listening - EVERYWHERE) | (said - addresses)
    return TokenRules({aws.keys.access_key: aws.keys.secret_key}, aws.region, hosts, addresses)
