"""The rules, one file a family. Each takes a `Case` (`shape/case.py`) and returns findings. All: `catalogue.py`."""
