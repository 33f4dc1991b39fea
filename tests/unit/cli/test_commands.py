"""How commands fail, and how they read their arguments; nothing runs."""

import contextlib
import os
import socket
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workshape.app.model import App, Function
from workshape.cli.admin import LineFeeds
from workshape.cli.database import own_database
from workshape.cli.invoke import read_payload
from workshape.cli.logs import log_text, since_time
from workshape.cli.main import app
from workshape.cli.ports import Unbindable, choose_ports, free_ports
from workshape.cli.runtime_notes import runtime_notes
from workshape.cli.up import shown_url, with_port
from workshape.errors import Invalid, PortInUse
from workshape.run import (
    AlreadyRunning,
    Lock,
    ProcessMark,
    RunFile,
    StateFolder,
    is_running,
    mark_process,
    read_run_file,
    write_run_file,
)
from workshape.settings import Ports, Settings

runner = CliRunner()


@pytest.mark.parametrize(
    "command",
    [
        ["down"],
        ["status", "--folder"],
        ["invoke", "search", "--folder"],
        ["logs", "--folder"],
        ["throttle", "search", "5", "--folder"],
        ["kill-connections", "--folder"],
    ],
)
def test_a_command_to_nobody_says_how_to_start_one(tmp_path: Path, command: list[str]) -> None:
    result = runner.invoke(app, [*command, str(tmp_path)])

    assert result.exit_code == 1
    assert (
        result.stderr == f"workshape: workshape is not running in {tmp_path}: start it with `workshape up {tmp_path}`\n"
    )


def test_a_run_file_left_behind_by_a_killed_one_does_not_count(tmp_path: Path) -> None:
    state = StateFolder.of(tmp_path)
    state.make()
    dead = ProcessMark("supervisor", os.getpid(), "1")
    write_run_file(RunFile(str(tmp_path), str(state.root), Settings(), dead))

    result = runner.invoke(app, ["down", str(tmp_path)])

    assert "is not running in" in result.stderr


def test_an_app_file_that_is_wrong_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "workshape.toml").write_text("[functions.search]\nmemroy_mb = 1\n")

    result = runner.invoke(app, ["up", str(tmp_path)])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"workshape: {tmp_path}/workshape.toml, line 2: [functions.search] memroy_mb: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / ".workshape").exists()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = runner.invoke(app, ["up", str(tmp_path / "nowhere")])

    assert result.stderr == f"workshape: There is no folder named {tmp_path}/nowhere.\n"


def test_an_endpoint_that_does_not_answer_is_told() -> None:
    (port,) = free_ports("127.0.0.1", 1)

    for command in (["status"], ["logs"], ["invoke", "search"], ["throttle", "search", "1"], ["kill-connections"]):
        result = runner.invoke(app, [*command, "--endpoint", f"http://127.0.0.1:{port}"])

        assert result.exit_code == 1
        assert result.stderr.startswith(f"workshape: workshape does not answer at http://127.0.0.1:{port}")


def test_a_port_in_use_is_told_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(
            PortInUse, match=rf"Port {port} of 127.0.0.1 is in use: .* \[platform\] ports.http"
        ) as refused:
            choose_ports(Settings(ports=Ports(0, port, 0, 0, 0, 0)))
        chosen = choose_ports(Settings(ports=Ports(0, port, 0, 0, 0, 0)), unused=frozenset({"http"}))

    assert refused.value.port == port
    assert chosen.ports.http == port
    assert len({chosen.ports.endpoint, chosen.ports.proxy, chosen.ports.database, 0}) == 4


def test_a_second_platform_has_its_console_elsewhere_unless_its_port_was_chosen() -> None:
    with socket.socket() as usual, socket.socket() as chosen:
        with contextlib.suppress(OSError):  # a platform that runs here has it: all the same
            usual.bind(("127.0.0.1", Ports().console))
            usual.listen()
        chosen.bind(("127.0.0.1", 0))
        chosen.listen()

        elsewhere = choose_ports(Settings(ports=Ports(0, 0, 0, 0, 0))).ports.console
        with pytest.raises(PortInUse, match=r"\[platform\] ports.console"):
            choose_ports(Settings(ports=Ports(0, 0, 0, 0, 0, chosen.getsockname()[1])))

    assert elsewhere not in (0, Ports().console)


def test_the_port_option_is_the_endpoints_or_frees_all() -> None:
    settings = Settings(ports=Ports(endpoint=1, http=2, proxy=3, database=4))

    assert with_port(settings, None) == settings
    assert with_port(settings, 9).ports == Ports(endpoint=9, http=2, proxy=3, database=4)
    assert with_port(settings, 0).ports == Ports(0, 0, 0, 0, 0, 0)


def test_a_folder_runs_one_at_a_time_and_the_error_names_the_other(tmp_path: Path) -> None:
    state = StateFolder.of(tmp_path)
    state.make()
    first = Lock(state)

    with pytest.raises(AlreadyRunning, match=rf"\(process {os.getpid()}\): stop it with `workshape down"):
        Lock(state)
    first.release()
    Lock(state).release()


