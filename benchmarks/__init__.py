"""Benchmarks, which the Makefile names; each runs alone, `python -m benchmarks.NAME [--json FILE]`.

`report.py` prints and writes; `front_door.py` serves a whole engine and `http_load.py` asks it, in their own processes;
`processor_time.py` says what they used; `peers.py` has what others do, and is fetched when asked for (`--peers`).
"""
