"""Starting execution environments. Read `process.py` (one environment's processes), then `spawner.py` (who forks them),
`interpreters.py` and `runtimes.py` (what is executed), `build.py` (code made ready beforehand).
"""
