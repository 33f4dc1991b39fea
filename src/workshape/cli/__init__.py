"""The command line: one file a command.

Read `main.py`, then `up.py` with `platform.py` (what it starts, in which order); the other commands are clients of the
running one, found by `admin.py`. `proxy.py` runs the PostgreSQL proxy alone.
"""
