"""EventBridge: patterns, schedules, buses.

`pattern.py` compiles event patterns and says which events they take; `operators.py` has their match expressions,
`dialects.py` what differs between EventBridge, event source mappings and SNS; `filters.py` applies them as mappings do.
`schedule.py` reads `at()`, `rate()` and `cron()`, `timetable.py` says what is due, `timer.py` waits for it.

A bus: read `model.py`, `event.py`, `transformer.py` and `rule.py`, then `bus.py` (from PutEvents to what is to be
invoked), `target_queue.py` (from there to the target) and `retry.py`.
"""
