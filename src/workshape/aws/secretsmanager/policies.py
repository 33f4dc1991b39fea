"""The operations on secrets' resource policies, which are kept and shown: nothing evaluates them.

Each method's page is https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from workshape.aws.members import given
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.aws.secretsmanager.members import named, refuse
from workshape.secrets.model import InvalidParameter, MalformedPolicy, PolicyNotFound
from workshape.secrets.registry import Secrets

DEFAULT_POLICY = "default"
POLICIES_PER_PAGE = 100


def policy_operations(secrets: Secrets) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _PolicyOperations(secrets)
    return {
        "GetResourcePolicy": operations.get,
        "PutResourcePolicy": operations.put,
        "DeleteResourcePolicy": operations.delete,
        "ListResourcePolicies": operations.list_names,
    }


class _PolicyOperations:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret, name = self._secrets.usable(parameters["SecretId"]), _name(parameters)
        if name != DEFAULT_POLICY:
            raise PolicyNotFound(kind="policy", name=name)
        return named(secret, **given(ResourcePolicy=secret.policy, PolicyName=secret.policy and name))

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse(parameters, "policies are kept and shown, and nothing evaluates them", "BlockPublicPolicy")
        secret, policy = self._secrets.usable(parameters["SecretId"]), parameters["ResourcePolicy"]
        _check_default(parameters)
        try:
            msgspec.json.decode(policy, type=_Policy)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise MalformedPolicy(reason=str(error)) from error
        return named(self._secrets.change(replace(secret, policy=policy)), PolicyName=DEFAULT_POLICY)

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        secret = self._secrets.usable(parameters["SecretId"])
        _check_default(parameters)
        return named(self._secrets.change(replace(secret, policy="")), PolicyName=DEFAULT_POLICY)

    async def list_names(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        names = [DEFAULT_POLICY] if self._secrets.usable(parameters["SecretId"]).policy else []
        size = parameters.get("MaxResults", POLICIES_PER_PAGE)
        return page(parameters, "ResourcePolicies", names, lambda name: {"PolicyName": name}, size=size)


class _Statement(msgspec.Struct, rename="pascal"):
    effect: str


class _Policy(msgspec.Struct, rename="pascal"):
    statement: list[_Statement] | _Statement


def _name(parameters: dict[str, Any]) -> str:
    return str(parameters.get("PolicyName", DEFAULT_POLICY))


def _check_default(parameters: dict[str, Any]) -> None:
    if _name(parameters) != DEFAULT_POLICY:
        raise InvalidParameter(reason=f"The policy that can be changed is {DEFAULT_POLICY}.")
