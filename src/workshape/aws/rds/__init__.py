"""RDS Proxy's operations on the front door, and the app's database as a DB instance or cluster. Read `service.py`."""
