"""SQS's quotas, and bounds of our own, in one place.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
unless a line says otherwise.
"""

KIB = 1024
MIB = 1024 * KIB

QUEUE_NAME_CHARACTERS_MAX = 80
MESSAGE_BYTES_MIN = 1
MESSAGE_BYTES_MAX = 1 * MIB
"""Body and message attributes together; also the sum over a batch."""
MESSAGE_BYTES_MAX_LEAST = 1 * KIB
"""Least value of the attribute MaximumMessageSize.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""
MESSAGE_ATTRIBUTES_MAX = 10
BATCH_ENTRIES_MAX = 10
BATCH_ENTRY_ID_CHARACTERS_MAX = 80
GROUP_ID_CHARACTERS_MAX = 128
RECEIVE_COUNT_MAX = 10
"""Messages one ReceiveMessage may ask for.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""
RECEIVE_WAIT_S_MAX = 20
DELAY_S_MAX = 900
VISIBILITY_TIMEOUT_S_DEFAULT = 30
VISIBILITY_TIMEOUT_S_MAX = 43_200
"""Also the most that one receive may be extended to, in all.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
"""
RETENTION_S_DEFAULT = 345_600
RETENTION_S_MIN = 60
RETENTION_S_MAX = 1_209_600
IN_FLIGHT_MAX = 120_000
"""Standard and FIFO queues. Beyond it short polls of a standard queue answer OverLimit, long polls wait; receives from
a FIFO queue are empty.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-fifo.html
"""
DEDUPLICATION_S = 300.0
"""How long an accepted deduplication ID makes equal messages duplicates.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""
DEDUPLICATION_ID_CHARACTERS_MAX = 128
"""Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
ATTEMPT_ID_CHARACTERS_MAX = 128
ATTEMPT_S_MAX = 300.0
"""Both of ReceiveRequestAttemptId: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""
ATTEMPTS_MAX = IN_FLIGHT_MAX
"""Attempts remembered on one queue: each has messages in flight, or is of no more use."""
REDRIVE_RECEIVES_MAX = 1_000
"""Largest maxReceiveCount.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue.html
"""
REDRIVE_SOURCES_MAX = 10
"""Queues a redrive allow policy may name.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""
QUEUE_TAGS_MAX = 50
ATTRIBUTE_NAME_CHARACTERS_MAX = 256
ATTRIBUTE_TYPE_CHARACTERS_MAX = 256
"""Both: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""
PURGE_INTERVAL_S = 60.0
"""Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html"""
NAME_REUSE_WAIT_S = 60.0
"""After deleting a queue its name cannot be used for this long.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
"""
LIST_RESULTS_MAX = 1_000
MOVES_PER_S_MAX = 500
MOVE_TASKS_LISTED_MAX = 10
"""Also those remembered of one queue. Both:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListMessageMoveTasks.html
"""
MOVE_S_MAX = 36 * 3_600.0
MOVES_AT_ONCE_MAX = 100
"""Both: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html"""
POLICY_BYTES_MAX = 8_192
POLICY_PRINCIPALS_MAX = 50
POLICY_STATEMENTS_MAX = 20
POLICY_ACTIONS_MAX = 7
"""In one statement. All four: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html"""
LABEL_CHARACTERS_MAX = 80
"""Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html"""
KMS_REUSE_S_MIN = 60
KMS_REUSE_S_DEFAULT = 300
KMS_REUSE_S_MAX = 86_400
"""Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""

SETTLED_AT_ONCE_MAX = 10_000
"""Messages that one step may wake or expire, and one receive may redrive: about 10 ms of the event loop's time."""
WAITERS_MAX = 10_000
"""Long polls waiting on one queue: each holds a connection open, so this is what one machine can hold anyway."""
PENDING_BYTES_MAX = 64 * MIB
"""Journal bytes not yet on disk, beyond which senders are told to slow down: a second of a slow disk."""
