"""A new proxy process takes the place of an old one, and no client notices."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy, Server
from workshape.cli.ports import free_ports
from workshape.errors import Conflict
from workshape.pgproxy.handover import HandoverPoint, inherit

WAIT_S_MAX = 30
HAMMERS = 2


class Hammer:
    """Connects, asks and leaves, again and again."""

    def __init__(self, url: str) -> None:
        self.served = 0
        self.failures: list[str] = []
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._strike) for _ in range(HAMMERS)]

    def __enter__(self) -> "Hammer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WAIT_S_MAX)

    def _strike(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True) as client:
                    client.execute("SELECT 1")
                self.served += 1
            except psycopg.Error as error:
                self.failures.append(str(error))


@contextmanager
def proxy_process(server: Server, folder: Path, port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `workshape proxy` at this port until it has said that clients may come."""
    database = f"postgresql://{USER}@127.0.0.1:{server.port}/{DATABASE}"
    command = [sys.executable, "-m", "workshape", "proxy", "--database", database, "--no-tls", *arguments]
    with subprocess.Popen(
        [*command, "--listen", f"127.0.0.1:{port}", "--status", "0"],
        cwd=folder,
        env={**os.environ, "PGPASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            for _ in range(3):
                assert process.stdout.readline() != "", process.stderr.read() if process.stderr is not None else ""
            yield process
        finally:
            process.kill()


def cancel_once_it_runs(server: Server, sleeper: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not server.runs("pg_sleep(60)") and time.monotonic() < deadline:
        time.sleep(0.02)
    sleeper.cancel_safe()


def test_clients_that_connect_all_the_while_never_fail_and_old_ones_finish_and_can_still_cancel(
    server: Server, tmp_path: Path
) -> None:
    port = free_ports("127.0.0.1", 1)[0]
    url = server.url(port=port)
    with ExitStack() as stack:
        old = stack.enter_context(proxy_process(server, tmp_path, port))
        hammer = stack.enter_context(Hammer(url))
        transaction = stack.enter_context(psycopg.connect(url))
        transaction.execute("SELECT 1")
        sleeper = stack.enter_context(psycopg.connect(url, autocommit=True))
        before = hammer.served

        middle = stack.enter_context(proxy_process(server, tmp_path, port, "--take-over"))
        young = stack.enter_context(proxy_process(server, tmp_path, port, "--take-over"))
        after = hammer.served
        cancelling = threading.Thread(target=cancel_once_it_runs, args=(server, sleeper))
        cancelling.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            sleeper.execute("SELECT pg_sleep(60)")
        cancelling.join(WAIT_S_MAX)
        finished = transaction.execute("SELECT 2").fetchone()
        transaction.commit()
        transaction.close()
        sleeper.close()
        ends = [one.communicate(timeout=WAIT_S_MAX) for one in (middle, old)]
        last = hammer.served
        while hammer.served < last + HAMMERS and not hammer.failures:
            threading.Event().wait(0.01)
        failures, is_there = list(hammer.failures), young.poll() is None
    assert failures == []
    assert before < after
    assert finished == (2,)
    assert [(output, "Traceback" in errors) for output, errors in ends] == [("stopped\n", False)] * 2
    assert is_there


async def test_a_successor_that_fails_before_it_listens_changes_nothing(make_proxy: MakeProxy, tmp_path: Path) -> None:
    path = tmp_path / "proxy.sock"
    async with make_proxy() as proxy:
        point = HandoverPoint(path, proxy.proxy, None)
        point.open()
        inheritance = await asyncio.to_thread(inherit, path)
        assert inheritance is not None
        for _, inherited in inheritance.sockets:
            inherited.close()
        inheritance.close()
        async with await proxy.connect() as client:
            answer = await (await client.execute("SELECT 1")).fetchone()
        again = await asyncio.to_thread(inherit, path)
        assert again is not None
        ports = [endpoint.port for endpoint, _ in again.sockets]
        again.close()
        await point.close()

    assert answer == (1,)
    assert ports == [proxy.port]
    assert not path.exists()


def test_without_a_predecessor_there_is_nothing_to_inherit_and_a_stranger_is_refused(tmp_path: Path) -> None:
    stale, odd = tmp_path / "stale.sock", tmp_path / "odd.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(stale))
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(odd))
        stranger.listen()
        accepting = threading.Thread(target=lambda: stranger.accept()[0].close())
        accepting.start()
        with pytest.raises(Conflict, match="did not hand its sockets over"):
            inherit(odd)
        accepting.join(WAIT_S_MAX)

    assert inherit(stale) is None
    assert inherit(tmp_path / "none.sock") is None


@pytest.mark.usefixtures("needs_other_users")
async def test_another_user_gets_no_sockets_even_where_the_file_lets_him_in(
    make_proxy: MakeProxy, server: Server
) -> None:
    path = server.folder / "proxy.sock"  # a folder that others may enter
    knock = """
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
try:
    line.sendall(b'{"take_over": true}\\n')
    print(len(line.recv(1)))
except ConnectionError:
    print(0)
"""
    async with make_proxy() as proxy:
        point = HandoverPoint(path, proxy.proxy, None)
        point.open()
        mode = path.stat().st_mode & 0o777
        server.folder.chmod(0o711)
        path.chmod(0o666)
        came = await asyncio.create_subprocess_exec(
            sys.executable, "-c", knock, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await came.communicate()
        server.folder.chmod(0o700)
        await point.close()

    assert mode == 0o600
    assert said == b"0\n"
