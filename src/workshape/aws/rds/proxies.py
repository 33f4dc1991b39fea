"""The operations on proxies. Each method's page is https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_NAME.html"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from workshape.aws.members import given, read_tags, when
from workshape.aws.operation import Call, Operation
from workshape.aws.rds.requests import described
from workshape.proxies.changes import check_auth, check_idle_client, check_name
from workshape.proxies.model import SCRAM, DbProxy, InvalidValue, UserAuth
from workshape.proxies.registry import Proxies

ENGINE = "POSTGRESQL"
IPV4 = "IPV4"
NONE = "NONE"
_NETWORK_TYPES = ("EndpointNetworkType", "TargetConnectionNetworkType")


def proxy_operations(proxies: Proxies) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ProxyOperations(proxies)
    return {
        "CreateDBProxy": operations.create,
        "DescribeDBProxies": operations.describe,
        "ModifyDBProxy": operations.modify,
        "DeleteDBProxy": operations.delete,
    }


def check_network(parameters: dict[str, Any]) -> None:
    """Check the kind of network that is asked for. Raises InvalidValue: it is not there."""
    for member in _NETWORK_TYPES:
        wanted = parameters.get(member, IPV4)
        if wanted != IPV4:
            raise InvalidValue(
                reason=f"{member} {wanted} isn't possible here: proxies listen on loopback, {IPV4} only."
            )


class _ProxyOperations:
    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        engine = parameters["EngineFamily"]
        if engine != ENGINE:
            raise InvalidValue(reason=f"EngineFamily {engine} isn't possible here: the proxy speaks {ENGINE} only.")
        check_network(parameters)
        auth = _read_auth(parameters.get("Auth", ()))
        check_auth(auth, parameters.get("DefaultAuthScheme", NONE))
        idle_client_timeout_s = parameters.get("IdleClientTimeout", 1_800)
        check_idle_client(idle_client_timeout_s)
        wanted = DbProxy(
            name=parameters["DBProxyName"],
            auth=auth,
            role_arn=parameters["RoleArn"],
            subnet_ids=tuple(parameters["VpcSubnetIds"]),
            security_group_ids=tuple(parameters.get("VpcSecurityGroupIds", ())),
            require_tls=parameters.get("RequireTLS", False),
            idle_client_timeout_s=idle_client_timeout_s,
            debug_logging=parameters.get("DebugLogging", False),
            tags=read_tags(parameters.get("Tags", ())),
        )
        return {"DBProxy": self._written(self._proxies.create(wanted))}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters.get("DBProxyName")
        found = self._proxies.all() if name is None else [self._proxies.get(name)]
        return described(parameters, "DBProxies", found, self._written)

    async def modify(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        proxy = self._proxies.get(parameters["DBProxyName"])
        if "Auth" in parameters or "DefaultAuthScheme" in parameters:
            auth = _read_auth(parameters["Auth"]) if "Auth" in parameters else proxy.auth
            check_auth(auth, parameters.get("DefaultAuthScheme", NONE))
            proxy = replace(proxy, auth=auth)
        if "IdleClientTimeout" in parameters:
            check_idle_client(parameters["IdleClientTimeout"])
        changed = replace(
            proxy,
            name=check_name("NewDBProxyName", parameters.get("NewDBProxyName", proxy.name)),
            require_tls=parameters.get("RequireTLS", proxy.require_tls),
            idle_client_timeout_s=parameters.get("IdleClientTimeout", proxy.idle_client_timeout_s),
            debug_logging=parameters.get("DebugLogging", proxy.debug_logging),
            role_arn=parameters.get("RoleArn", proxy.role_arn),
            security_group_ids=tuple(parameters.get("SecurityGroups", proxy.security_group_ids)),
        )
        return {"DBProxy": self._written(self._proxies.modify(changed))}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"DBProxy": self._written(self._proxies.delete(parameters["DBProxyName"]))}

    def _written(self, proxy: DbProxy) -> dict[str, Any]:
        return {
            "DBProxyName": proxy.name,
            "DBProxyArn": proxy.arn,
            "Status": self._proxies.status(proxy),
            "EngineFamily": ENGINE,
            "VpcSecurityGroupIds": list(proxy.security_group_ids),
            "VpcSubnetIds": list(proxy.subnet_ids),
            "DefaultAuthScheme": NONE,
            "Auth": [_written_auth(one) for one in proxy.auth],
            "RoleArn": proxy.role_arn,
            "Endpoint": proxy.endpoints[0].address,
            "RequireTLS": proxy.require_tls,
            "IdleClientTimeout": proxy.idle_client_timeout_s,
            "DebugLogging": proxy.debug_logging,
            "CreatedDate": when(proxy.created_at),
            "UpdatedDate": when(proxy.updated_at),
            "EndpointNetworkType": IPV4,
            "TargetConnectionNetworkType": IPV4,
        }


def _read_auth(members: Any) -> tuple[UserAuth, ...]:
    return tuple(
        UserAuth(
            secret_arn=one.get("SecretArn", ""),
            user_name=one.get("UserName", ""),
            description=one.get("Description", ""),
            iam=one.get("IAMAuth", "DISABLED"),
            password_type=one.get("ClientPasswordAuthType", SCRAM),
        )
        for one in members
    )


def _written_auth(auth: UserAuth) -> dict[str, Any]:
    return {
        "AuthScheme": "SECRETS",
        "SecretArn": auth.secret_arn,
        "IAMAuth": auth.iam,
        "ClientPasswordAuthType": auth.password_type,
        **given(Description=auth.description, UserName=auth.user_name),
    }
