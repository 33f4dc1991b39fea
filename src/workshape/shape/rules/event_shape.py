"""Rules 8 to 10: what a queue asks of the function behind it."""

from collections.abc import Iterator

from workshape.shape.case import APP_FILE, RECORDS, Case
from workshape.shape.finding import Finding, Rule, Severity
from workshape.shape.work import QueueSource

VISIBILITY_TIMES_TIMEOUT = 6
RECEIVE_COUNT_MIN = 5
QUEUE_CONCURRENCY_MAX = 1_250
"""How many batches a mapping takes on at once when nothing limits it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
"""
CONFIGURE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
ERRORS = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"
SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
AT_LEAST_ONCE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html"

DUPLICATES = Rule("8a", "duplicates are not failures", Severity.FIX, ERRORS, "messages")
IDEMPOTENCY = Rule("8b", "doing it twice does no harm", Severity.ASSUMPTION, AT_LEAST_ONCE)
PARTIAL = Rule("9", "partial batch responses, configured and returned", Severity.FIX, ERRORS, "batches")
VISIBILITY = Rule("10a", "visibility timeout", Severity.FIX, CONFIGURE, "s")
RECEIVES = Rule("10b", "receives before the dead-letter queue", Severity.FIX, CONFIGURE, "receives")
MAPPING_CONCURRENCY = Rule("10c", "mapping's concurrency within the reserved", Severity.FIX, SCALING, "environments")


def event_shape_findings(case: Case) -> Iterator[Finding]:
    """Rules 8 to 10; none of them applies without a queue."""
    if not case.work.queues:
        for rule in (DUPLICATES, IDEMPOTENCY, PARTIAL, VISIBILITY, RECEIVES, MAPPING_CONCURRENCY):
            yield rule.not_applicable("no queue leads here")
        return
    yield _duplicates(case)
    yield _idempotency(case)
    several = len(case.work.queues) > 1
    for queue in case.work.queues:
        scope = queue.queue if several else ""
        yield _partial(case, queue, scope)
        yield _visibility(case, queue, scope)
        yield _receives(queue, scope)
    yield _mapping_concurrency(case)


def _duplicates(case: Case) -> Finding:
    items = case.evidence.items
    if items is None:
        return DUPLICATES.unknown("what became of each message was not recorded", missing=("batch item records",))
    inputs = (f"{items.deliveries:,} deliveries of {items.messages:,} messages: content hash, receive count, outcome",)
    if not items.repeated:
        return DUPLICATES.unknown(
            "no message came again after its work was done",
            missing=("a duplicate: send some messages twice and see",),
            inputs=inputs,
        )
    if not items.repeated_failing:
        return DUPLICATES.settled(
            True,
            f"{items.repeated:,} messages came though their work was done, and were accepted",
            inputs=inputs,
            value=0,
        )
    example = f"message {items.examples[0]}"
    dead = f"; {items.repeated_dead_lettered:,} went to the dead-letter queue" if items.repeated_dead_lettered else ""
    return DUPLICATES.settled(
        False,
        f"{items.repeated_failing:,} of {items.repeated:,} messages whose work was done already "
        f"were reported as failed at every delivery{dead} (such as {example})",
        inputs=inputs,
        value=items.repeated_failing,
        threshold=0,
        remedy="a duplicate is done work: when the conditional write says it is there, do not report it",
    )


def _idempotency(case: Case) -> Finding:
    if case.work.is_idempotent is None:
        return IDEMPOTENCY.unknown(
            "a queue delivers at least once, and records do not show what a second delivery did",
            missing=("what makes the work idempotent: a key, a conditional write",),
            condition="doing an event twice does no harm (a key, a conditional write)",
        )
    return IDEMPOTENCY.settled(
        case.work.is_idempotent, "declared", inputs=("declared: is_idempotent",), remedy="give each event a key"
    )


