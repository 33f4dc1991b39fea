"""SNS's operations and wire errors. What is not about topics (text messages, mobile endpoints) is the upstream's.

Read `service.py`, then `topics.py`, `subscriptions.py`, `publishing.py`; `attributes.py` is between SNS's attributes,
which are text by name, and ours.
"""
