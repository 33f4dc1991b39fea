"""EventBridge's operations (awsJson1_1) on `workshape/events`.

`service.py` gathers them, `errors.py` says how errors read, `request.py` what all requests share.
"""
