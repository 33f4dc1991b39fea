"""Received messages, as a queue would hand them out."""

from collections.abc import Mapping

from workshape.queues.message import md5_of_attributes, md5_of_text
from workshape.queues.model import MessageAttribute, ReceivedMessage


def received(
    message_id: str, body: str = "", attributes: Mapping[str, MessageAttribute] | None = None
) -> ReceivedMessage:
    """A message on its first delivery."""
    return ReceivedMessage(
        message_id,
        f"handle of {message_id}",
        body,
        md5_of_text(body),
        {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        attributes or {},
        md5_of_attributes(attributes or {}),
    )
