"""Application Auto Scaling of provisioned concurrency. Read `model.py`, then the core `tracking.py`, then the driver
`autoscaler.py`.
"""
