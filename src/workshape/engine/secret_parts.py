"""The secrets of Secrets Manager, and whoever looks after them and rotates them."""

from contextlib import suppress
from dataclasses import dataclass

from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.errors import Denied, WorkshapeError
from workshape.functions.function_state import FunctionNotActive
from workshape.functions.model import LATEST, InvocationRequest
from workshape.functions.policy import lets_invoke
from workshape.secrets.registry import Secrets
from workshape.secrets.rotator import Rotator

SERVICE = "secretsmanager.amazonaws.com"
TRIGGER = "secretsmanager"


@dataclass(frozen=True, slots=True)
class SecretParts:
    """What keeps secrets, and what rotates them."""

    secrets: Secrets
    rotator: Rotator


class FunctionNotPermitted(Denied):
    """Secrets Manager cannot invoke {function}: its policy does not let {service} do so, add a statement with
    lambda:AddPermission.
    """

    # AWS: undocumented; we chose the words.

    function: str
    service: str


class _RotationFunctions:
    """The functions that rotate secrets."""

    def __init__(self, functions: FunctionParts) -> None:
        self._catalog = functions.catalog
        self._invoke = functions.invoke.invoke

    def check(self, function_arn: str, secret_arn: str) -> None:
        """Refuse a function that is not there, or whose policy does not let Secrets Manager in: a `CheckFunction`.

        Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html
        """
        reference = self._catalog.reference(function_arn)
        with suppress(FunctionNotActive):  # it is being made
            self._catalog.invocable(reference.name, reference.qualifier)
        policy = self._catalog.policies.get(reference.name, reference.qualifier or LATEST)
        if not lets_invoke(policy, SERVICE, secret_arn, self._catalog.account):
            raise FunctionNotPermitted(reason="", function=function_arn, service=SERVICE)

    async def invoke(self, function_arn: str, event: bytes) -> str:
        """Run one step: an `InvokeStep`."""
        try:
            result = await self._invoke(InvocationRequest(function_arn, None, event, TRIGGER))
        except WorkshapeError as error:
            return str(error)
        return "" if result.function_error is None else result.error_type or result.function_error


def open_secrets(ground: Ground, functions: FunctionParts) -> SecretParts:
    """Read the secrets; those that are to be deleted or rotated are when the engine serves."""
    settings, rotation_functions = ground.settings, _RotationFunctions(functions)
    secrets = Secrets(ground.documents, ground.clock, region=settings.region, account=settings.account)
    rotator = Rotator(secrets, ground.clock, rotation_functions.invoke, rotation_functions.check)
    ground.serve("secrets that are to be deleted", secrets.run)
    ground.serve("rotations of secrets", rotator.run)
    return SecretParts(secrets, rotator)
