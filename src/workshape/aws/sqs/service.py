"""SQS as the front door finds it: all of its operations.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html
"""

from workshape.aws.operation import Service
from workshape.aws.sqs.errors import ERRORS
from workshape.aws.sqs.messages import message_operations
from workshape.aws.sqs.move_tasks import move_operations
from workshape.aws.sqs.queues import queue_operations
from workshape.queues.broker import Broker

_ACTIONS = (
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
)
"""What others may be allowed to do to a queue; the rest "cross-account permissions don't apply to".

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
"""


def sqs_service(broker: Broker) -> Service:
    """Offer the broker's queues as SQS."""
    operations = {**queue_operations(broker, _ACTIONS), **message_operations(broker), **move_operations(broker)}
    return Service("sqs", operations, ERRORS)
