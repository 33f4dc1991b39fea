"""Starting execution environments. Read `process.py` (one environment's processes), then `spawner.py` (who forks them),
`extensions.py` (who stands above programs beside the runtime), `interpreters.py` and `runtimes.py` (what is executed),
`build.py` (code made ready beforehand).
"""
