"""Application Auto Scaling as the front door finds it.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_Operations.html
"""

from workshape.aws.application_autoscaling.actions import action_operations
from workshape.aws.application_autoscaling.activities import activity_operations
from workshape.aws.application_autoscaling.errors import ERRORS
from workshape.aws.application_autoscaling.policies import policy_operations
from workshape.aws.application_autoscaling.targets import target_operations
from workshape.aws.operation import Service
from workshape.clock import Clock
from workshape.functions.autoscaling.autoscaler import Autoscaler


def autoscaling_service(autoscaler: Autoscaler, clock: Clock) -> Service:
    """Offer the autoscaler as Application Auto Scaling."""
    operations = {
        **target_operations(autoscaler, clock),
        **policy_operations(autoscaler, clock),
        **action_operations(autoscaler, clock),
        **activity_operations(autoscaler),
    }
    return Service("application-autoscaling", operations, ERRORS)
