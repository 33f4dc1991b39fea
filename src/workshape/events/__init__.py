"""Patterns and schedules.

`pattern.py` compiles event patterns and says which events they take; `operators.py` has their match expressions,
`dialects.py` what differs between EventBridge, event source mappings and SNS. `schedule.py` reads `at()`, `rate()` and
`cron()` and says when they are due.
"""
