"""What may be subscribed to a topic, and how. A core.

Source: https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-message-delivery.html
"""

from workshape.delivery import DestinationKind, DestinationRefused, parse_destination
from workshape.topics.filtering import filter_of
from workshape.topics.model import InvalidParameter, Protocol, Subscription, Topic

_KINDS = {Protocol.SQS: DestinationKind.QUEUE, Protocol.LAMBDA: DestinationKind.FUNCTION}


def check_subscription(subscription: Subscription, topic: Topic, *, region: str, account: str) -> None:
    """Refuse what SNS would refuse.

    Raises:
        InvalidParameter: says what.
    """
    kind = _KINDS[subscription.protocol]
    try:
        endpoint = parse_destination(subscription.endpoint, region=region, account=account, kinds=(kind,))
    except DestinationRefused as error:
        raise InvalidParameter(parameter=f"{subscription.protocol.upper()} endpoint ARN", reason=str(error)) from error
    if topic.is_fifo and subscription.protocol is not Protocol.SQS:
        reason = f"Invalid protocol type: {subscription.protocol}: FIFO topics deliver to queues only"
        raise InvalidParameter(parameter="Protocol", reason=reason)
    if endpoint.is_fifo and not topic.is_fifo:
        reason = "FIFO SQS Queues can not be subscribed to standard SNS topics"
        raise InvalidParameter(parameter="Endpoint", reason=reason)
    if subscription.raw and subscription.protocol is not Protocol.SQS:
        reason = f"Delivery protocol [{subscription.protocol}] does not support raw message delivery."
        raise InvalidParameter(parameter="Attributes", reason=reason)
    if subscription.dead_letter_arn:
        _check_dead_letter(subscription.dead_letter_arn, topic, region, account)
    filter_of(subscription)


def _check_dead_letter(arn: str, topic: Topic, region: str, account: str) -> None:
    """Source: https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html"""
    try:
        queue = parse_destination(arn, region=region, account=account, kinds=(DestinationKind.QUEUE,))
    except DestinationRefused as error:
        raise InvalidParameter(parameter="RedrivePolicy", reason=str(error)) from error
    if queue.is_fifo != topic.is_fifo:
        reason = "deadLetterTargetArn: a FIFO topic's dead letters go to a FIFO queue, all others to a standard one"
        raise InvalidParameter(parameter="RedrivePolicy", reason=reason)
