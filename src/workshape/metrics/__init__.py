"""Metrics: what is counted and measured, by the minute, kept for as long as CloudWatch keeps minutes.

Read `distribution.py` (one minute of one metric), `metric.py`, `book.py` (what was measured since the last write),
`archive.py` (what is on disk), `keeper.py` (the one writer and reader).
"""
