"""What is installed is what is in the source: the files that are no Python, too."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
BUILD_S_MAX = 100


def test_the_wheel_has_the_consoles_pages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True, timeout=BUILD_S_MAX)
    if built.returncode != 0:
        pytest.skip(f"no wheel can be built here: {built.stderr.strip().splitlines()[-1:]}")

    (wheel,) = tmp_path.glob("workshape-*.whl")
    with ZipFile(wheel) as packed:
        inside = {name for name in packed.namelist() if "/static/" in name}

    source = ROOT / "src"
    assert inside == {str(file.relative_to(source)) for file in source.rglob("static/*")}
    assert "workshape/console/static/now.html" in inside
