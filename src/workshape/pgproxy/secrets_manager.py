"""Reads passwords from Secrets Manager, through its API, with what the proxy has loaded anyway: no SDK.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html,
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html (username, password)
"""

import ssl
import time
from urllib.parse import urlsplit

import httptools
import msgspec

from workshape.errors import BackendUnavailable, Invalid, NotFound, PlatformError
from workshape.http1.client import HttpClient
from workshape.http1.message import Request, Response
from workshape.pgproxy.accounts import SecretValue
from workshape.pgproxy.config import AwsAccess
from workshape.sigv4 import sign

SERVICE = "secretsmanager"
ANSWER_S_MAX = 5.0
PORTS = {"http": 80, "https": 443}
MISSING = "ResourceNotFoundException"


class SecretUnreadable(PlatformError):
    """Secrets Manager did not tell {secret}: {reason}"""

    secret: str
    reason: str


class _Answer(msgspec.Struct, frozen=True):
    secret: str = msgspec.field(default="", name="SecretString")


class _Fault(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(default="", name="__type")
    message: str = ""
    other_message: str = msgspec.field(default="", name="Message")


class _Credentials(msgspec.Struct, frozen=True):
    password: str
    username: str = ""


class SecretsManager:
    """Asks over kept connections."""

    def __init__(self) -> None:
        self._clients: dict[str, HttpClient] = {}

    def __repr__(self) -> str:
        return f"<SecretsManager {sorted(self._clients)}>"

    async def read(self, aws: AwsAccess, name: str) -> SecretValue:
        """Read the user and the password that a secret holds, by its name or ARN.

        Raises:
            Invalid: the endpoint is no URL, or the secret is of another form. NotFound: there is no such secret.
            BackendUnavailable: nobody answers. SecretUnreadable: somebody does, with something else.
        """
        request = sign(_request(aws, name), aws.keys, aws.region, SERVICE, time.time())
        try:
            answer = await self._client(aws.secrets_endpoint).send(request, ANSWER_S_MAX)
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reason = str(error) or type(error).__name__
            raise BackendUnavailable(backend="Secrets Manager", address=aws.secrets_endpoint, reason=reason) from error
        body = answer.body if isinstance(answer.body, bytes) else b""
        if answer.status != 200:
            raise _fault(name, answer, body)
        try:
            found = msgspec.json.decode(msgspec.json.decode(body, type=_Answer).secret, type=_Credentials)
        except msgspec.DecodeError as error:
            wanted = 'JSON with "username" and "password"'
            raise Invalid(reason=f"secret {name} is not what a proxy can use, {wanted}: {error}") from error
        return SecretValue(found.username, found.password)

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    def _client(self, endpoint: str) -> HttpClient:
        known = self._clients.get(endpoint)
        if known is not None:
            return known
        url = urlsplit(endpoint)
        if url.scheme not in PORTS or not url.hostname:
            raise Invalid(
                reason=f"{endpoint!r} is not the address of Secrets Manager: http://host:port or https://host"
            )
        tls = ssl.create_default_context() if url.scheme == "https" else None
        client = self._clients[endpoint] = HttpClient(url.hostname, url.port or PORTS[url.scheme], tls)
        return client


def _request(aws: AwsAccess, name: str) -> Request:
    headers = (
        ("host", urlsplit(aws.secrets_endpoint).netloc),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.GetSecretValue"),
    )
    return Request("POST", "/", headers, msgspec.json.encode({"SecretId": name}))


def _fault(name: str, answer: Response, body: bytes) -> NotFound | SecretUnreadable:
    try:
        fault = msgspec.json.decode(body, type=_Fault)
    except msgspec.DecodeError:
        fault = _Fault()
    kind = fault.kind.rpartition("#")[2] or f"status {answer.status}"
    if kind == MISSING:
        return NotFound(kind="secret", name=name)
    return SecretUnreadable(secret=name, reason=f"{kind}: {fault.message or fault.other_message}".rstrip(": "))
