"""Queues as SQS has them: durable, at least once, with visibility timeouts and dead-letter queues.

Read `model.py` (the words), `queue.py` (every decision about messages), `records.py` (what is written down, and how
it is replayed), `journal.py` (how it reaches the disk), then `broker.py`, which puts them together.
"""
