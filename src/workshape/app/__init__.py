"""What there is to run: one model, its notation, and how it is brought about.

Read `model.py`, then `toml.py` (the `workshape.toml` notation), `check.py` and `code.py` (does it hang together),
`plan.py` (what has to change) and `apply.py` (changing it). Each is continued by concern: `delivery_*.py` (topics,
notifications, destinations), `event_*.py` (buses, rules, schedules), `kafka_*.py`, `http_*.py`, `queue_*.py`.
"""
