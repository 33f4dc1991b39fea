"""CloudWatch Logs as the front door finds it.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html
"""

from workshape.aws.logs.errors import ERRORS
from workshape.aws.logs.events import EventOperations
from workshape.aws.logs.groups import GroupOperations
from workshape.aws.operation import Service
from workshape.functions.log_groups import LogGroups


def logs_service(log_groups: LogGroups) -> Service:
    """Offer the functions' logs as CloudWatch Logs."""
    groups, events = GroupOperations(log_groups), EventOperations(log_groups)
    operations = {
        "DescribeLogGroups": groups.describe_groups,
        "DescribeLogStreams": groups.describe_streams,
        "GetLogEvents": events.get,
        "FilterLogEvents": events.filter,
        "PutLogEvents": events.put,
        "StartQuery": events.start_query,
    }
    return Service("logs", operations, ERRORS, is_shared=True)
