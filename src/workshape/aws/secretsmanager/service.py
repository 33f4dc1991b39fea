"""Secrets Manager as the front door finds it.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html
"""

from workshape.aws.operation import Service
from workshape.aws.secretsmanager.errors import ERRORS
from workshape.aws.secretsmanager.listing import list_operations
from workshape.aws.secretsmanager.policies import policy_operations
from workshape.aws.secretsmanager.rotation import rotation_operations
from workshape.aws.secretsmanager.secrets import secret_operations
from workshape.aws.secretsmanager.values import value_operations
from workshape.clock import Clock
from workshape.secrets.registry import Secrets
from workshape.secrets.rotator import Rotator


def secrets_service(secrets: Secrets, rotator: Rotator, clock: Clock) -> Service:
    """Offer the secrets as Secrets Manager."""
    operations = {
        **secret_operations(secrets, clock),
        **value_operations(secrets),
        **list_operations(secrets),
        **policy_operations(secrets),
        **rotation_operations(rotator),
    }
    return Service("secretsmanager", operations, ERRORS)
