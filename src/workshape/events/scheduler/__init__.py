"""EventBridge Scheduler: schedules in groups. Read `model.py`, `schedule_plan.py`, `schedules.py`."""
