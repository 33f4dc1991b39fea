"""Chromium without a screen, told what to do over its own protocol; for tests of pages, where it is installed.

Source: https://chromedevtools.github.io/devtools-protocol/ (over a pipe: NUL-terminated JSON on descriptors 3 and 4)
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ANSWER_S_MAX = 30.0
POLL_S = 0.05


def browser_program() -> str | None:
    """Find one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name)) is not None), None)


class Browser:
    """One page. Made by `browser`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to = to_browser
        self._from = from_browser
        self._buffer = b""
        self._last_id = 0
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")
        self.ask("Runtime.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have something done, and wait for the answer."""
        self._last_id += 1
        order: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._to, json.dumps(order).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_S_MAX
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])

    def look_like(self, width: int, height: int, *, dark: bool, phone: bool = False) -> None:
        """Be a screen of that size."""
        scale = 2 if phone else 1
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go there."""
        self.ask("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page; promises are awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_until(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + ANSWER_S_MAX
        while not self.run(script):
            assert time.monotonic() < deadline, f"it has not become so: {script}"
            time.sleep(POLL_S)

    def press(self, key: str) -> None:
        """Press a key, as on a keyboard."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEY_CODES[key])

    def picture(self, path: Path) -> None:
        """Take a picture of the whole page."""
        taken = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, "the browser does not answer"
            data = os.read(self._from, 1 << 16)
            assert data, "the browser has ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


_ON_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
_KEY_CODES = {"Escape": 27, "Enter": 13, "Tab": 9}


@contextmanager
def browser(program: str, *more_flags: str) -> Iterator[Browser]:
    """Run one; nothing of it stays."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = [
            "--headless=new",
            "--no-sandbox",  # it shows our own pages alone, and tests may run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            *more_flags,
        ]
        command = [sys.executable, "-c", _ON_3_AND_4, str(to_read), str(from_write), program, *flags]
        process = subprocess.Popen(
            command,
            pass_fds=(to_read, from_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_write)
        try:
            shown = Browser(to_write, from_read)
            yield shown
            shown._session = ""
            shown.ask("Browser.close")
            process.wait(ANSWER_S_MAX)
        finally:
            process.kill()
            process.wait()
            os.close(to_write)
            os.close(from_read)
