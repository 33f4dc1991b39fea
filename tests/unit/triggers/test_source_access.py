"""How a mapping's topic is reached: what Lambda accepts, and what secrets must hold.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html
"""

import json
from typing import Any

import pytest

from workshape.streams.access import (
    AccessRefused,
    CertificateUnusable,
    ClientCertificate,
    ClientRefused,
    ClusterAccess,
    Login,
    LoginRefused,
    NotAuthorized,
    SaslMechanism,
    ServerRefused,
)
from workshape.streams.model import ClusterUnavailable
from workshape.triggers.model import AccessKind, MappingInvalid, SourceAccess, StateReason
from workshape.triggers.source_access import SecretUnusable, check_access, read_access, state_reason

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
NETWORK = (
    SourceAccess(AccessKind.VPC_SUBNET, "subnet:subnet-1"),
    SourceAccess(AccessKind.VPC_SECURITY_GROUP, "security_group:sg-1"),
)


def access(kind: AccessKind, name: str = "login") -> SourceAccess:
    return SourceAccess(kind, ARN + name)


def read(text: str, *kinds: AccessKind) -> ClusterAccess:
    """Read what secrets that all hold the same come to."""
    return read_access([*map(access, kinds), *NETWORK], lambda _arn: text)


@pytest.mark.parametrize(
    ("kind", "mechanism"),
    [
        (AccessKind.BASIC_AUTH, SaslMechanism.PLAIN),
        (AccessKind.SASL_SCRAM_256_AUTH, SaslMechanism.SCRAM_SHA_256),
        (AccessKind.SASL_SCRAM_512_AUTH, SaslMechanism.SCRAM_SHA_512),
    ],
)
def test_each_kind_of_log_in_has_its_mechanism(kind: AccessKind, mechanism: SaslMechanism) -> None:
    found = read('{"username": "alice", "password": "p"}', kind)

    assert found == ClusterAccess(Login(mechanism, "alice", "p"))
    assert found.is_encrypted


def test_certificates_may_have_their_lines_as_they_are() -> None:
    text = '{"privateKeyPassword":"p",\n"certificate":"-----BEGIN\nAB\n-----END",\n"privateKey":"-----KEY\nCD"\n}'

    found = read(text, AccessKind.CLIENT_CERTIFICATE_TLS_AUTH, AccessKind.SERVER_ROOT_CA_CERTIFICATE)

    assert found.certificate == ClientCertificate("-----BEGIN\nAB\n-----END", "-----KEY\nCD", "p")
    assert (found.server_ca, found.login) == ("-----BEGIN\nAB\n-----END", None)


def test_each_secret_is_read_by_its_own_arn() -> None:
    held = {
        f"{ARN}login": '{"username": "alice", "password": "p"}',
        f"{ARN}authority": '{"certificate": "C"}',
    }
    configured = [access(AccessKind.BASIC_AUTH), access(AccessKind.SERVER_ROOT_CA_CERTIFICATE, "authority")]

    found = read_access(configured, held.__getitem__)

    assert found == ClusterAccess(Login(SaslMechanism.PLAIN, "alice", "p"), None, "C")


def test_a_network_alone_asks_for_nothing() -> None:
    def read_secret(arn: str) -> str:
        raise AssertionError(arn)

    assert not read_access(NETWORK, read_secret).is_encrypted


@pytest.mark.parametrize(
    ("kind", "text", "missing"),
    [
        (AccessKind.BASIC_AUTH, "alice:p4ssw0rd", "no JSON object"),
        (AccessKind.BASIC_AUTH, '["alice", "p4ssw0rd"]', "no JSON object"),
        (AccessKind.BASIC_AUTH, '{"username": "alice", "Password": "p4ssw0rd"}', '"password"'),
        (AccessKind.BASIC_AUTH, '{"username": "", "password": "p4ssw0rd"}', '"username"'),
        (AccessKind.SASL_SCRAM_256_AUTH, '{"username": ["alice"], "password": "p4ssw0rd"}', '"username"'),
        (AccessKind.CLIENT_CERTIFICATE_TLS_AUTH, '{"certificate": "alice p4ssw0rd"}', '"privateKey"'),
        (
            AccessKind.CLIENT_CERTIFICATE_TLS_AUTH,
            '{"certificate": "alice", "privateKey": "p4ssw0rd", "privateKeyPassword": 7}',
            '"privateKeyPassword"',
        ),
        (AccessKind.SERVER_ROOT_CA_CERTIFICATE, '{"privateKey": "alice p4ssw0rd"}', '"certificate"'),
    ],
)
def test_a_secret_of_another_form_is_named_and_not_shown(kind: AccessKind, text: str, missing: str) -> None:
    with pytest.raises(SecretUnusable, match=missing) as raised:
        read(text, kind)

    assert f"{ARN}login" in str(raised.value)
    assert "alice" not in str(raised.value)
    assert "p4ssw0rd" not in f"{raised.value!r} {raised.value} {vars(raised.value)}"


