"""CloudWatch Logs, as far as the logs are ours: those of functions, in `/aws/lambda/NAME`. The rest goes upstream.

Read `service.py`, `filter_pattern.py`, `page.py` (which events an answer has), then `groups.py` and `events.py`.
"""
