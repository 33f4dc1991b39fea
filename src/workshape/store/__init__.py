"""Durable state: small documents in SQLite. Read `documents.py`; `backlog.py` is work on disk that is due at times."""
