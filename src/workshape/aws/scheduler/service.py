"""EventBridge Scheduler as the front door finds it.

Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html
"""

from workshape.aws.operation import Service
from workshape.aws.scheduler.errors import ERRORS
from workshape.aws.scheduler.groups import group_operations
from workshape.aws.scheduler.schedules import CheckUniversal, schedule_operations
from workshape.aws.scheduler.targets import ReadDestination
from workshape.events.scheduler.schedules import Schedules


def scheduler_service(
    schedules: Schedules, read_destination: ReadDestination, check_universal: CheckUniversal
) -> Service:
    """Offer the schedules as EventBridge Scheduler."""
    operations = {
        **schedule_operations(schedules, read_destination, check_universal),
        **group_operations(schedules),
    }
    return Service("scheduler", operations, ERRORS)
