"""How a mapping's topic is reached: what Lambda accepts, what secrets must hold, what a refusal means. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html
Source: https://docs.aws.amazon.com/lambda/latest/api/API_SourceAccessConfiguration.html
Source: https://docs.aws.amazon.com/msk/latest/developerguide/msk-password-tutorial.html (username and password)
"""

import json
from collections.abc import Callable, Mapping, Sequence

from workshape.arn import parse_arn
from workshape.errors import Invalid
from workshape.streams.access import (
    AccessRefused,
    CertificateUnusable,
    ClientCertificate,
    ClusterAccess,
    Login,
    NotAuthorized,
    SaslMechanism,
)
from workshape.triggers.model import AccessKind, MappingInvalid, SourceAccess, StateReason

MECHANISMS = {
    AccessKind.BASIC_AUTH: SaslMechanism.PLAIN,
    AccessKind.SASL_SCRAM_256_AUTH: SaslMechanism.SCRAM_SHA_256,
    AccessKind.SASL_SCRAM_512_AUTH: SaslMechanism.SCRAM_SHA_512,
}
AUTHENTICATION = (*MECHANISMS, AccessKind.CLIENT_CERTIFICATE_TLS_AUTH)
OF_SECRETS = (*AUTHENTICATION, AccessKind.SERVER_ROOT_CA_CERTIFICATE)
CERTIFICATE, PRIVATE_KEY, PRIVATE_KEY_PASSWORD = "certificate", "privateKey", "privateKeyPassword"

ReadSecret = Callable[[str], str]
"""Return what the secret with an ARN holds, a text. Raises: SecretUnusable."""


class SecretUnusable(Invalid):
    """The secret {secret} cannot be used: {reason}"""

    # AWS: undocumented; we chose the words.

    secret: str


def check_access(access: Sequence[SourceAccess]) -> None:
    """Refuse what cannot be meant.

    Raises:
        MappingInvalid: two ways to authenticate, or a secret that is named by anything but its ARN.
    """
    # AWS: undocumented; we chose the words of all of these.
    ways = [each.kind for each in access if each.kind in AUTHENTICATION]
    if len(ways) > 1:
        named = ", ".join(ways)
        raise MappingInvalid(reason=f"SourceAccessConfigurations has more than one way to authenticate: {named}")
    if [each.kind for each in access].count(AccessKind.SERVER_ROOT_CA_CERTIFICATE) > 1:
        raise MappingInvalid(reason="SourceAccessConfigurations has SERVER_ROOT_CA_CERTIFICATE more than once")
    for each in access:
        if not each.uri:
            raise MappingInvalid(reason=f"SourceAccessConfigurations: the URI of {each.kind} is missing")
        if each.kind in OF_SECRETS and not _is_secret_arn(each.uri):
            reason = f"SourceAccessConfigurations: the URI of {each.kind} must be the ARN of a Secrets Manager secret"
            raise MappingInvalid(reason=reason)


def read_access(access: Sequence[SourceAccess], read_secret: ReadSecret) -> ClusterAccess:
    """Read the secrets that a mapping names. VPCs are AWS's: there is none here.

    Raises:
        SecretUnusable: a secret is not there, or does not hold what it should.
    """
    login, certificate, server_ca = None, None, None
    for each in access:
        if each.kind not in OF_SECRETS:
            continue
        fields = _fields(each.uri, read_secret)
        if each.kind in MECHANISMS:
            username, password = (_text(fields, name, each.uri) for name in ("username", "password"))
            login = Login(MECHANISMS[each.kind], username, password)
        elif each.kind is AccessKind.CLIENT_CERTIFICATE_TLS_AUTH:
            chain, key = (_text(fields, name, each.uri) for name in (CERTIFICATE, PRIVATE_KEY))
            key_password = _text(fields, PRIVATE_KEY_PASSWORD, each.uri) if fields.get(PRIVATE_KEY_PASSWORD) else None
            certificate = ClientCertificate(chain, key, key_password)
        else:
            server_ca = _text(fields, CERTIFICATE, each.uri)
    return ClusterAccess(login, certificate, server_ca)


def state_reason(error: BaseException | None) -> StateReason:
    """Tell what a mapping that cannot poll says of itself.

    AWS: the codes are documented, and so are the words of refusals, but not which go together; we chose.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-troubleshoot.html
    """
    match error:
        case SecretUnusable() | CertificateUnusable():
            return StateReason.ESM_CONFIG_NOT_VALID
        case NotAuthorized():
            return StateReason.EVENT_SOURCE_AUTHZ_ERROR
        case AccessRefused():
            return StateReason.EVENT_SOURCE_AUTHN_ERROR
        case _:
            return StateReason.USER_INITIATED


def _is_secret_arn(uri: str) -> bool:
    try:
        arn = parse_arn(uri)
    except Invalid:
        return False
    return arn.service == "secretsmanager" and arn.resource.startswith("secret:")


def _fields(secret: str, read_secret: ReadSecret) -> Mapping[str, object]:
    text = read_secret(secret)
    try:
        # Not strict: certificates may have their ends of lines as they are, as in AWS's examples.
        found = json.loads(text, strict=False)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SecretUnusable(secret=secret, reason="it holds no JSON object")
    return found


def _text(fields: Mapping[str, object], name: str, secret: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise SecretUnusable(secret=secret, reason=f'it has no text "{name}"')
    return value