def test_no_secret_is_shown_by_repr() -> None:
    login = Login(SaslMechanism.PLAIN, "alice", "p4ssw0rd")
    found = ClusterAccess(login, ClientCertificate("chain", "k3y", "ph4se"), "authority")

    assert not [word for word in ("alice", "p4ssw0rd", "chain", "k3y", "ph4se") if word in repr(found)]


@pytest.mark.parametrize(
    "configured",
    [
        [],
        [*NETWORK],
        [*NETWORK, *NETWORK, access(AccessKind.SERVER_ROOT_CA_CERTIFICATE)],
        [access(AccessKind.CLIENT_CERTIFICATE_TLS_AUTH), access(AccessKind.SERVER_ROOT_CA_CERTIFICATE)],
    ],
    ids=len,
)
def test_what_goes_together_is_accepted(configured: list[SourceAccess]) -> None:
    check_access(configured)


@pytest.mark.parametrize(
    ("configured", "named"),
    [
        ([access(AccessKind.BASIC_AUTH), access(AccessKind.SASL_SCRAM_512_AUTH)], "SASL_SCRAM_512_AUTH"),
        ([access(AccessKind.BASIC_AUTH), access(AccessKind.BASIC_AUTH)], "BASIC_AUTH, BASIC_AUTH"),
        (
            [access(AccessKind.CLIENT_CERTIFICATE_TLS_AUTH), access(AccessKind.BASIC_AUTH)],
            "CLIENT_CERTIFICATE_TLS_AUTH",
        ),
        ([access(AccessKind.SERVER_ROOT_CA_CERTIFICATE)] * 2, "SERVER_ROOT_CA_CERTIFICATE more than once"),
        ([SourceAccess(AccessKind.BASIC_AUTH, "")], "URI of BASIC_AUTH"),
        ([SourceAccess(AccessKind.VPC_SUBNET, "")], "URI of VPC_SUBNET"),
        ([SourceAccess(AccessKind.BASIC_AUTH, "login")], "ARN"),
        ([SourceAccess(AccessKind.BASIC_AUTH, "arn:aws:ssm:us-east-1:123456789012:parameter/login")], "ARN"),
    ],
)
def test_what_cannot_be_meant_is_refused(configured: list[SourceAccess], named: str) -> None:
    with pytest.raises(MappingInvalid, match=named):
        check_access(configured)


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (LoginRefused, "SASL authentication failed", "EVENT_SOURCE_AUTHN_ERROR"),
        (ClientRefused, "Server failed to authenticate Lambda", "EVENT_SOURCE_AUTHN_ERROR"),
        (ServerRefused, "Lambda failed to authenticate server", "EVENT_SOURCE_AUTHN_ERROR"),
        (NotAuthorized, "Cluster failed to authorize Lambda", "EVENT_SOURCE_AUTHZ_ERROR"),
        (CertificateUnusable, "Provided certificate or private key is invalid", "ESM_CONFIG_NOT_VALID"),
    ],
)
def test_refusals_are_told_in_lambdas_words(error: type[AccessRefused], words: str, code: str) -> None:
    made = error(reason="for the log")

    assert (str(made), state_reason(made)) == (words, code)


def test_other_failures_are_no_reason_of_a_state() -> None:
    errors: list[Any] = [ClusterUnavailable(servers="here", reason="away"), None]

    assert {state_reason(error) for error in errors} == {StateReason.USER_INITIATED}
    assert state_reason(SecretUnusable(secret=ARN, reason=json.dumps({}))) is StateReason.ESM_CONFIG_NOT_VALID
