"""Starting execution environments. Read `process.py` (one environment's processes), then `spawner.py` (who forks them),
`extensions.py` (who stands above programs beside the runtime), `zygotes.py` and `copying.py` (SnapStart: who is
forked when an environment is wanted), `interpreters.py` and `runtimes.py` (what is executed),
`build.py` (code made ready beforehand).
"""
