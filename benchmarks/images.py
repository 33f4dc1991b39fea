"""Images: what the start of an environment in an image's root adds to a plain start, and what unpacking takes.

The program is static and ends at once. By turns it is launched, each time from nothing and until it is seen to end, as
a zip archive's program in a sandbox and as an image's in its own root: the difference is what an image adds. Beside
them an archive's from a stem in stock, which an image has none of. A layer is unpacked beside GNU tar, which unpacks
the same bytes.
"""

import asyncio
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Report, main
from workshape.functions.images.model import ImageProcess
from workshape.functions.images.store import ImageStore
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.launch.recipe import LaunchOrder
from workshape.functions.model import EnvironmentId, FunctionName, FunctionVersion, InitializationType
from workshape.settings import FunctionSettings

LAUNCHES = 250
WARM_UP_LAUNCHES = 10
REFILL_S = 0.05
"""Between launches: until the stock of stems is full again, as it is between most cold starts."""
ADDED_MS_MAX = 6
FILES = 2_000
FILE_BYTES = 16_384
UNPACKINGS = 3
PROGRAM = "int main(void) { return 0; }\n"
ENDS_S_MAX = 10.0


async def images(report: Report) -> None:
    """Measure both."""
    if sys.platform != "linux" or os.geteuid() != 0:
        print("images run on Linux, as root, only: nothing to measure")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await _starts(report, folder, _compiled(folder))
        await _unpackings(report, folder)


async def _starts(report: Report, folder: Path, program: Path) -> None:
    code = folder / "code"
    code.mkdir()
    shutil.copy(program, code / "bootstrap")
    store = ImageStore(folder / "images")
    layout = _write_layout(folder / "layout", _layer([("program", program.read_bytes())]))
    image = await store.resolve(f"oci:{layout}", _architecture())
    await store.prepare(image)
    root = store.root(image)
    process = ImageProcess(("/program",), "/", {}, image.architecture)
    from_nothing = ProcessLauncher(folder / "from-nothing", FunctionSettings(start="exec"))
    from_stock = ProcessLauncher(folder / "from-stock", FunctionSettings())
    ways: dict[str, tuple[ProcessLauncher, Path, ImageProcess | None]] = {
        "archive": (from_nothing, code, None),
        "image": (from_nothing, root, process),
        "stock": (from_stock, code, None),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARM_UP_LAUNCHES + LAUNCHES):
        for name, way in ways.items():
            took_ms = await _launch(*way)
            if number >= WARM_UP_LAUNCHES:
                taken[name].append(took_ms)
            await asyncio.sleep(REFILL_S)
    for launcher in (from_nothing, from_stock):
        await launcher.close()
    for percent in (50, 99):
        archive, value, stock = (_quantile(taken[name], percent) for name in ("archive", "image", "stock"))
        report.add(f"an archive's program from a stem in stock, p{percent}", stock, "ms")
        report.add(f"an archive's program from nothing, p{percent}", archive, "ms")
        report.add(f"an image's program, p{percent}", value, "ms", f"{archive:.2f} ms", value / archive)
    added = _quantile(taken["image"], 50) - _quantile(taken["archive"], 50)
    report.add("an image adds, p50", added, "ms", f"limit {ADDED_MS_MAX} ms", added / ADDED_MS_MAX)


async def _launch(launcher: ProcessLauncher, code_folder: Path, image: ImageProcess | None) -> float:
    began, ended = time.perf_counter(), asyncio.Event()
    function = FunctionVersion(
        FunctionName("f"), "$LATEST", "arn", "provided", "x", str(code_folder), 128, 3, "r", image=image
    )
    environment = EnvironmentId(1)
    order = LaunchOrder(environment, function, "127.0.0.1:1", InitializationType.ON_DEMAND, "g", "s", {})
    await launcher.start(order, on_output=lambda *_: None, on_exit=lambda *_: ended.set())
    async with asyncio.timeout(ENDS_S_MAX):
        await ended.wait()
    return (time.perf_counter() - began) * 1_000


async def _unpackings(report: Report, folder: Path) -> None:
    rng = random.Random(1)
    # Half of each file compresses well, half does not: about what programs and their libraries do.
    contents = [(f"d{n % 50}/f{n}", rng.randbytes(FILE_BYTES // 2) + bytes(FILE_BYTES // 2)) for n in range(FILES)]
    layer = _layer(contents)
    megabytes = len(layer) / 1_000_000
    layout = _write_layout(folder / "big", layer)
    packed = next(path for path in (layout / "blobs" / "sha256").iterdir() if path.stat().st_size > 1_000_000)
    ours, tars = [], []
    for number in range(UNPACKINGS):
        store = ImageStore(folder / f"store-{number}")
        image = await store.resolve(f"oci:{layout}", _architecture())
        began = time.perf_counter()
        await store.prepare(image)
        ours.append((time.perf_counter() - began) * 1_000 / megabytes)
        (folder / f"tar-{number}").mkdir()
        began = time.perf_counter()
        command = ["tar", "-xzf", str(packed), "-C", str(folder / f"tar-{number}")]
        await asyncio.to_thread(subprocess.run, command, check=True)
        tars.append((time.perf_counter() - began) * 1_000 / megabytes)
    peer = statistics.median(tars)
    value = statistics.median(ours)
    report.add("unpack a layer, verified", value, "ms/MB", f"GNU tar, not verified {peer:.2f} ms/MB", value / peer)


def _compiled(folder: Path) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        sys.exit("a C compiler is needed to make a static program")
    (folder / "program.c").write_text(PROGRAM)
    subprocess.run([compiler, "-static", "-O1", "-o", str(folder / "program"), str(folder / "program.c")], check=True)
    return folder / "program"


def _layer(contents: Sequence[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in contents:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def _write_layout(folder: Path, layer: bytes) -> Path:
    """Write an image layout with one image of one layer."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(content: bytes, kind: str) -> dict[str, Any]:
        digits = hashlib.sha256(content).hexdigest()
        (folder / "blobs" / "sha256" / digits).write_bytes(content)
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{digits}", "size": len(content)}

    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    architecture = {"x86_64": "amd64", "arm64": "arm64"}[_architecture()]
    configuration = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = {
        "schemaVersion": 2,
        "config": add(json.dumps(configuration).encode(), "config.v1+json"),
        "layers": [add(gzip.compress(layer), "layer.v1.tar+gzip")],
    }
    index = {"schemaVersion": 2, "manifests": [add(json.dumps(manifest).encode(), "manifest.v1+json")]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def _architecture() -> str:
    return "arm64" if os.uname().machine == "aarch64" else "x86_64"


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    main("images", images)
