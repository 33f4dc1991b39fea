"""The rules, one file a family. Each takes a `Case` (`case.py`) and returns findings; `catalogue.py` lists them all."""
