"""The proxy's own log-in at a database: what it answers, what it refuses to say, and what it asks at the end."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.pgproxy import messages
from workshape.pgproxy.auth import ChannelBinding, ScramKeys, ScramVerifier, md5_answer, md5_secret
from workshape.pgproxy.database_login import DatabaseLogin, LoginFailed
from workshape.pgproxy.messages import authentication, message, ready_for_query

END_POINT = b"\x17" * 32
SALT = b"\x01\x02\x03\x04"
KEYS = ScramKeys(ScramVerifier.of_password("secret", b"salt"), b"key")
OK = authentication(messages.AUTH_OK) + ready_for_query(messages.IDLE)


def login(
    password: str | ScramKeys = "secret",
    *,
    tls: bool = True,
    binding: ChannelBinding = ChannelBinding.PREFER,
    question: bytes = b"",
) -> DatabaseLogin:
    return DatabaseLogin("app", password, "nonce", END_POINT if tls else None, "", binding, question)


def row(*values: bytes | None) -> bytes:
    fields = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message(messages.DATA_ROW, struct.pack("!h", len(values)) + fields)


def test_md5_and_over_tls_the_password_itself_are_answered() -> None:
    by_md5, in_the_clear = login(tls=False), login()

    by_md5.receive(authentication(messages.AUTH_MD5, SALT))
    in_the_clear.receive(authentication(messages.AUTH_CLEARTEXT))

    expected = md5_answer(md5_secret("app", "secret"), SALT)
    assert by_md5.to_database == [message(messages.PASSWORD, expected + b"\0")]
    assert in_the_clear.to_database == [message(messages.PASSWORD, b"secret\0")]


@pytest.mark.parametrize(
    ("own", "request_", "told"),
    [
        (login(tls=False), authentication(messages.AUTH_CLEARTEXT), "in the clear, without TLS"),
        (login(KEYS), authentication(messages.AUTH_CLEARTEXT), "has only a verifier"),
        (login(KEYS), authentication(messages.AUTH_MD5, SALT), "has only a verifier"),
        (login(), authentication(7), "unsupported kind of authentication"),
        (login(), message(messages.AUTHENTICATION, b"\0"), "malformed authentication request"),
        (login(), messages.sasl_mechanisms(["PLAIN"]), "no known mechanism, but PLAIN"),
    ],
)
def test_what_cannot_be_answered_ends_it(own: DatabaseLogin, request_: bytes, told: str) -> None:
    with pytest.raises(LoginFailed, match=told):
        own.receive(request_)

    assert own.to_database == []


@pytest.mark.parametrize(
    "request_",
    [
        messages.sasl_mechanisms(["SCRAM-SHA-256"]),
        authentication(messages.AUTH_MD5, SALT),
        authentication(messages.AUTH_CLEARTEXT),
        OK,
    ],
    ids=["unbound SCRAM", "md5", "clear", "nothing"],
)
def test_where_binding_is_required_nothing_unbound_will_do(request_: bytes) -> None:
    own = login(binding=ChannelBinding.REQUIRE)

    with pytest.raises(LoginFailed, match="offers no channel binding, and it is required"):
        own.receive(request_)

    assert own.to_database == []


def test_the_answer_to_a_question_is_its_row() -> None:
    own = login(question=b"?")

    assert not own.receive(OK)
    assert not own.receive(row(b"100", b"3", None, b"0") + ready_for_query(messages.IDLE))
    assert own.to_database[-1] == b"?"
    assert own.receive(row(b"SCRAM", None) + ready_for_query(messages.IDLE))
    assert own.answer == [b"SCRAM", None]
    assert own.limits is not None
    assert (own.limits.max_connections, own.limits.reserved) == (100, 3)


def test_a_question_that_fails_ends_it_with_the_servers_words() -> None:
    own = login(question=b"?")
    own.receive(OK + ready_for_query(messages.IDLE))

    with pytest.raises(LoginFailed, match="permission denied"):
        own.receive(message(messages.ERROR_RESPONSE, b"SERROR\0C42501\0Mpermission denied for table pg_authid\0\0"))


@pytest.mark.parametrize("body", [b"\0\1\0\0", b"\0\1\0\0\0\5abc"])
def test_a_row_that_ends_in_the_middle_is_malformed(body: bytes) -> None:
    own = login(question=b"?")
    own.receive(OK + ready_for_query(messages.IDLE))

    with pytest.raises(LoginFailed, match="malformed data row"):
        own.receive(message(messages.DATA_ROW, body))


ANY_MESSAGES = st.one_of(
    st.binary(max_size=60),
    st.tuples(st.sampled_from(b"RKSZEDTNCv"), st.binary(max_size=40)).map(lambda pair: message(*pair)),
    st.tuples(st.sampled_from([0, 3, 5, 7, 10, 11, 12]), st.binary(max_size=40)).map(
        lambda pair: authentication(*pair)
    ),
    st.binary(max_size=20).map(lambda challenge: authentication(messages.AUTH_SASL_CONTINUE, b"r=nonce1," + challenge)),
    st.sampled_from([OK, messages.sasl_mechanisms(["SCRAM-SHA-256"]), row(b"1", b"x"), ready_for_query(messages.IDLE)]),
)


@settings(max_examples=300, deadline=None)
@given(binding=st.sampled_from(ChannelBinding), said=st.lists(ANY_MESSAGES, max_size=8))
def test_whatever_a_server_says_the_log_in_goes_on_or_fails_and_tells_no_password(
    binding: ChannelBinding, said: list[bytes]
) -> None:
    own = login(tls=False, binding=binding, question=b"?")

    with contextlib.suppress(LoginFailed):
        for one in said:
            own.receive(one)

    assert b"secret" not in b"".join(own.to_database)
