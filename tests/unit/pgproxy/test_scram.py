"""SCRAM-SHA-256 on both sides: the RFC's example, wrong passwords, unknown users, tampering.

Source: https://www.rfc-editor.org/rfc/rfc7677#section-3
"""

import base64

import pytest

from workshape.pgproxy.auth import (
    ITERATIONS_MAX,
    SCRAM,
    SCRAM_PLUS,
    AuthenticationFailed,
    ScramClient,
    ScramKeys,
    ScramServer,
    ScramVerifier,
)
from workshape.pgproxy.messages import ProtocolViolation

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_NONCE, SERVER_NONCE = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
WITHOUT_PROOF = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FINAL = WITHOUT_PROOF + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
PENCIL = ScramVerifier.of_password("pencil", SALT)
END_POINT = b"\x17" * 32


def server(verifier: ScramVerifier = PENCIL, end_point: bytes | None = None) -> ScramServer:
    return ScramServer(verifier, SERVER_NONCE, end_point)


def client(password: str = "pencil", end_point: bytes | None = None) -> ScramClient:
    return ScramClient(password, CLIENT_NONCE, end_point)


def exchange(client: ScramClient, server: ScramServer) -> str:
    """Lead both through the whole exchange; return the mechanism."""
    mechanism, first = client.first(server.mechanisms)
    client.verify(server.final(client.final(server.first(mechanism, first))))
    return mechanism


def test_the_server_speaks_as_in_the_rfcs_example() -> None:
    example = server()

    assert example.first(SCRAM, CLIENT_FIRST) == SERVER_FIRST
    assert example.final(CLIENT_FINAL) == SERVER_FINAL


def test_a_verifier_as_the_database_stores_it_is_the_one_derived_from_the_password() -> None:
    salt, stored, proof = (base64.b64encode(part).decode() for part in (SALT, PENCIL.stored_key, PENCIL.server_key))

    assert ScramVerifier.read(f"SCRAM-SHA-256$4096:{salt}${stored}:{proof}") == PENCIL
    assert stored not in repr(PENCIL)


@pytest.mark.parametrize("text", ["", "md5abc", "SCRAM-SHA-1$1:a$b:c", "SCRAM-SHA-256$x:W22Z$W22Z:W22Z", "a$b$c$d"])
def test_another_kind_of_secret_is_no_verifier(text: str) -> None:
    with pytest.raises(AuthenticationFailed):
        ScramVerifier.read(text)


@pytest.mark.parametrize(
    ("client_end_point", "server_end_point", "mechanism"),
    [(None, None, SCRAM), (END_POINT, END_POINT, SCRAM_PLUS), (None, END_POINT, SCRAM), (END_POINT, None, SCRAM)],
)
def test_both_sides_agree_with_and_without_channel_binding(
    client_end_point: bytes | None, server_end_point: bytes | None, mechanism: str
) -> None:
    assert exchange(client(end_point=client_end_point), server(end_point=server_end_point)) == mechanism


def test_a_password_is_normalized_alike_on_both_sides() -> None:
    composed, decomposed = "p\u00e4ssword\u00a0\u2168", "pa\u0308ssword IX"

    assert exchange(client(decomposed), server(ScramVerifier.of_password(composed, SALT))) == SCRAM


def test_a_wrong_password_is_found_at_the_last_step() -> None:
    with pytest.raises(AuthenticationFailed, match="wrong password"):
        exchange(client("pencils"), server())


