"""Event source mappings: what polls a queue and invokes a function with batches from it.

Read `model.py` (a mapping and what it may say), then the cores: `pace.py` (how many pollers), `batching.py` (what goes
into one batch), `outcome.py` (what a response means for each record); `records.py` writes the event. The drivers:
`sqs.py` (one mapping at work), `supervisor.py` (all of them, durable).
"""
