"""`make demo`: the creator platform's bad night, replayed, and the verdict on what ran.

Read `__main__.py` (the order of events), then a scene: `three_am.py`, `partial_batches.py`, `shape.py`.
`platform.py` starts workshape as anyone would, with `workshape up`; `tables.py` is what is printed.
"""
