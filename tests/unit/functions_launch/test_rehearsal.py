"""A rehearsal leaves a process as it was. It is gone through in one of its own, with AWS's runtime client."""

import subprocess
import sys

REHEARSED = """
import importlib.util, json, os, sys
from workshape.functions.launch.python_runtime import PythonRuntime
from workshape.functions.launch.rehearsal import FOLDER, rehearse

runtime = PythonRuntime(os.path.dirname(os.path.dirname(importlib.util.find_spec("awslambdaric").origin)))
os.environ.clear()
client = runtime._client.LambdaRuntimeClient("")


def state():
    import logging
    root = logging.getLogger()
    return [dict(os.environ), os.getcwd(), list(sys.path), len(root.handlers), root.level, sorted(sys.modules)]


rehearse(runtime._bootstrap, client, runtime._library)
before = state()
rehearse(runtime._bootstrap, client, runtime._library)
assert state() == before, (state(), before)
assert before[0] == {}
assert "workshape_rehearsal" not in sys.modules
assert not os.path.exists(FOLDER.format(pid=os.getpid()))
print("as it was")
"""


def test_a_rehearsal_goes_through_a_start_and_invocations_and_leaves_nothing_behind() -> None:
    done = subprocess.run([sys.executable, "-c", REHEARSED], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("as it was\n", "")