def test_an_unknown_user_is_led_through_the_same_steps_with_a_salt_that_stays() -> None:
    mock, again = ScramVerifier.mock("nobody", b"k"), ScramVerifier.mock("nobody", b"k")
    challenge = server(mock).first(SCRAM, CLIENT_FIRST)

    assert challenge.count(b",") == SERVER_FIRST.count(b",")
    assert len(challenge) == len(SERVER_FIRST)
    assert challenge.endswith(b",i=4096")
    assert mock.salt == again.salt != ScramVerifier.mock("somebody", b"k").salt
    for password in ("", "pencil"):
        with pytest.raises(AuthenticationFailed, match="wrong password"):
            exchange(client(password), server(mock))


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,n=user,x=1",
        b"n,a=admin,n=user,r=abc",
        b"q,,n=user,r=abc",
        b"p=tls-server-end-point,,n=user,r=abc",
        b"n,,m=ext,r=abc",
    ],
)
def test_a_first_message_that_makes_no_sense_is_refused(first: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        server().first(SCRAM, first)


def test_what_a_clients_proof_leaves_is_as_good_as_the_password_where_the_verifier_is_the_same() -> None:
    first = server()
    exchange(client(), first)
    keys = ScramKeys(PENCIL, first.client_key)
    elsewhere = ScramVerifier.of_password("pencil", b"another salt")

    assert exchange(ScramClient(keys, CLIENT_NONCE, END_POINT), server(end_point=END_POINT)) == SCRAM_PLUS
    with pytest.raises(AuthenticationFailed, match="another verifier"):
        exchange(ScramClient(keys, CLIENT_NONCE, None), server(elsewhere))
    assert first.client_key.hex() not in repr(keys)


@pytest.mark.parametrize("mechanism", [SCRAM_PLUS, "SCRAM-SHA-1", "PLAIN", ""])
def test_a_mechanism_that_was_not_offered_is_refused(mechanism: str) -> None:
    with pytest.raises(ProtocolViolation):
        server().first(mechanism, CLIENT_FIRST)


@pytest.mark.parametrize(
    "final",
    [
        b"",
        WITHOUT_PROOF,
        WITHOUT_PROOF + b",p=",
        WITHOUT_PROOF + b",p=!!!!",
        WITHOUT_PROOF + b",p=AAAA",
        CLIENT_FINAL.replace(b"p=dHz", b"p=dHy"),
        CLIENT_FINAL.replace(b"%hv", b"%hw"),
        CLIENT_FINAL.replace(b"c=biws", b"c=eSws"),
        CLIENT_FINAL.replace(b",p=", b",x=1,p="),
        CLIENT_FINAL.replace(b",p=", b";p="),
    ],
)
def test_a_final_message_that_was_tampered_with_is_refused(final: bytes) -> None:
    example = server()
    example.first(SCRAM, CLIENT_FIRST)

    with pytest.raises((ProtocolViolation, AuthenticationFailed)):
        example.final(final)


def test_somebody_who_takes_the_offer_of_channel_binding_away_is_noticed() -> None:
    mechanism, first = client(end_point=END_POINT).first((SCRAM,))

    assert first.startswith(b"y,,")
    with pytest.raises(AuthenticationFailed):
        server(end_point=END_POINT).first(mechanism, first)


def test_somebody_in_between_with_another_certificate_is_noticed() -> None:
    with pytest.raises(AuthenticationFailed, match="channel binding"):
        exchange(client(end_point=END_POINT), server(end_point=b"\x18" * 32))


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        SERVER_FIRST.replace(b"r=rOpr", b"r=rOpx"),
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        SERVER_FIRST.replace(b"s=W22Z", b"s=!!!!"),
        SERVER_FIRST.replace(b"i=4096", b"i=0"),
        SERVER_FIRST.replace(b"i=4096", b"i=-1"),
        SERVER_FIRST.replace(b"i=4096", b"i=%d" % (ITERATIONS_MAX + 1)),
        b"m=ext," + SERVER_FIRST,
    ],
)
def test_a_challenge_that_does_not_continue_what_the_client_began_is_refused(challenge: bytes) -> None:
    ours = client()
    ours.first((SCRAM,))

    with pytest.raises(ProtocolViolation):
        ours.final(challenge)


def test_a_server_that_does_not_know_the_password_is_not_believed() -> None:
    ours = client()
    ours.first((SCRAM,))

    with pytest.raises(AuthenticationFailed):  # before any proof was computed, nothing verifies
        ours.verify(b"v=")
    ours.final(SERVER_FIRST)
    with pytest.raises(AuthenticationFailed):
        ours.verify(SERVER_FINAL.replace(b"v=6rr", b"v=7rr"))


def test_a_server_without_a_known_mechanism_is_left() -> None:
    with pytest.raises(AuthenticationFailed, match="SCRAM-SHA-1"):
        client().first(("SCRAM-SHA-1",))
