"""`workshape up` and the commands that talk to it, each as a process of its own; engine and proxy are fakes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from workshape.cli.ports import free_ports
from workshape.run import RunFile, StateFolder, read_run_file

ROOT = Path(__file__).parents[3]
WITH_FAKES = """
import workshape.cli.platform as platform
platform.SERVE_PACKAGE = "tests.fakes.serve"
"""
TAKEN_SINCE = """
import workshape.cli.platform as platform
platform.choose_ports = lambda settings, unused: settings
"""
"""As if the ports had been free when that was looked at."""
COMMAND = """
from workshape.cli.main import app
app()
"""
WAIT_S_MAX = 60.0
APP = """
[platform]
ports = { endpoint = 0, http = 0, proxy = 0, database = 0 }
upstream = { dynamodb = "moto" }

[functions.events]
runtime = "python3.11"
handler = "events.handle"
code = "code"
database = "proxy"

[[routes]]
route = "GET /"
function = "events"

[database]
name = "creator"
max_connections = 20
init_sql = "schema.sql"
"""


WITHOUT_JAVA = """
import workshape.parts.jars as jars
jars.find_spec = lambda name: None
jars.shutil.which = lambda name: None
"""


def workshape(*arguments: str, before: str = WITH_FAKES) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", before + COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "COLUMNS": "200",
            "TERM": "dumb",
        },
    )


def done(*arguments: str) -> tuple[int, str, str]:
    process = workshape(*arguments)
    output, errors = process.communicate(timeout=WAIT_S_MAX)
    return process.returncode, output, errors


@contextmanager
def up(folder: Path, *arguments: str, before: str = WITH_FAKES) -> Iterator[tuple[subprocess.Popen[str], RunFile, str]]:
    """Run `workshape up` until it has said where everything is."""
    process = workshape("up", str(folder), *arguments, before=before)
    said = ""
    try:
        assert process.stdout is not None
        while "AWS_SECRET_ACCESS_KEY" not in said:
            line = process.stdout.readline()
            assert line, f"{said}\n{process.communicate()[1]}"
            said += line
        yield process, read_run_file(StateFolder.of(folder).run_file), said
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S_MAX)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: object) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():  # type: ignore[operator]  # a callable of the caller's
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def app_folder(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "events.py").write_text("def handle(event, context): ...")
    (tmp_path / "schema.sql").write_text("CREATE TABLE posts (id int)")
    (tmp_path / "workshape.toml").write_text(APP)
    return tmp_path


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_an_app_comes_up_answers_the_commands_and_goes_down(app_folder: Path) -> None:
    with up(app_folder) as (process, run, said):
        assert run.database is not None
        assert run.proxy is not None
        variables = run.database_variables("direct", "events")
        with psycopg.connect(variables["DATABASE_URL"]) as connection:
            posts = connection.execute("SELECT count(*) FROM posts").fetchone()
        status = done("status", "--json", "--folder", str(app_folder))
        shown = done("status", "--folder", str(app_folder))
        logs = done("logs", "events", "--folder", str(app_folder))
        unknown = done("logs", "event", "--folder", str(app_folder))
        called = done("invoke", "echo", "--payload", '{"a": 1}', "--log", "--folder", str(app_folder))
        broken = done("invoke", "broken", "--endpoint", run.endpoint)
        missing = done("invoke", "serch", "--endpoint", run.endpoint)
        second = done("up", str(app_folder))
        down = done("down", str(app_folder))
        output, errors = process.communicate(timeout=WAIT_S_MAX)

    assert posts == (0,)
    assert f"export AWS_ENDPOINT_URL={run.endpoint}" in said
    assert f"HTTP API  {run.http}" in said
    assert "not kept  moto keeps everything in memory" in said
    assert run.database.password not in said
    whole = json.loads(status[1])
    assert [part["name"] for part in whole["parts"]] == ["supervisor", *[mark.name for mark in run.children]]
    assert {part["state"] for part in whole["parts"]} == {"running"}
    assert {mark.name for mark in run.children} == {"postgres", "postgres-tls", "moto", "proxy", "engine"}
    assert whole["proxy"] == {"client_connections": 7}
    assert [(one["name"], one["visible"], one["in_flight"]) for one in whole["queues"]] == [("events", 3, 1)]
    assert "1 idle" in shown[1]
    assert logs == (0, "hello\n", "")
    assert unknown[2].startswith("workshape: there is no function named event")
    assert called == (0, '{"a": 1}\n', "START\nEND\n")
    assert broken == (1, '{"errorMessage": "no"}\n', "workshape: broken failed (Unhandled)\n")
    assert missing == (1, "", "workshape: Function not found: serch\n")
    assert f"(process {process.pid}): stop it with `workshape down" in second[2]
    assert down == (0, f"stopped (process {process.pid})\n", "")
    assert (process.returncode, errors) == (0, "")
    assert "hello" in said + output, "its line may come before or after the addresses"
    before, after = output.split("stopping\n")
    assert "goodbye" not in before
    assert after.endswith("stopped\n")
    assert "goodbye" in after, "what a function says last is shown"
    assert not any(alive(mark.pid) for mark in run.children)
    assert not StateFolder.of(app_folder).run_file.exists()


def test_a_killed_engine_is_started_again_and_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    (tmp_path / "workshape.toml").write_text('[platform]\nupstream = { dynamodb = "moto" }\n')
    state = StateFolder.of(tmp_path)

    with up(tmp_path, "--port", "0", "--no-follow") as (process, run, _):
        engine = next(mark for mark in run.children if mark.name == "engine")
        os.kill(engine.pid, signal.SIGKILL)
        assert process.stdout is not None
        assert "engine died (killed by SIGKILL); starting it again" in process.stdout.readline()
        assert "again" in process.stdout.readline()
        children = read_run_file(state.run_file).children
        process.kill()
        process.wait()
        eventually(lambda: not any(alive(mark.pid) for mark in children))

    assert engine not in children
    with up(tmp_path, "--port", "0") as (_, run, said):
        assert "is up" in said
        assert run.endpoint != "http://127.0.0.1:0"


def test_the_empty_platform_needs_neither_app_file_nor_java_and_a_taken_port_is_told(tmp_path: Path) -> None:
    with up(tmp_path, "--port", "0", before=WITH_FAKES + WITHOUT_JAVA) as (_, run, said):
        other = tmp_path / "other"
        other.mkdir()
        refused = done("up", str(other), "--port", str(run.settings.ports.endpoint))

    assert "the empty platform is up" in said
    assert run.app_file is None
    assert list(run.upstream) == ["default"]
    assert "not kept  DynamoDB Local was not to be had: Java 17 or later was not found" in said
    assert "not kept  DynamoDB's tables are in moto: in memory" in said
    assert refused[0] == 1
    assert f"workshape: Port {run.settings.ports.endpoint} of 127.0.0.1 is in use: " in refused[2]
    assert "[platform] ports.endpoint" in refused[2]


@pytest.mark.parametrize("setting", ["proxy", "endpoint", "http", "console"])
def test_who_has_taken_a_port_since_is_not_taken_for_ours(app_folder: Path, setting: str) -> None:
    ports = dict(zip(("endpoint", "http", "proxy", "database", "console"), free_ports("127.0.0.1", 5), strict=True))
    text = ", ".join(f"{name} = {port}" for name, port in ports.items())
    settings = APP.replace("endpoint = 0, http = 0, proxy = 0, database = 0", text)
    (app_folder / "workshape.toml").write_text(settings)

    with socket.create_server(("127.0.0.1", ports[setting])):
        process = workshape("up", str(app_folder), before=TAKEN_SINCE)
        try:
            output, errors = process.communicate(timeout=WAIT_S_MAX)
        finally:
            process.terminate()  # if it has come up all the same
            process.communicate(timeout=WAIT_S_MAX)

    assert process.returncode == 1
    part = "proxy" if setting == "proxy" else "engine"
    assert f"workshape: {part} did not start: Port {ports[setting]} of 127.0.0.1 is in use: stop what uses it" in errors
    assert f"[platform] ports.{setting}" in errors
    assert "is up" not in output
