"""Starting execution environments. Read `process.py` (the engine's side, with `environment_process.py`), then
`spawner.py` (who forks them), and `spawn_channel.py` on `wire.py` (what the two say to each other).

What waits to become one: `stem.py`, kept in `stock.py` by `shelf.py`; `fitted.py` (to one function), `preparation.py`.
SnapStart: `zygotes.py`, `copying.py`, `copy_sandbox.py`. What an environment may see, do and use: `sandbox.py` with
`seccomp.py` on `linux.py`, `users.py`, `peer.py`, `cgroups.py`, `disks.py` with `disk_maker.py`, `variables.py`.

What is executed: `recipe.py`, `interpreters.py` and `runtimes.py`, `python_runtime.py` with `rehearsal.py` and
`compiling.py`, `image_program.py`, `extensions.py` (who stands above programs beside the runtime); `output.py` and
`exit_words.py` are what is heard of it. Code made ready beforehand: `build.py`, `bytecode.py`.
"""