def test_a_run_file_holds_secrets_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    state = StateFolder.of(tmp_path)
    state.make()
    run = RunFile(str(tmp_path), str(state.root), Settings(), mark_process("supervisor", os.getpid()))

    write_run_file(run)

    assert state.run_file.stat().st_mode & 0o777 == 0o600
    assert read_run_file(state.run_file) == run
    assert is_running(run.supervisor)


def test_a_damaged_run_file_is_told(tmp_path: Path) -> None:
    state = StateFolder.of(tmp_path)
    state.make()
    state.run_file.write_text("{")

    with pytest.raises(Invalid, match=r"run.json cannot be read .* remove it"):
        read_run_file(state.run_file)


def test_a_payload_is_text_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"a": 1}')

    assert read_payload('{"b": 2}') == b'{"b": 2}'
    assert read_payload(f"@{tmp_path}/event.json") == b'{"a": 1}'
    with pytest.raises(Invalid, match=r"nowhere\.json cannot be read: No such file"):
        read_payload("@/nowhere.json")


def test_the_owners_own_server_is_described_by_its_url() -> None:
    url = "postgresql://me:s%40crt@db.example:6000/shop?sslmode=verify-full&sslrootcert=/ca.pem"

    database = own_database(url)

    assert (database.url, database.server_host, database.server_port) == (url, "db.example", 6000)
    assert (database.name, database.user, database.password) == ("shop", "me", "s@crt")
    assert (database.ca_file, database.embedded) == ("/ca.pem", False)
    assert own_database("postgresql://me@db.example/shop").server_port == 5432
    assert own_database(url, ["db2:6001", "[::1]:6002", "db3"]).readers == (("db2", 6001), ("::1", 6002), ("db3", 5432))


def test_a_url_is_shown_without_its_password() -> None:
    assert shown_url("postgresql://app:secret@127.0.0.1:6432/creator?sslmode=verify-full") == (
        "postgresql://app@127.0.0.1:6432/creator"
    )


@pytest.mark.parametrize(
    ("text", "at"),
    [("90s", 910.0), ("10m", 400.0), ("0h", 1_000.0), ("1d", -85_400.0), ("1970-01-01T00:00:05Z", 5.0)],
)
def test_since_is_a_span_or_a_moment(text: str, at: float) -> None:
    assert since_time(text, 1_000.0) == at


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10w", "-5m"])
def test_a_since_that_is_neither_is_refused_with_examples(text: str) -> None:
    with pytest.raises(Invalid, match="10m"):
        since_time(text, 1_000.0)


def test_a_host_that_is_not_this_machines_is_not_called_a_port_in_use() -> None:
    settings = Settings(host="192.0.2.1", ports=Ports(0, 0, 0, 0, 0, 0))  # of TEST-NET-1: nobody's

    with pytest.raises(Unbindable, match=r"of 192\.0\.2\.1: .*\[platform\] host is an address of this machine"):
        choose_ports(settings)


def test_an_address_without_a_scheme_is_told_what_one_looks_like() -> None:
    result = runner.invoke(app, ["status", "--endpoint", "banana"])

    assert result.exit_code == 1
    assert result.stderr == "workshape: --endpoint banana: give its address, as in http://127.0.0.1:4566\n"


def test_an_app_without_functions_has_no_verdict_and_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "workshape.toml").write_text("[queues.events]\n")

    result = runner.invoke(app, ["verdict", str(tmp_path)])

    assert result.exit_code == 1
    assert "has no functions" in result.stderr


def test_the_version_is_told() -> None:
    assert runner.invoke(app, ["--version"]).output == f"workshape {version('workshape')}\n"


async def test_a_runtime_that_this_machine_lacks_is_told_with_the_functions_that_want_it() -> None:
    functions = tuple(Function(name, runtime="python3.99", handler="a.b", code="/a") for name in ("search", "events"))

    missing = await runtime_notes(App("a", functions), allow_substitute=False)
    instead = await runtime_notes(App("a", functions), allow_substitute=True)

    assert [label for label, _ in missing] == ["missing"]
    assert missing[0][1].startswith("search, events cannot run: no Python 3.99 on this machine (looked in ")
    assert [label for label, _ in instead] == ["instead"]
    assert instead[0][1].startswith("python3.99 runs on Python 3.")


def test_a_traceback_in_a_log_is_one_line_on_its_way_and_several_below_its_function_when_shown() -> None:
    feeds = LineFeeds()

    lines = [*feeds.feed("search\t[ERROR] no\rTrace"), *feeds.feed("back:\r  here\r\nsearch\tEND\n")]

    assert lines == ["search\t[ERROR] no\rTraceback:\r  here\r", "search\tEND"]
    assert log_text(lines[0], named=True).plain == (f"{'search':<16} [ERROR] no\n{'':<16} Traceback:\n{'':<16}   here")
    assert log_text("[ERROR] no\rTraceback:\r", named=False).plain == "[ERROR] no\nTraceback:"
