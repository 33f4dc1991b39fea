"""The secrets of Secrets Manager, and whoever looks after them."""

from dataclasses import dataclass

from workshape.engine.ground import Ground
from workshape.secrets.registry import Secrets


@dataclass(frozen=True, slots=True)
class SecretParts:
    """What keeps secrets."""

    secrets: Secrets


def open_secrets(ground: Ground) -> SecretParts:
    """Read the secrets; those that are to be deleted are when the engine serves."""
    settings = ground.settings
    secrets = Secrets(ground.documents, ground.clock, region=settings.region, account=settings.account)
    ground.serve("secrets that are to be deleted", secrets.run)
    return SecretParts(secrets)
