"""Event source mappings: what polls a source and invokes a function with batches from it.

Read `model.py` (a mapping), `rules.py` (what it may say), then the cores: `pace.py` (how many pollers), `batching.py`
(what goes into one batch), `outcome.py` (what a response means for each record), `mapping_metrics.py`; `records.py`
writes the event. The drivers: `poller.py` (what any of them looks like), `sqs.py` (one mapping of a queue at work),
`supervisor.py` (all of them, durable).

Of Kafka topics: `source_access.py` (how they are reached, and what secrets must hold), `kafka_event.py` (what the
function gets), `stream_batching.py`, `stream_work.py` (a batch until every record is done or given up),
`poller_scale.py`; `kafka.py` is one mapping at work, `failure_delivery.py` tells of what was given up.

Destinations: `destinations.py` delivers to whatever an ARN names, `outbox.py` tries again, on `redelivery.py`.
"""
