"""SNS: topics, and their fan-out to queues and functions.

Read `model.py` (topics, subscriptions, messages, limits), `message.py` (what may be published), `filtering.py` (who
wants it), `notification.py` (what each gets), `deduplication.py` (FIFO topics), then `registry.py`, which keeps and
delivers, with `signing.py` beside it. `topic_metrics.py` counts.
"""
