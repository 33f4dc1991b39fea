"""Kafka over TLS, on a real broker: users and certificates out of Secrets Manager, and what refuses them.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-troubleshoot.html
"""

import asyncio
import json
import logging
from base64 import b64decode
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes.certificate_authority import CertificateAuthority
from tests.fakes.live_engine import SHOW, LiveEngine, live_engine
from tests.integration.streams.conftest import ALICE, BOB, CLIENT, USERS, Cluster
from workshape.streams.access import (
    AccessRefused,
    ClientCertificate,
    ClientRefused,
    ClusterAccess,
    Login,
    LoginRefused,
    NotAuthorized,
    SaslMechanism,
    ServerRefused,
    TlsRefused,
)
from workshape.streams.model import KafkaTopic, StartingPosition

REFUSED_S_MAX = 20.0
TOPIC_RESOURCE, LITERAL, READ, ALLOW = 2, 3, 3, 3
"""Of an access control list: https://kafka.apache.org/41/protocol.html#The_Messages_CreateAcls"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    with live_engine(tmp_path_factory.mktemp("secured")) as engine:
        yield engine


@pytest.fixture
def other(tmp_path: Path) -> CertificateAuthority:
    """An authority that nobody trusts."""
    return CertificateAuthority(tmp_path / "other", "another authority")


def keep(engine: LiveEngine, **fields: str) -> str:
    """Keep a secret, and return its ARN."""
    made = engine.client("secretsmanager").create_secret(Name=uuid4().hex, SecretString=json.dumps(fields))
    return str(made["ARN"])


def keep_ca(engine: LiveEngine, authority: CertificateAuthority) -> dict[str, str]:
    return {"Type": "SERVER_ROOT_CA_CERTIFICATE", "URI": keep(engine, certificate=authority.file.read_text())}


def map_topic(engine: LiveEngine, cluster: Cluster, address: str, *access: dict[str, str]) -> tuple[str, str]:
    """Map a new topic with one record in it to a new function; return the mapping's id, and the function's name."""
    topic, name = asyncio.run(cluster.create_topic()), f"shows-{uuid4().hex[:8]}"
    asyncio.run(cluster.write(topic, "secured"))
    engine.create_function(name, SHOW)
    mapping = engine.client("lambda").create_event_source_mapping(
        FunctionName=name,
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [address]}},
        Topics=[topic],
        StartingPosition="TRIM_HORIZON",
        SourceAccessConfigurations=list(access),
    )
    return mapping["UUID"], name


def shown(engine: LiveEngine, mapping: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.client("lambda").get_event_source_mapping(UUID=mapping)
    return found


def problem(engine: LiveEngine, mapping: str) -> tuple[str, str, str]:
    """Wait until a mapping says what keeps it from polling: its result, its reason and its state."""
    engine.wait_until(lambda: shown(engine, mapping)["LastProcessingResult"].startswith("PROBLEM"))
    found = shown(engine, mapping)
    return found["LastProcessingResult"], found["StateTransitionReason"], found["State"]


def values(event: Any) -> list[bytes]:
    return [b64decode(record["value"]) for records in event["records"].values() for record in records]


@pytest.mark.parametrize("kind", ["BASIC_AUTH", "SASL_SCRAM_256_AUTH", "SASL_SCRAM_512_AUTH"])
def test_a_user_of_a_secret_is_let_in(
    cluster: Cluster, authority: CertificateAuthority, engine: LiveEngine, kind: str
) -> None:
    login = {"Type": kind, "URI": keep(engine, username=ALICE, password=USERS[ALICE])}
    network = [{"Type": "VPC_SUBNET", "URI": "subnet:subnet-0011001100"}]
    network += [{"Type": "VPC_SECURITY_GROUP", "URI": "security_group:sg-0123456789"}]
    access = [login, keep_ca(engine, authority), *network]

    mapping, function = map_topic(engine, cluster, cluster.sasl_address, *access)
    (event,) = engine.events(function)
    engine.wait_until(lambda: shown(engine, mapping)["LastProcessingResult"] == "OK")
    found = shown(engine, mapping)
    engine.client("lambda").delete_event_source_mapping(UUID=mapping)

    assert values(event) == [b"secured"]
    assert found["SourceAccessConfigurations"] == access
    assert (found["State"], found["StateTransitionReason"]) == ("Enabled", "USER_INITIATED")


def test_a_client_certificate_of_a_secret_is_let_in(
    cluster: Cluster, authority: CertificateAuthority, engine: LiveEngine
) -> None:
    files = authority.issue(CLIENT)
    secret = keep(engine, certificate=files.certificate.read_text(), privateKey=files.key.read_text())
    certificate = {"Type": "CLIENT_CERTIFICATE_TLS_AUTH", "URI": secret}

    mapping, function = map_topic(engine, cluster, cluster.mtls_address, certificate, keep_ca(engine, authority))
    (event,) = engine.events(function)
    engine.client("lambda").delete_event_source_mapping(UUID=mapping)

    assert values(event) == [b"secured"]


def test_a_password_that_was_refused_is_read_again(
    cluster: Cluster, authority: CertificateAuthority, engine: LiveEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = keep(engine, username=ALICE, password="wrong-password")
    access = ({"Type": "SASL_SCRAM_512_AUTH", "URI": secret}, keep_ca(engine, authority))

    mapping, function = map_topic(engine, cluster, cluster.sasl_address, *access)
    before = problem(engine, mapping)
    right = json.dumps({"username": ALICE, "password": USERS[ALICE]})
    engine.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=right)
    (event,) = engine.events(function)
    engine.wait_until(lambda: shown(engine, mapping)["StateTransitionReason"] == "USER_INITIATED")
    after = shown(engine, mapping)
    engine.client("lambda").delete_event_source_mapping(UUID=mapping)

    assert before == ("PROBLEM: SASL authentication failed", "EVENT_SOURCE_AUTHN_ERROR", "Enabled")
    assert values(event) == [b"secured"]
    assert after["LastProcessingResult"] == "OK"
    assert "mapping_refused" in caplog.text
    logged = "\n".join(str(vars(record)) for record in caplog.records if not record.name.startswith("boto"))
    assert not [word for word in ("wrong-password", USERS[ALICE], ALICE) if word in logged]


def test_a_broker_of_an_unknown_authority_is_not_trusted(
    cluster: Cluster, authority: CertificateAuthority, other: CertificateAuthority, engine: LiveEngine
) -> None:
    login = {"Type": "BASIC_AUTH", "URI": keep(engine, username=ALICE, password=USERS[ALICE])}

    mapping, function = map_topic(engine, cluster, cluster.sasl_address, login, keep_ca(engine, other))
    unknown = problem(engine, mapping)
    engine.client("lambda").update_event_source_mapping(
        UUID=mapping, SourceAccessConfigurations=[login, keep_ca(engine, authority)]
    )
    (event,) = engine.events(function)
    engine.client("lambda").delete_event_source_mapping(UUID=mapping)

    assert unknown == ("PROBLEM: Lambda failed to authenticate server", "EVENT_SOURCE_AUTHN_ERROR", "Enabled")
    assert values(event) == [b"secured"]


def test_a_secret_that_cannot_be_used_is_named(cluster: Cluster, engine: LiveEngine) -> None:
    missing = "arn:aws:secretsmanager:us-east-1:123456789012:secret:missing-AbCdEf"
    incomplete = keep(engine, username=ALICE)
    invalid = keep(engine, certificate="no certificate", privateKey="no key")
    unusable = "The secret {} cannot be used: {}"
    said = {
        ("BASIC_AUTH", missing): unusable.format(missing, "Secrets Manager can't find the specified secret."),
        ("BASIC_AUTH", incomplete): unusable.format(incomplete, 'it has no text "password"'),
        ("CLIENT_CERTIFICATE_TLS_AUTH", invalid): "Provided certificate or private key is invalid",
    }

    for (kind, secret), words in said.items():
        mapping, _ = map_topic(engine, cluster, cluster.mtls_address, {"Type": kind, "URI": secret})
        told = problem(engine, mapping)
        engine.client("lambda").delete_event_source_mapping(UUID=mapping)

        assert told == (f"PROBLEM: {words}", "ESM_CONFIG_NOT_VALID", "Enabled")


def test_a_failed_record_is_delivered_to_a_topic_of_the_secured_cluster(
    cluster: Cluster, authority: CertificateAuthority
) -> None:
    topic = asyncio.run(cluster.create_topic())
    access = as_user(authority, ALICE)

    async def produce() -> None:
        reader = make_reader(cluster.sasl_address, topic, access)
        try:
            await reader.start()
            await reader.produce(topic, b"k", b"failed")
        finally:
            await reader.close()

    asyncio.run(produce())

    assert [record.value for record in asyncio.run(cluster.read(topic, 1))] == [b"failed"]


Access = Callable[[CertificateAuthority, CertificateAuthority], ClusterAccess]


def as_user(
    authority: CertificateAuthority, name: str, password: str = "", mechanism: SaslMechanism = SaslMechanism.PLAIN
) -> ClusterAccess:
    return ClusterAccess(Login(mechanism, name, password or USERS[name]), None, authority.file.read_text())


def as_client(authority: CertificateAuthority, issuer: CertificateAuthority) -> ClusterAccess:
    files = issuer.issue(CLIENT)
    certificate = ClientCertificate(files.certificate.read_text(), files.key.read_text())
    return ClusterAccess(None, certificate, authority.file.read_text())


def make_reader(address: str, topic: str, access: ClusterAccess) -> Any:
    described = KafkaTopic((address,), topic, uuid4().hex, StartingPosition.TRIM_HORIZON)
    return import_module("workshape.streams.kafka_reader").KafkaReader(described, access)


async def refused(address: str, topic: str, access: ClusterAccess) -> None:
    """Begin to read."""
    reader = make_reader(address, topic, access)
    try:
        async with asyncio.timeout(REFUSED_S_MAX):
            await reader.start()
            await reader.assignment(0)
    finally:
        await reader.close()


@pytest.mark.parametrize(
    ("listener", "access", "error"),
    [
        ("sasl", lambda own, _: as_user(own, ALICE, "wrong"), LoginRefused),
        ("sasl", lambda own, _: as_user(own, ALICE, "wrong", SaslMechanism.SCRAM_SHA_256), LoginRefused),
        ("sasl", lambda _, other: as_user(other, ALICE), ServerRefused),
        ("sasl", lambda own, _: ClusterAccess(as_user(own, ALICE).login), ServerRefused),
        ("named", lambda own, _: as_user(own, ALICE), ServerRefused),
        ("mtls", lambda own, other: as_client(own, other), ClientRefused),
        ("mtls", lambda own, _: ClusterAccess(server_ca=own.file.read_text()), ClientRefused),
        ("sasl", lambda own, _: as_client(own, own), ClientRefused),
        ("plain", lambda own, _: as_user(own, ALICE), TlsRefused),
        ("sasl", lambda own, _: as_user(own, BOB), NotAuthorized),
    ],
    ids=[
        "password",
        "password of SCRAM",
        "authority",
        "no authority",
        "host name",
        "client's authority",
        "no client certificate",
        "client certificate for a log-in",
        "no TLS",
        "no permission",
    ],
)
async def test_a_refusal_is_told_from_others(
    cluster: Cluster,
    topic: str,
    authority: CertificateAuthority,
    other: CertificateAuthority,
    listener: str,
    access: Access,
    error: type[AccessRefused],
) -> None:
    addresses = {
        "plain": cluster.address,
        "sasl": cluster.sasl_address,
        "mtls": cluster.mtls_address,
        "named": cluster.sasl_address.replace("127.0.0.1", "localhost"),
    }

    with pytest.raises(error):
        await refused(addresses[listener], topic, access(authority, other))


async def test_a_group_that_lets_nobody_in_is_noticed(
    cluster: Cluster, topic: str, authority: CertificateAuthority
) -> None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.protocol.admin import CreateAclsRequest

    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.address)
    await admin.start()
    try:
        allow = CreateAclsRequest(TOPIC_RESOURCE, topic, LITERAL, f"User:{BOB}", "*", READ, ALLOW)
        answer = await admin._send_request(allow)
        assert [code for code, *_ in answer.creation_responses] == [0]
    finally:
        await admin.close()

    with pytest.raises(NotAuthorized):
        await refused(cluster.sasl_address, topic, as_user(authority, BOB))
