"""`workshape proxy` as its user runs it: alone, in front of a database."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.fakes.shown_certificate import shown_certificate
from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, Server
from workshape.cli.ports import free_ports

WAIT_S_MAX = 30
COMMAND = [sys.executable, "-m", "workshape", "proxy"]


class Running:
    """The command, and what it said when it was ready."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.said = [process.stdout.readline() for _ in range(4)]
        self.url, self.console = (re.split(r"\s+", line)[1] for line in self.said[1:3])

    def end(self, how: signal.Signals = signal.SIGINT) -> tuple[str, str]:
        self.process.send_signal(how)
        return self.process.communicate(timeout=WAIT_S_MAX)


@pytest.fixture
def running(server: Server, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "proxy.toml").write_text(
        f'[proxy]\nconnection_borrow_timeout_s = 7\n[users]\npostgres = """{PASSWORD}"""\n'
    )
    with_status = [
        "--listen",
        "127.0.0.1:0",
        "--status",
        str(free_ports("127.0.0.1", 1)[0]),
        "--settings",
        "proxy.toml",
    ]
    with subprocess.Popen(
        [*COMMAND, "--database", f"postgresql://{USER}@127.0.0.1:{server.port}/{DATABASE}", *with_status],
        cwd=tmp_path,
        env={**os.environ, "PGPASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def borrow_timeout(console: psycopg.Connection[tuple[str, str]]) -> str:
    return dict(console.execute("SHOW CONFIG").fetchall())["connection_borrow_timeout_s"]


def test_clients_verify_it_use_it_and_watch_it_and_settings_are_read_again(running: Running, tmp_path: Path) -> None:
    with psycopg.connect(running.url, password=PASSWORD, autocommit=True) as client:
        whom = client.execute("SELECT current_user").fetchone()
        client.execute("LISTEN news")
        with psycopg.connect(running.console, password=PASSWORD, autocommit=True) as console:
            before = borrow_timeout(console)
            (tmp_path / "proxy.toml").write_text("[proxy]\nconnection_borrow_timeout_s = 9\n")
            console.execute("RELOAD")
            after = borrow_timeout(console)
            (tmp_path / "proxy.toml").write_text("[proxy]\nborrow_timeout = 9\n")
            with pytest.raises(psycopg.Error, match="borrow_timeout"):
                console.execute("RELOAD")
            kept = borrow_timeout(console)
        status = re.split(r"\s+", running.said[3])[1]
        shown = subprocess.run(
            [*COMMAND, "top", "--once", "--url", status], capture_output=True, text=True, check=True, timeout=WAIT_S_MAX
        ).stdout
        scraped = httpx.get(f"{status.removesuffix('/status')}/metrics", trust_env=False).text
    output, errors = running.end()

    assert whom == (USER,)
    assert "sslmode=verify-full" in running.url
    assert (before, after, kept) == ("7.0", "9.0", "9.0")
    assert "LISTEN news" in shown
    assert "pinned 1" in shown
    assert "workshape_proxy_pinned_connections 1\n" in scraped
    assert (running.process.returncode, output) == (0, "stopped\n")
    assert "Traceback" not in errors


def test_a_status_port_that_is_taken_is_told_from_one_for_clients(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        arguments = ["--database", "postgresql://app:x@127.0.0.1:1/app", "--listen", "127.0.0.1:0"]
        done = subprocess.run(
            [*COMMAND, *arguments, "--status", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S_MAX,
        )

    assert done.returncode == 1
    assert f"figures cannot be served at 127.0.0.1:{port}" in done.stderr
    assert "--take-over" not in done.stderr


def test_sighup_renews_a_certificate_that_is_due(running: Running, tmp_path: Path) -> None:
    certificate = tmp_path / ".workshape" / "tls" / "proxy.pem"
    before = certificate.read_bytes()
    with psycopg.connect(running.url, password=PASSWORD) as client:
        certificate.unlink()  # whatever is missing is made again, as what ends soon is
        running.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + WAIT_S_MAX
        while not certificate.exists() or shown_certificate(client.info.port) != certificate.read_text():
            assert time.monotonic() < deadline, "it shows the old one"
            time.sleep(0.02)
        still_there = client.execute("SELECT 1").fetchone()
    with psycopg.connect(running.url, password=PASSWORD) as client:  # sslmode=verify-full
        bound = client.execute("SELECT 2").fetchone()
    running.end()

    assert (still_there, bound) == ((1,), (2,))
    assert certificate.read_bytes() != before


def test_mistakes_are_one_line_with_the_way_on(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[proxy]\nclients = 3\n")
    url = ["--database", "postgresql://app:x@127.0.0.1:1/app"]
    for arguments, told in (
        ([], "--database postgresql://user:password@host:port/name"),
        (["--database", "app.db"], "with a host and a user"),
        ([*url, "--listen", "6432"], "give host:port, as in 127.0.0.1:6432"),
        ([*url, "--settings", "none.toml"], "none.toml"),
        (
            [*url, "--settings", "bad.toml"],
            'bad.toml, line 2: [proxy] clients: there is no such key; did you mean "clients_max"?',
        ),
        ([*url, "--require-tls", "--no-tls"], "contradict each other"),
        ([*url, "--key", "x.key"], "belong together"),
        (["top", "--once", "--url", "http://127.0.0.1:1"], "start it with `workshape proxy --database URL`"),
    ):
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S_MAX,
            env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        )

        assert done.returncode == 1, arguments
        assert told in done.stderr
        assert done.stderr.count("\n") == 1
