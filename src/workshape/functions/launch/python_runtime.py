"""Python functions in stems: AWS's own bootstrap, loaded once by the spawner, goes on in every process forked from it.

Standard library only, Python 3.10: every Python that runs functions loads this file. `awslambdaric` is imported from
the runtime's folder, not from beside workshape.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from functools import partial
from typing import Any

from workshape.functions.launch import copying, stem, transport
from workshape.functions.launch.compiling import compile_ahead
from workshape.functions.launch.rehearsal import rehearse, rehearse_invocations

ADDRESS = "AWS_LAMBDA_RUNTIME_API"
REHEARSE = json.dumps({"rehearse": True})
"""What to tell a process that waits, so that it is a rehearsed one."""


class PythonRuntime:
    """AWS's runtime client, imported. `become` is what a forked process does with it."""

    def __init__(self, folder: str) -> None:
        """Import it from `folder`.

        Raises:
            ImportError: it is not there.
        """
        sys.modules["runtime_client"] = transport
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        self._bootstrap: Any = importlib.import_module("awslambdaric.bootstrap")
        self._client: Any = importlib.import_module("awslambdaric.lambda_runtime_client")
        importlib.import_module("awslambdaric.lambda_literals")
        self._exceptions: Any = importlib.import_module("awslambdaric.lambda_runtime_exception")
        self._to_json: Any = importlib.import_module("awslambdaric.lambda_runtime_marshaller").to_json
        sys.path.remove(folder)
        # As on Lambda, where the interpreter's own site-packages has nothing in it.
        self._library = [
            entry for entry in sys.path if entry and not entry.endswith(("site-packages", "dist-packages"))
        ]
        # What a forked process does not write to, it shares; the collector would write to all of it.
        gc.collect()
        gc.freeze()

    def become(self, descriptor: int) -> None:
        """Wait for the order (which may come in two parts), then run the function: a `stem.Become`."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        client = self._client.LambdaRuntimeClient("")
        client.restore_next = transport.restore_next
        client.report_restore_error = self._report_restore_error
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        os.environ.clear()
        order = stem.read_order(descriptor)
        if order is not None and "rehearse" in order:
            rehearse(self._bootstrap, client, self._library)
            order = stem.read_order(descriptor)
        if order is None:
            os._exit(0)
        transport.adopt(stem.API_DESCRIPTOR)
        os.environ.update(order["variables"])
        os.chdir(order["folder"])
        sys.path[:] = [*order["import_path"], *self._library]
        sys.path_importer_cache.clear()
        sys.argv[:] = [f"{order['runtime_folder']}/bootstrap.py"]
        if "AWS_LAMBDA_LOG_FORMAT" in os.environ or "AWS_LAMBDA_LOG_LEVEL" in os.environ:
            importlib.reload(self._bootstrap)  # it reads both as it is imported
        if order.get("rest"):
            compile_ahead(order["handler"])
            rest = stem.read_order(descriptor)
            if rest is None:
                os._exit(0)
            os.environ.update(rest["variables"])
        if order.get("copied"):
            client.restore_next = partial(self._come_to_snapshot, client)
        else:
            os.close(descriptor)
        client.lambda_runtime_address = os.environ[ADDRESS]
        self._run(order["handler"], client)

    def become_copied(self, descriptor: int) -> None:
        """Say that the sandbox is there, then `become`: of a process that is to be copied."""
        copying.say(copying.SAYS_INIT)
        self.become(descriptor)

    def _run(self, handler: str, client: Any) -> None:
        """Run the function to the end of its process, which ends as if it were no fork."""
        code = 1
        try:
            self._bootstrap.run(handler, client)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            if ended.code is not None and not isinstance(ended.code, int):
                print(ended.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        except BaseException:  # noqa: BLE001 - the top of a program: the interpreter would print it, too
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                os.dup2(2, 1)  # AWS's client has closed it, as what it frames its log for; here that is one with 2
            threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons, as an exit does
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    def _come_to_snapshot(self, client: Any) -> None:
        """Stay here and be copied; return in a copy that is to serve."""
        why_not = copying.why_not_copied()
        copying.say(copying.SAYS_SNAPSHOT + why_not.encode())
        transport.announce_restore()
        if why_not:
            copying.hold()
        made = copying.serve_copies(partial(self._prepare_copy, client))
        transport.adopt(stem.API_DESCRIPTOR)
        os.environ[ADDRESS] = client.lambda_runtime_address = made["variables"][ADDRESS]

    def _prepare_copy(self, client: Any) -> None:
        transport.let_go()
        if type(client.marshaller).__module__.startswith("awslambdaric"):  # else the function's own code would run
            rehearse_invocations(self._bootstrap, client)

    def _report_restore_error(self, error: Any) -> None:
        kind = self._exceptions.FaultException.AFTER_RESTORE_ERROR
        transport.report_restore_error(self._to_json(error), kind)


def _is_ours(name: str) -> bool:
    return name == "workshape" or name.startswith("workshape.")