def _partial(case: Case, queue: QueueSource, scope: str) -> Finding:
    if queue.batch_size == 1:
        return PARTIAL.not_applicable("batches of one", scope=scope)
    configured = f"report_batch_item_failures = {str(queue.report_batch_item_failures).lower()} ({APP_FILE})"
    if not queue.report_batch_item_failures:
        return PARTIAL.settled(
            False,
            "not configured: one bad record brings its whole batch back",
            inputs=(configured,),
            remedy="report_batch_item_failures = true, and return batchItemFailures",
            scope=scope,
        )
    batches = case.evidence.batches
    if batches is None:
        missing = ("batch records",)
        return PARTIAL.unknown("how batches ended was not recorded", missing=missing, inputs=(configured,), scope=scope)
    inputs = (configured, f"{batches.batches:,} batches, {batches.failed_items:,} of {batches.items:,} items failed")
    if batches.invalid_responses:
        return PARTIAL.settled(
            False,
            f"{batches.invalid_responses:,} batches failed whole though the function returned: no valid response",
            inputs=inputs,
            value=batches.invalid_responses,
            threshold=0,
            remedy="return batchItemFailures with itemIdentifiers of that batch, and nothing else",
            scope=scope,
        )
    items = case.evidence.items
    reported = batches.partial + (items.reported if items is not None else 0)
    if not reported and batches.errors:
        return PARTIAL.settled(
            False,
            f"{batches.errors:,} batches failed whole with an error, and none named its failures",
            inputs=inputs,
            value=batches.errors,
            threshold=0,
            remedy="catch what one record does, settle the others, and return its id",
            scope=scope,
        )
    if not reported:
        return PARTIAL.unknown(
            "configured; nothing has failed yet, so nothing was returned",
            missing=("a batch with a bad record: send one and see",),
            inputs=inputs,
            scope=scope,
        )
    return PARTIAL.settled(
        True,
        f"configured and returned: {batches.partial:,} batches failed in part only",
        inputs=inputs,
        scope=scope,
    )


def _visibility(case: Case, queue: QueueSource, scope: str) -> Finding:
    needed = VISIBILITY_TIMES_TIMEOUT * case.work.timeout_s + queue.batch_window_s
    return VISIBILITY.at_least(
        queue.visibility_timeout_s,
        needed,
        f"6 x the function's {case.work.timeout_s} s + the batch window's {queue.batch_window_s} s",
        inputs=(f"visibility_timeout_s, timeout_s, batch_window_s ({APP_FILE})",),
        remedy=f"visibility_timeout_s = {needed}",
        scope=scope,
    )


def _receives(queue: QueueSource, scope: str) -> Finding:
    if queue.receive_count_max is None:
        return RECEIVES.settled(
            False,
            "no dead-letter queue: poison comes back until it is too old to be kept",
            inputs=(f"redrive ({APP_FILE})",),
            remedy=f"redrive = {{ dead_letter_queue = ..., receive_count_max = {RECEIVE_COUNT_MIN} }}",
            scope=scope,
        )
    return RECEIVES.at_least(
        queue.receive_count_max,
        RECEIVE_COUNT_MIN,
        "throttled deliveries count as receives too",
        inputs=(f"redrive.receive_count_max ({APP_FILE})",),
        remedy=f"receive_count_max = {RECEIVE_COUNT_MIN}",
        scope=scope,
    )


def _mapping_concurrency(case: Case) -> Finding:
    reserved = case.work.reserved_concurrency
    if reserved is None:
        return MAPPING_CONCURRENCY.not_applicable("no concurrency is reserved: the account's is shared")
    total = sum(queue.concurrency_max or QUEUE_CONCURRENCY_MAX for queue in case.work.queues)
    unlimited = any(queue.concurrency_max is None for queue in case.work.queues)
    return MAPPING_CONCURRENCY.at_most(
        total,
        reserved,
        "unlimited mappings take on up to 1,250 batches" if unlimited else "what its mappings may use together",
        inputs=(
            f"concurrency_max, reserved_concurrency ({APP_FILE})",
            f"throttled in the {RECORDS}: {case.evidence.throttled:,}",
        ),
        remedy=f"concurrency_max = {max(2, reserved // len(case.work.queues))}",
    )
