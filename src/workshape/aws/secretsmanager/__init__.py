"""Secrets Manager on the wire. Read `service.py`, then the operations: `secrets.py`, `values.py`, `listing.py`,
`rotation.py`, `policies.py`; `members.py` reads and writes what they share, `errors.py` says how errors read.
"""
