"""Queues as SQS has them: durable, with visibility timeouts and dead-letter queues; standard, or first in, first out.

Read `model.py` (the words), `queue_core.py` with `queue.py`, `fifo.py` and `hidden.py` (every decision about
messages), `deduplication.py`, `records.py` (what is written down, and how it is replayed), `journal.py` (how it
reaches the disk), then `live.py` and `broker.py`, which put them together.
"""
