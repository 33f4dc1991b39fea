"""Benchmarks: each module runs alone, `python -m benchmarks.NAME [--json FILE]`. `report.py` prints and writes."""
