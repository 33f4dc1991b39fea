"""Event source mappings: what polls a source and invokes a function with batches from it.

Read `model.py` (a mapping), `rules.py` (what it may say), then the cores: `pace.py` (how many pollers), `batching.py`
(what goes into one batch), `outcome.py` (what a response means for each record), `mapping_metrics.py`; `records.py`
writes the event. The drivers: `poller.py` (what any of them looks like), `sqs.py` (one mapping of a queue at work),
`supervisor.py` (all of them, durable).

Destinations: `destinations.py` delivers to whatever an ARN names, `outbox.py` tries again, on `redelivery.py`.
"""
