"""CloudWatch, as far as its metrics are ours: those of functions and queues. The rest goes on to the upstream.

Read `service.py`, `statistics.py` (what one series says of its periods), `expression.py` (metric math), then the
operations: `metric_data.py`, `metric_statistics.py`, `metric_list.py`.
"""
