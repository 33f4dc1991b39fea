"""Durable state: small documents in SQLite. Read `documents.py`."""
