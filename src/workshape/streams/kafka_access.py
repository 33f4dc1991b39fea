"""Lets aiokafka into a cluster: the settings of its clients, and why its servers refuse.

Source: https://aiokafka.readthedocs.io/en/stable/consumer.html (security_protocol, ssl_context, sasl_...)
Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-troubleshoot.html (what each refusal means)
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from workshape.streams.access import (
    AccessRefused,
    ClientRefused,
    ClusterAccess,
    LoginRefused,
    NotAuthorized,
    ServerRefused,
    TlsRefused,
)
from workshape.streams.kafka_tls import tls_context

ASK_S_MAX = 5.0  # of each server, for the reason of a refusal
ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")
"""What is in the names of alerts by which a server tells that it does not take its client's certificate, or misses it;
the last is that of TLS 1.2 for none.

Source: https://www.rfc-editor.org/rfc/rfc8446#section-6.2, https://www.rfc-editor.org/rfc/rfc5246#section-7.4.6
"""

# It logs what it sends, passwords included, and who has logged in.
logging.getLogger("aiokafka.conn").setLevel(logging.WARNING)


async def client_settings(access: ClusterAccess) -> dict[str, Any]:
    """Say how a client of aiokafka is let in.

    Raises:
        CertificateUnusable: a certificate or a private key cannot be used.
    """
    if not access.is_encrypted:
        return {}
    context = await asyncio.to_thread(tls_context, access)
    if access.login is None:
        return {"security_protocol": "SSL", "ssl_context": context}
    return {
        "security_protocol": "SASL_SSL",
        "ssl_context": context,
        "sasl_mechanism": access.login.mechanism.value,
        "sasl_plain_username": access.login.username,
        "sasl_plain_password": access.login.password,
    }


async def ask_refusal(servers: Sequence[str], topic: str, settings: Mapping[str, Any]) -> AccessRefused | None:
    """Ask the servers why a client is not let in, or sees no such topic: aiokafka keeps that to itself.

    None: that is not the reason.
    """
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            async with asyncio.timeout(ASK_S_MAX):
                return await _ask(host.strip("[]"), int(port), topic, settings)
        except (KafkaError, OSError, TimeoutError) as error:  # of TLS, too
            if (found := refusal(error)) is not None:
                return found
            if settings and isinstance(error, ConnectionResetError | ssl.SSLError):
                return TlsRefused(servers=server, reason=str(error) or type(error).__name__)
    return None


def refusal(error: BaseException | None) -> AccessRefused | None:
    """Tell which refusal is behind an error; None if none is."""
    while error is not None:
        match error:
            case ssl.SSLCertVerificationError():
                return ServerRefused(reason=error.verify_message)
            case ssl.SSLError(reason=str(reason)) if "ALERT" in reason and any(alert in reason for alert in ALERTS):
                return ClientRefused(reason=reason)
            case SaslAuthenticationFailed() | UnsupportedSaslMechanismError() | IllegalSaslStateError():
                return LoginRefused(reason=str(error))
            case TopicAuthorizationFailedError() | GroupAuthorizationFailedError() | ClusterAuthorizationFailedError():
                return NotAuthorized(reason=str(error))
        error = error.__cause__
    return None


async def _ask(host: str, port: int, topic: str, settings: Mapping[str, Any]) -> AccessRefused | None:
    connection = await create_conn(host, port, client_id="workshape", **settings)
    try:
        answer = await connection.send(MetadataRequest([topic], allow_auto_topic_creation=False))
    except KafkaConnectionError as error:
        found = refusal(error)
        if found is None and settings.get("security_protocol") == "SSL":
            # A listener that wants a log-in, and gets another request, hangs up.
            return ClientRefused(reason=str(error))
        return found
    finally:
        connection.close()
    codes = [each["error_code"] for each in answer.to_object()["topics"]]
    return next((found for code in codes if (found := refusal(for_code(code)())) is not None), None)
