"""EventBridge Scheduler's operations (restJson1) on `workshape/events/scheduler`.

`service.py` gathers them, `errors.py` says how errors read; `universal.py` calls any operation of any service.
"""
