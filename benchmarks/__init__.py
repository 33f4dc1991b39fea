"""Benchmarks: `invoke`, `sqs` and `proxy`, which the Makefile names; each runs alone, `python -m benchmarks.NAME
[--json FILE]`. `report.py` prints and writes; `http_load.py` asks and `sqs_server.py` serves, in their own processes.
"""
