"""A client's log-in, byte by byte: every way of proving who it is, and every way of not being let in."""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.iam_tokens import KEY, NOW, PORT, REGION, SECRET, token_for
from workshape.pgproxy import messages
from workshape.pgproxy.account import Account, CertificateUse, IamAuth, KnownPassword, LoginRules, PasswordAuth
from workshape.pgproxy.auth import ScramClient, ScramVerifier, md5_answer, md5_secret
from workshape.pgproxy.client_login import ClientLogin, LoginPolicy, LoginStep
from workshape.pgproxy.iam_token import TokenRules
from workshape.pgproxy.messages import SSL_REQUEST, read_error_fields, startup_message

PASSWORD = "p\u00e4ss word"
SALT = b"\x07" * 16
END_POINT = b"\x17" * 32
RULES = TokenRules({KEY: SECRET}, REGION, frozenset({"localhost"}))


def known(password: str, user: str = "app") -> KnownPassword:
    return KnownPassword.of(user, password, SALT)


def account(password: str | None = PASSWORD, *, can_be_relearned: bool = False, **rules: object) -> Account:
    return Account(
        LoginRules(**rules),  # type: ignore[arg-type] # by name, as each test wants them
        None if password is None else known(password),
        can_be_relearned,
    )


def policy(of: Account, *, tls_required: bool = False) -> LoginPolicy:
    return LoginPolicy({"app": of}, mock_key=b"mock", tls_offered=True, tls_required=tls_required, tokens=RULES)


class Client:
    """What libpq would do; `said` is all that it was told."""

    def __init__(
        self, of: Account | LoginPolicy, *, user: str = "app", tls: bool = False, name: str | None = None
    ) -> None:
        self.policy = policy(of) if isinstance(of, Account) else of
        self.login = ClientLogin(self.policy, "nonce")
        self.user = user
        self.said: list[tuple[int, bytes]] = []
        self._end_point: bytes | None = None
        if tls:
            assert self.login.receive(SSL_REQUEST, NOW) is LoginStep.ENCRYPT
            self.login.to_client.clear()
            self.login.encrypted(END_POINT, PORT, name)
            self._end_point = END_POINT
        self.step = self.send(startup_message({"user": user, "database": "db"}))

    def send(self, data: bytes) -> LoginStep:
        return self.told(self.login.receive(data, NOW))

    def told(self, step: LoginStep) -> LoginStep:
        buffer = messages.MessageBuffer()
        buffer.feed(b"".join(self.login.to_client))
        self.login.to_client.clear()
        while (found := buffer.next_message()) is not None:
            self.said.append(found)
        self.step = step
        return step

    def asked_for(self) -> int:
        """The kind of authentication that was asked for last."""
        kind, body = self.said[-1]
        assert kind == messages.AUTHENTICATION
        return int(struct.unpack_from("!I", body)[0])

    def answer(self, body: bytes) -> LoginStep:
        return self.send(messages.message(messages.PASSWORD, body))

    def prove(self, password: str) -> LoginStep:
        """Do whatever is asked with the password (or token)."""
        match self.asked_for():
            case messages.AUTH_CLEARTEXT:
                return self.answer(password.encode() + b"\0")
            case messages.AUTH_MD5:
                salt = self.said[-1][1][4:]
                return self.answer(md5_answer(md5_secret(self.user, password), salt) + b"\0")
            case messages.AUTH_SASL:
                scram = ScramClient(password, "client", self._end_point)
                offered = tuple(name.decode() for name in self.said[-1][1][4:].split(b"\0") if name)
                mechanism, first = scram.first(offered)
                self.answer(mechanism.encode() + b"\0" + struct.pack("!i", len(first)) + first)
                return self.answer(scram.final(self.said[-1][1][4:]))
            case kind:
                raise AssertionError(kind)

    def error(self) -> dict[str, str]:
        kind, body = self.said[-1]
        assert kind == messages.ERROR_RESPONSE
        return read_error_fields(body)


