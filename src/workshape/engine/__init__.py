"""The engine: its objects, and how they are wired. No policy, no I/O of its own.

Read `engine.py` (the order in which everything is opened, served and closed), then `ground.py` (what all parts stand
on), then the parts: `function_parts.py`, `delivery_parts.py`, `source_parts.py`, `kafka_parts.py`, `http_parts.py`,
`observation.py`, `services.py` (the front door) and `app_catalogues.py` (what an app is applied to).
"""
