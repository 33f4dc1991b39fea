"""RDS Proxy's operations on the front door, and the app's database as a DB instance or cluster.

Read `service.py`, then the operations: `proxies.py`, `endpoints.py`, `targets.py`, `tags.py`; `instances.py` and
`clusters.py` put what is ours (`owned.py`) among the upstream's.
"""
