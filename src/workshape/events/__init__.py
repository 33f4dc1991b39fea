"""Buses and schedules. `schedule.py` reads `at()`, `rate()` and `cron()` and says when they are due."""
