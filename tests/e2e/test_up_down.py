"""Up, status, invoke, logs, down and up again: the platform as one person uses it on one machine."""

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.running import ROLE, RUNTIME, WORKSHAPE, archive, bring_up, eventually, processes_under, workshape
from workshape.run import StateFolder

APP = f"""
[app]
name = "shop"

[platform]
upstream = {{ dynamodb = "moto" }}

[functions.keep]
runtime = "{RUNTIME}"
handler = "keep.handle"
code = "code"
timeout_s = 5
environment = {{ SHELF = "shelf" }}

[queues.orders]

[[mappings]]
queue = "orders"
function = "keep"
"""
KEEP = """
import os


def handle(event, context):
    if "fail" in event:
        raise ValueError(event["fail"])
    bodies = [record["body"] for record in event.get("Records", [])]
    for body in bodies:
        print("kept", body, "on the", os.environ["SHELF"])
    return {"kept": bodies}
"""
ECHO = "def handle(event, context): return {'echo': event}"
NOBODY = 65_534


def test_an_app_answers_every_command_and_ends_when_it_is_told(make_app: Callable[..., Path]) -> None:
    folder = make_app(APP, keep__py=KEEP)
    with bring_up(folder, "--no-follow") as running:
        sqs = running.client("sqs")
        sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="orders")["QueueUrl"], MessageBody="a lamp")
        eventually(lambda: "kept a lamp on the shelf" in workshape("logs", "keep", "--folder", str(folder))[1])
        eventually(lambda: running.depth("orders") == 0)

        status = workshape("status", "--folder", str(folder))
        told = json.loads(workshape("status", "--json", "--folder", str(folder))[1])
        invoked = workshape("invoke", "keep", "--payload", "{}", "--log", "--folder", str(folder))
        failed = workshape("invoke", "keep", "--payload", '{"fail": "no room"}', "--folder", str(folder))
        missing = workshape("invoke", "kept", "--folder", str(folder))
        throttled = workshape("throttle", "keep", "0", "--folder", str(folder))
        refused = workshape("invoke", "keep", "--payload", "{}", "--folder", str(folder))
        killed = workshape("kill-connections", "--folder", str(folder))
        second = workshape("up", str(folder), "--port", "0")
        down = workshape("down", str(folder))
        ended = running.stop()
        left = processes_under(folder)
        idle = workshape("status", "--folder", str(folder))

    assert status[0] == 0
    assert "orders" in status[1]
    assert told["app"] == "shop"
    assert {part["state"] for part in told["parts"]} == {"running"}
    assert [function["name"] for function in told["functions"]] == ["keep"]
    assert [(mapping["source"], mapping["state"]) for mapping in told["mappings"]] == [("orders", "Enabled")]
    assert invoked[0] == 0
    assert invoked[1].splitlines()[0].startswith("START RequestId: ")
    assert invoked[1].splitlines()[-1] == '{"kept": []}'
    assert failed[0] == 1
    assert '"errorMessage": "no room", "errorType": "ValueError"' in failed[1]
    assert missing[0] == 1
    assert "Function not found" in missing[1]
    assert throttled == (0, "keep: reserved concurrency was not set, is 0 (nothing runs)\n")
    assert refused[0] == 1
    assert killed == (1, "workshape: No database runs here: there is nothing to end.\n")
    assert second[0] == 1
    assert f"(process {running.process.pid}): stop it with `workshape down" in second[1]
    assert down == (0, f"stopped (process {running.process.pid})\n")
    assert ended[0] == 0
    assert ended[1].endswith("stopping\nstopped\n")
    assert left == {}
    assert idle[0] == 1
    assert "workshape is not running" in idle[1]
    assert not StateFolder.of(folder).run_file.exists()


def test_functions_queues_and_messages_are_there_again_at_the_second_up(make_app: Callable[..., Path]) -> None:
    folder = make_app(APP, keep__py=KEEP)
    with bring_up(folder, "--no-follow") as running:
        functions, sqs = running.client("lambda"), running.client("sqs")
        code = {"ZipFile": archive(app__py=ECHO)}
        functions.create_function(FunctionName="echo", Runtime=RUNTIME, Handler="app.handle", Role=ROLE, Code=code)
        later = sqs.create_queue(QueueName="later", Attributes={"VisibilityTimeout": "7"})["QueueUrl"]
        sqs.send_message(QueueUrl=later, MessageBody="from before", MessageAttributes=_attribute("kind", "old"))
        orders = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
        sqs.send_message(QueueUrl=orders, MessageBody="a late order", DelaySeconds=3)
        assert workshape("down", str(folder))[0] == 0

    with bring_up(folder, "--no-follow") as running:
        functions, sqs = running.client("lambda"), running.client("sqs")
        answer = functions.invoke(FunctionName="echo", Payload=b'{"n": 1}')["Payload"].read()
        url = sqs.get_queue_url(QueueName="later")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        received = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=5)["Messages"]
        eventually(lambda: "kept a late order" in workshape("logs", "keep", "--folder", str(folder))[1])
        listed = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
        mappings = functions.list_event_source_mappings()["EventSourceMappings"]

    assert json.loads(answer) == {"echo": {"n": 1}}
    assert attributes == {"VisibilityTimeout": "7"}
    assert [message["Body"] for message in received] == ["from before"]
    assert received[0]["MessageAttributes"] == _attribute("kind", "old")
    assert sorted(listed) == ["echo", "keep"]
    assert len(mappings) == 1