WAYS: list[tuple[str, Callable[[], Account], bool, int]] = [
    ("scram", account, False, messages.AUTH_SASL),
    ("scram over TLS", account, True, messages.AUTH_SASL),
    ("md5", lambda: account(password_auth=PasswordAuth.MD5), False, messages.AUTH_MD5),
    ("password, token allowed", lambda: account(iam=IamAuth.ENABLED), False, messages.AUTH_SASL),
    ("password in the clear, token allowed", lambda: account(iam=IamAuth.ENABLED), True, messages.AUTH_CLEARTEXT),
]


@pytest.mark.parametrize(("of", "tls", "asked_for"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
def test_the_right_password_is_welcome_and_a_wrong_one_is_not(
    of: Callable[[], Account], tls: bool, asked_for: int
) -> None:
    right, wrong = Client(of(), tls=tls), Client(of(), tls=tls)

    assert right.asked_for() == wrong.asked_for() == asked_for
    assert right.prove(PASSWORD) is LoginStep.ACCEPTED
    assert right.asked_for() == messages.AUTH_OK
    assert bool(right.login.client_key) == (asked_for != messages.AUTH_MD5)
    assert wrong.prove(PASSWORD + "x") is LoginStep.REFUSED
    assert wrong.error()["C"] == "28P01"
    assert wrong.error()["M"] == 'password authentication failed for user "app"'


@pytest.mark.parametrize("iam", [IamAuth.REQUIRED, IamAuth.ENABLED])
def test_a_token_is_welcome_over_tls(iam: IamAuth) -> None:
    client = Client(account(iam=iam), tls=True)

    assert client.asked_for() == messages.AUTH_CLEARTEXT
    assert client.prove(token_for("app")) is LoginStep.ACCEPTED


def test_a_token_lets_in_a_user_whose_password_is_not_known() -> None:
    assert Client(account(None, iam=IamAuth.REQUIRED), tls=True).prove(token_for("app")) is LoginStep.ACCEPTED


def test_who_must_bring_a_token_is_not_let_in_with_the_password_nor_without_tls() -> None:
    with_password, in_the_clear = Client(account(iam=IamAuth.REQUIRED), tls=True), Client(account(iam=IamAuth.REQUIRED))
    with_password.prove(PASSWORD)

    assert with_password.step is in_the_clear.step is LoginStep.REFUSED
    assert with_password.error()["C"] == "28P01"
    assert with_password.error()["M"].startswith("The IAM authentication failed for the role app.")
    assert with_password.error()["D"].startswith("The password is no IAM token")
    assert (in_the_clear.error()["C"], in_the_clear.error()["M"]) == (
        "28000",
        "IAM is allowed only with SSL connections.",
    )


def test_a_token_is_no_password_where_tokens_are_not_allowed() -> None:
    client = Client(account(), tls=True)

    assert client.prove(token_for("app")) is LoginStep.REFUSED
    assert client.error()["M"] == 'password authentication failed for user "app"'


def test_a_proxy_without_keys_takes_no_tokens() -> None:
    client = Client(LoginPolicy({"app": account(iam=IamAuth.REQUIRED)}, mock_key=b"mock", tls_offered=True), tls=True)

    assert client.prove(token_for("app")) is LoginStep.REFUSED
    assert client.error()["D"] == "The proxy knows no access key that may sign tokens."


@pytest.mark.parametrize(
    ("use", "name", "told"),
    [
        (CertificateUse.VERIFY_CA, "anybody", None),
        (CertificateUse.VERIFY_CA, None, "connection requires a valid client certificate"),
        (CertificateUse.VERIFY_FULL, "robot.internal", None),
        (CertificateUse.VERIFY_FULL, "app", 'certificate authentication failed for user "app"'),
        (CertificateUse.VERIFY_FULL, None, "connection requires a valid client certificate"),
        (CertificateUse.CERT, "robot.internal", None),
        (CertificateUse.CERT, "anybody", 'certificate authentication failed for user "app"'),
        (CertificateUse.CERT, "", 'certificate authentication failed for user "app"'),
        (CertificateUse.CERT, None, "connection requires a valid client certificate"),
    ],
)
def test_a_certificate_is_looked_at_before_anything_is_asked(
    use: CertificateUse, name: str | None, told: str | None
) -> None:
    client = Client(account(certificate=use, certificate_names=("robot.internal",)), tls=True, name=name)

    if told is not None:
        assert client.step is LoginStep.REFUSED
        assert (client.error()["C"], client.error()["M"]) == ("28000", told)
    elif use is CertificateUse.CERT:
        assert client.step is LoginStep.ACCEPTED
    else:
        assert client.asked_for() == messages.AUTH_SASL
        assert client.prove(PASSWORD) is LoginStep.ACCEPTED


def test_without_names_a_certificate_is_for_the_user_it_names() -> None:
    assert Client(account(certificate=CertificateUse.CERT), tls=True, name="app").step is LoginStep.ACCEPTED
    assert Client(account(certificate=CertificateUse.CERT), tls=True, name="App").step is LoginStep.REFUSED


@pytest.mark.parametrize(("of", "tls", "asked_for"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
def test_a_password_that_changed_meanwhile_is_learned_and_its_client_let_in(
    of: Callable[[], Account], tls: bool, asked_for: int
) -> None:
    before = replace(of(), can_be_relearned=True)
    rotated = policy(replace(before, password=known("rotated")))
    knows, is_behind, knows_neither = (Client(before, tls=tls) for _ in range(3))

    steps = [knows.prove("rotated"), is_behind.prove("rotated"), knows_neither.prove("guessed")]

    assert steps == [LoginStep.DOUBTED] * 3
    assert knows.asked_for() != messages.AUTH_OK
    assert knows.told(knows.login.relearned(rotated, NOW)) is LoginStep.ACCEPTED
    assert is_behind.told(is_behind.login.relearned(is_behind.policy, NOW)) is LoginStep.REFUSED
    assert knows_neither.told(knows_neither.login.relearned(rotated, NOW)) is LoginStep.REFUSED
    assert knows_neither.error()["M"] == 'password authentication failed for user "app"'


def test_a_password_that_was_not_known_when_its_client_came_is_asked_for_once_it_is() -> None:
    unread = account(None, can_be_relearned=True)
    lucky, unlucky = Client(unread), Client(unread)

    assert lucky.step is unlucky.step is LoginStep.DOUBTED
    assert lucky.said == []
    assert lucky.told(lucky.login.relearned(policy(account()), NOW)) is LoginStep.MORE
    assert lucky.prove(PASSWORD) is LoginStep.ACCEPTED
    assert unlucky.told(unlucky.login.relearned(policy(unread), NOW)) is LoginStep.REFUSED
    assert unlucky.error()["M"].startswith("This RDS proxy has no credentials for the role app.")


def test_a_user_who_is_gone_when_the_password_was_learned_is_not_let_in() -> None:
    client = Client(account(can_be_relearned=True))
    client.prove("rotated")

    assert client.told(client.login.relearned(LoginPolicy({}, mock_key=b"mock"), NOW)) is LoginStep.REFUSED


def test_an_unknown_user_who_could_not_be_found_is_asked_like_a_known_one() -> None:
    nobody_yet = LoginPolicy({}, Account(can_be_relearned=True), mock_key=b"mock")
    found, not_found = Client(nobody_yet), Client(nobody_yet)

    assert found.step is not_found.step is LoginStep.DOUBTED
    assert found.told(found.login.relearned(policy(account()), NOW)) is LoginStep.MORE
    assert not_found.told(not_found.login.relearned(nobody_yet, NOW)) is LoginStep.MORE
    assert found.prove(PASSWORD) is LoginStep.ACCEPTED
    assert not_found.prove(PASSWORD) is LoginStep.REFUSED
    assert not_found.error()["M"] == 'password authentication failed for user "app"'


def test_an_unknown_user_is_asked_like_a_known_one() -> None:
    client = Client(account(), user="nobody")

    assert client.asked_for() == messages.AUTH_SASL
    assert client.prove(PASSWORD) is LoginStep.REFUSED
    assert client.error()["M"] == 'password authentication failed for user "nobody"'


def test_a_verifier_without_the_password_is_enough_for_scram_and_md5_is_not_asked_for() -> None:
    of = Account(LoginRules(password_auth=PasswordAuth.MD5), KnownPassword(ScramVerifier.of_password(PASSWORD, SALT)))

    assert Client(of).prove(PASSWORD) is LoginStep.ACCEPTED


@pytest.mark.parametrize("answer", [b"", b"password", b"pass\0word", b"pass\0word\0"])
def test_a_password_in_the_clear_ends_with_its_zero(answer: bytes) -> None:
    client = Client(account(iam=IamAuth.ENABLED), tls=True)

    assert client.answer(answer) is LoginStep.REFUSED
    assert client.error()["C"] == "08P01"


ANY_RULES = st.builds(
    LoginRules,
    iam=st.sampled_from(IamAuth),
    password_auth=st.sampled_from(PasswordAuth),
    certificate=st.sampled_from(CertificateUse),
    certificate_names=st.sampled_from([(), ("robot",)]),
)


@settings(max_examples=300, deadline=None)
@given(
    rules=ANY_RULES,
    is_known=st.booleans(),
    tls=st.booleans(),
    name=st.sampled_from([None, "app", "robot", "else"]),
    said=st.sampled_from(["guessed", "", "token for else"]),
    learned=st.sampled_from([None, PASSWORD]),
)
def test_nobody_gets_in_who_brings_neither_the_secret_nor_a_certificate_that_is_enough(
    rules: LoginRules, is_known: bool, tls: bool, name: str | None, said: str, learned: str | None
) -> None:
    of = Account(rules, known(PASSWORD) if is_known else None, can_be_relearned=True)
    client = Client(of, tls=tls, name=name if tls else None)

    for _ in range(2):
        if client.step is LoginStep.DOUBTED:
            after = policy(replace(of, password=None if learned is None else known(learned)))
            client.told(client.login.relearned(after, NOW))
        elif client.step is LoginStep.MORE:
            client.prove(token_for("else") if said == "token for else" else said)

    is_named = tls and name in (rules.certificate_names or ("app",))
    if rules.certificate is CertificateUse.CERT and is_named:
        assert client.step is LoginStep.ACCEPTED
    else:
        assert client.step is not LoginStep.ACCEPTED


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_however_the_bytes_come_the_outcome_is_the_same(data: st.DataObject) -> None:
    said = messages.message(messages.PASSWORD, token_for("app").encode() + b"\0")
    whole = startup_message({"user": "app"}) + said + messages.query("SELECT 1")
    login = ClientLogin(policy(account(iam=IamAuth.REQUIRED)), "nonce")
    login.encrypted(END_POINT, PORT)
    step = LoginStep.MORE
    sent = 0
    while step is LoginStep.MORE:
        size = data.draw(st.integers(min_value=1, max_value=len(whole) - sent))
        step = login.receive(whole[sent : sent + size], NOW)
        sent += size

    assert step is LoginStep.ACCEPTED
    assert login.rest + whole[sent:] == messages.query("SELECT 1")


ANY_BYTES = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=100).map(lambda body: messages.message(messages.PASSWORD, body)),
    st.binary(max_size=60).map(
        lambda noise: messages.message(messages.PASSWORD, token_for("app").encode()[:-60] + noise + b"\0")
    ),
    st.text(max_size=20).map(
        lambda name: messages.message(
            messages.PASSWORD,
            b"SCRAM-SHA-256\0" + struct.pack("!i", 8 + len(name.encode())) + b"n,,n=,r=" + name.encode(),
        )
    ),
)


@settings(max_examples=300, deadline=None)
@given(rules=ANY_RULES, tls=st.booleans(), chunks=st.lists(ANY_BYTES, max_size=5))
def test_whatever_a_client_says_it_is_refused_or_asked_for_more(
    rules: LoginRules, tls: bool, chunks: list[bytes]
) -> None:
    client = Client(Account(rules, known(PASSWORD)), tls=tls, name="nobody")

    for chunk in chunks:
        if client.step is LoginStep.MORE:
            client.step = client.login.receive(chunk, NOW)

    assert client.step in (LoginStep.MORE, LoginStep.REFUSED)
