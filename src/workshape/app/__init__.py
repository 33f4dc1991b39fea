"""What there is to run: one model, its notation, and how it is brought about.

Read `model.py`, then `toml.py` (the `workshape.toml` notation), `check.py` and `code.py` (does it hang together),
`plan.py` (what has to change) and `apply.py` (changing it).
"""
