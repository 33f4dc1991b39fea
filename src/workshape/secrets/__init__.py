"""Secrets Manager: secrets, their versions and staging labels.

Read `model.py` (secrets, limits, what goes wrong), `versions.py` (labels, and which versions stay), `selection.py`
(filters of lists), `password.py`, then `registry.py`, which keeps them. `rotation_schedule.py` says when a secret is
rotated, `rotation.py` how that goes on; `rotator.py` has functions do it.
"""
