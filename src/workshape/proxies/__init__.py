"""The proxies made through RDS's API. Read `model.py` and `changes.py` (what there can be), `registry.py` (what there
is), `plan.py` and `host_link.py` (the proxy process runs it), `proxy_metrics.py` (what CloudWatch is told).
"""
