"""The AWS front door: requests of AWS clients in, responses out.

Read `operation.py` (what a service offers), `protocol/` (how requests and responses are written), `sigv4.py` (who
signed), `door.py` (who answers), `page_guard.py` (what web pages get), `upstream.py` (who answers for the rest), then
the services' own folders.
"""
