"""What S3 does beyond storing: it tells of its objects. The objects themselves are the upstream's.

Read `request.py` (what a request is for), `changes.py` (what its answer says has happened), `configuration.py`
(notification configurations as XML), then `hooks.py`, which stands between the front door and the upstream;
`objects.py` writes and reads objects on the platform's own behalf.
"""
