"""A program of ours tells by itself that it is ready; whoever else listens at its port is not taken for it."""

import socket
import sys
from pathlib import Path

import pytest

from workshape.parts.process import PartFailed, Program, Server
from workshape.parts.tls_front import tls_front
from workshape.pgproxy.tls import Certificates, ensure_certificates

READY_S_MAX = 20.0
TELLS = """
import os, subprocess, sys, time
from workshape.parts.readiness import Readiness
readiness = Readiness.inherited()
child = subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('WORKSHAPE_READY_DESCRIPTOR'))"])
time.sleep(0.3)
open("slept", "w").close()
{word}
time.sleep(600)
"""


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return ensure_certificates(tmp_path / "tls")


def server(folder: Path, word: str) -> Server:
    program = Program("part", [sys.executable, "-c", TELLS.format(word=word)], folder, folder / "part.log")
    return Server(program, None, READY_S_MAX)


async def test_a_part_is_ready_when_it_says_so_and_again_after_a_restart(tmp_path: Path) -> None:
    part = server(tmp_path, "readiness.tell(); readiness.fail('too late')")
    for _ in range(2):
        (tmp_path / "slept").unlink(missing_ok=True)
        await part.start()
        waited = (tmp_path / "slept").exists()
        await part.stop()
        assert waited

    assert (tmp_path / "part.log").read_text() == "None\n" * 2, "nobody else is given the pipe"


async def test_a_part_that_cannot_be_ready_says_why(tmp_path: Path) -> None:
    part = server(tmp_path, "readiness.fail('no room'); raise SystemExit(1)")

    with pytest.raises(PartFailed, match=r"part did not start: no room \(its log is .*part.log\)$"):
        await part.start()


async def test_a_part_that_ends_without_a_word_shows_the_end_of_its_log(tmp_path: Path) -> None:
    part = server(tmp_path, "raise SystemExit('gone')")

    with pytest.raises(PartFailed, match=r"(?s)exit status 1 \(its log is .*gone"):
        await part.start()


async def test_a_listener_of_somebody_else_is_not_taken_for_the_part(
    tmp_path: Path, certificates: Certificates
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        front = tls_front(
            listen=("127.0.0.1", port),
            server=("127.0.0.1", 1),
            certificate=certificates.database_certificate,
            key=certificates.database_key,
            folder=tmp_path,
            log_file=tmp_path / "front.log",
        )
        with pytest.raises(PartFailed, match=rf"Port {port} of 127.0.0.1 is in use: .* \[platform\] ports.database"):
            await front.start()
