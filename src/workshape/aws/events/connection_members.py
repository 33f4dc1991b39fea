"""What connections authorize with, as requests have it, and what of it is shown.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateConnectionAuthRequestParameters.html
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ConnectionAuthResponseParameters.html
"""

from collections.abc import Iterable
from typing import Any

from workshape.aws.events.errors import InvalidParameter
from workshape.aws.members import given
from workshape.events.api_destinations.connection import (
    ApiKeyAuth,
    Auth,
    AuthorizationType,
    BasicAuth,
    Connection,
    ConnectionParameters,
    OAuth,
    Parameter,
    Secret,
)
from workshape.events.api_destinations.destination import check_endpoint
from workshape.events.model import NotBuilt

_BLOCKS = {
    AuthorizationType.BASIC: "BasicAuthParameters",
    AuthorizationType.API_KEY: "ApiKeyAuthParameters",
    AuthorizationType.OAUTH: "OAuthParameters",
}


def check_public(parameters: dict[str, Any]) -> None:
    """Refuse what is about private APIs; an empty ARN says that there is none. Raises: NotBuilt: there is."""
    inner = parameters.get("AuthParameters", {}).get("ConnectivityParameters", {})
    for connectivity in (parameters.get("InvocationConnectivityParameters", {}), inner):
        if connectivity.get("ResourceParameters", {}).get("ResourceConfigurationArn"):
            raise NotBuilt(
                feature="connections to private APIs", remedy="name an endpoint that can be reached from here"
            )


def auth_given(kind: AuthorizationType, members: dict[str, Any], old: Auth | None, *, is_new: bool) -> Auth | None:
    """Read what a connection of a type authorizes with; what is not given, stays as it was in `old`.

    Raises:
        InvalidParameter: `is_new`, and it is not there, or something of another type is; or a part is missing.
        InvalidEndpoint: tokens may not be asked for there.
    """
    block = _BLOCKS[kind]
    if is_new:
        for other in _BLOCKS.values():
            if (other in members) != (other == block):
                reason = f"with AuthorizationType {kind}, AuthParameters must have {block} and none of its like."
                raise InvalidParameter(parameter="AuthParameters", reason=reason)
    if block not in members:
        return old
    if kind is AuthorizationType.BASIC:
        return _basic(members[block], old if isinstance(old, BasicAuth) else None)
    if kind is AuthorizationType.API_KEY:
        return _api_key(members[block], old if isinstance(old, ApiKeyAuth) else None)
    return _oauth(members[block], old if isinstance(old, OAuth) else None)


def invocation_given(members: dict[str, Any]) -> ConnectionParameters:
    """Read what every request of a connection has."""
    return _parameters(members.get("InvocationHttpParameters", {}))


def shown_auth(connection: Connection) -> dict[str, Any]:
    """Write what a connection authorizes with, without the secrets."""
    return given(
        **_shown_auth(connection.auth),
        InvocationHttpParameters=_shown_parameters(connection.invocation),
    )


def _basic(members: dict[str, Any], old: BasicAuth | None) -> BasicAuth:
    was = {} if old is None else {"Username": old.username, "Password": old.password.value}
    both = {**was, **members}
    return BasicAuth(_needed(both, "Username"), Secret(_needed(both, "Password")))


def _api_key(members: dict[str, Any], old: ApiKeyAuth | None) -> ApiKeyAuth:
    was = {} if old is None else {"ApiKeyName": old.name, "ApiKeyValue": old.value.value}
    both = {**was, **members}
    return ApiKeyAuth(_needed(both, "ApiKeyName"), Secret(_needed(both, "ApiKeyValue")))


def _oauth(members: dict[str, Any], old: OAuth | None) -> OAuth:
    client, parameters = members.get("ClientParameters", {}), ConnectionParameters()
    if old is not None:
        client = {"ClientID": old.client_id, "ClientSecret": old.client_secret.value, **client}
        members = {"AuthorizationEndpoint": old.endpoint, "HttpMethod": old.method, **members}
        parameters = old.parameters
    if "OAuthHttpParameters" in members:
        parameters = _parameters(members["OAuthHttpParameters"])
    endpoint = _needed(members, "AuthorizationEndpoint")
    check_endpoint("AuthorizationEndpoint", endpoint)
    secret = Secret(_needed(client, "ClientSecret"))
    return OAuth(_needed(client, "ClientID"), secret, endpoint, _needed(members, "HttpMethod"), parameters)


def _needed(members: dict[str, Any], name: str) -> str:
    if name not in members:
        raise InvalidParameter(parameter=name, reason=f"{name} is required: the connection has none.")
    return str(members[name])


def _parameters(members: dict[str, Any]) -> ConnectionParameters:
    return ConnectionParameters(
        _read(members.get("HeaderParameters", ())),
        _read(members.get("QueryStringParameters", ())),
        _read(members.get("BodyParameters", ())),
    )


def _read(entries: Iterable[dict[str, Any]]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(entry["Key"], Secret(entry.get("Value", "")), entry.get("IsValueSecret", False))
        for entry in entries
        if "Key" in entry
    )


def _shown_auth(auth: Auth | None) -> dict[str, Any]:
    if isinstance(auth, BasicAuth):
        return {"BasicAuthParameters": {"Username": auth.username}}
    if isinstance(auth, ApiKeyAuth):
        return {"ApiKeyAuthParameters": {"ApiKeyName": auth.name}}
    if auth is None:
        return {}
    shown = {
        "ClientParameters": {"ClientID": auth.client_id},
        "AuthorizationEndpoint": auth.endpoint,
        "HttpMethod": auth.method,
        **given(OAuthHttpParameters=_shown_parameters(auth.parameters)),
    }
    return {"OAuthParameters": shown}


def _shown_parameters(parameters: ConnectionParameters) -> dict[str, Any]:
    return given(
        HeaderParameters=_shown(parameters.headers),
        QueryStringParameters=_shown(parameters.query),
        BodyParameters=_shown(parameters.body),
    )


def _shown(parameters: Iterable[Parameter]) -> list[dict[str, Any]]:
    """Secret values are left out. AWS: undocumented how it hides them."""
    return [
        {"Key": one.key, "IsValueSecret": one.is_secret, **({} if one.is_secret else {"Value": one.value.value})}
        for one in parameters
    ]
