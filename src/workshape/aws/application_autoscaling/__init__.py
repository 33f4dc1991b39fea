"""Application Auto Scaling, for Lambda's provisioned concurrency. Read `service.py`, `request.py` (what is refused by
name), then `targets.py`, `policies.py`, `actions.py` and `activities.py`.
"""
