"""A front door that checks signatures: the commands and the functions sign with its own keys."""

from pathlib import Path

from tests.e2e.running import RUNTIME, bring_up, workshape

APP = f"""
[platform]
endpoint = {{ verify_signatures = true, access_key = "mine", secret_key = "my-own-secret" }}
upstream = {{ dynamodb = "moto" }}

[queues.told]

[functions.tell]
runtime = "{RUNTIME}"
handler = "tell.handle"
code = "code"
timeout_s = 20
"""
TELL = """
import boto3


def handle(event, context):
    return boto3.client("sqs").list_queues()["QueueUrls"]
"""


def test_what_up_prints_the_commands_and_the_functions_use_the_doors_keys(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "tell.py").write_text(TELL)
    (tmp_path / "workshape.toml").write_text(APP)

    with bring_up(tmp_path) as running:
        invoked = workshape("invoke", "tell", "--folder", str(tmp_path))
        printed = running.said

    assert invoked[0] == 0, invoked[1]
    assert "/told" in invoked[1]
    assert "AWS_ACCESS_KEY_ID=mine AWS_SECRET_ACCESS_KEY=my-own-secret" in printed