def test_an_empty_folder_serves_the_empty_platform(tmp_path: Path) -> None:
    with bring_up(tmp_path) as running:
        functions, sqs = running.client("lambda"), running.client("sqs")
        code = {"ZipFile": archive(app__py=ECHO)}
        functions.create_function(FunctionName="echo", Runtime=RUNTIME, Handler="app.handle", Role=ROLE, Code=code)
        answer = functions.invoke(FunctionName="echo", Payload=b'{"n": 1}')["Payload"].read()
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="hello")
        received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        running.wait_until_said("END RequestId: ")

    assert "the empty platform is up" in running.said
    assert json.loads(answer) == {"echo": {"n": 1}}
    assert [message["Body"] for message in received] == ["hello"]


def test_a_port_in_use_is_one_error_that_names_the_setting(make_app: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        folder = make_app(f"[platform]\nports = {{ endpoint = {port}, http = 0, proxy = 0, database = 0 }}\n")

        status, said = workshape("up", str(folder))

    assert status == 1
    assert f"workshape: Port {port} of 127.0.0.1 is in use: " in said
    assert "[platform] ports.endpoint" in said
    assert "Traceback" not in said


def test_a_broken_app_file_is_one_error_that_names_the_place(make_app: Callable[..., Path]) -> None:
    folder = make_app(APP.replace('queue = "orders"', 'queue = "oders"'), keep__py=KEEP)

    status, said = workshape("up", str(folder), "--port", "0")

    assert status == 1
    assert said.startswith("workshape: ")
    assert "oders" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_ctrl_c_ends_every_part(make_app: Callable[..., Path], busy: bool) -> None:
    folder = make_app(APP, keep__py="import time\ndef handle(event, context): time.sleep(4)")
    with bring_up(folder) as running:
        if busy:
            running.client("lambda").invoke(FunctionName="keep", InvocationType="Event", Payload=b"{}")
            running.wait_until_said("START RequestId: ")

        status, said = running.stop(signal.SIGINT)
        left = processes_under(folder)

    assert status == 0
    assert said.endswith("stopping\nstopped\n")
    assert "Traceback" not in said
    assert left == {}


# ---- as an ordinary user ------------------------------------------------------------------------------------------


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """A folder of the user called nobody, who may not enter those of pytest."""
    if os.geteuid() != 0:
        pytest.skip("the tests do not run as root: all of them are an ordinary user's")
    folder = Path(tempfile.mkdtemp(prefix="workshape-nobody-"))
    (folder / "app").mkdir()
    for path in (folder, folder / "app"):
        shutil.chown(path, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody(nobodys_folder: Path) -> Sequence[str]:
    """The command as nobody runs it: with the interpreter of these tests, or the system's of the same version."""
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", f"HOME={nobodys_folder}"]
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv (util-linux)")
    versioned = shutil.which(RUNTIME, path="/usr/local/bin:/usr/bin:/bin")
    for python in filter(None, (sys.executable, versioned)):
        command = [*become, f"PYTHONPATH={os.pathsep.join(filter(None, sys.path))}", python]
        if workshape("-c", "import workshape.serve.engine", command=command)[0] == 0:
            return [*command, "-m", "workshape"]
    pytest.skip(f"others may read neither {sys.executable} with its packages nor a system's {RUNTIME}")


def test_an_ordinary_user_runs_it_too(nobodys_folder: Path, as_nobody: Sequence[str]) -> None:
    folder = nobodys_folder / "app"
    (folder / "workshape.toml").write_text(f'{APP}\n[database]\nname = "shop"\n')
    (folder / "code").mkdir()
    (folder / "code" / "keep.py").write_text(KEEP)

    with bring_up(folder, "--no-follow", command=as_nobody) as running:
        owners = set[int]()
        for pid in processes_under(folder):
            with suppress(FileNotFoundError):  # it has just ended
                owners.add(Path(f"/proc/{pid}").stat().st_uid)
        sqs = running.client("sqs")
        sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="orders")["QueueUrl"], MessageBody="a lamp")
        eventually(lambda: "kept a lamp" in workshape("logs", "keep", "--folder", str(folder), command=as_nobody)[1])
        down = workshape("down", str(folder), command=as_nobody)

    assert "sandbox  functions have none: only root may make one (sudo)\n" in running.said
    assert owners == {NOBODY}
    assert down[0] == 0


def test_root_who_may_become_nobody_else_is_told_what_the_database_needs(make_app: Callable[..., Path]) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("takes root, and setpriv (util-linux)")
    folder = make_app('[platform]\nupstream = { dynamodb = "moto" }\n[database]\nname = "shop"\n')
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *WORKSHAPE]  # `docker run --cap-drop=ALL`

    status, said = workshape("up", str(folder), "--port", "0", command=bare)

    assert status == 1
    assert "workshape: postgres did not start: it does not run as root, and root here may not give files to" in said
    assert "as an ordinary user" in said
    assert "Traceback" not in said


def _attribute(name: str, value: str) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value}}
