"""Durable state. Read `documents.py` (small documents in SQLite) and `backlog.py` (work on disk that is due at times),
then `timelines.py` (values by the million, by their times) and `json_lines.py` (lines in bounded files).

`database.py` opens SQLite files; `disk_thread.py` and `flusher.py` keep the event loop from waiting for the disk.
"""
