"""Functions of images on a whole platform: from the app file and over the API, invoked for real."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.running import ROLE, bring_up, eventually, workshape
from tests.fakes.image_programs import COMPILER, static_image, static_runtime
from tests.fakes.images import write_layout

APP = """
[platform]
upstream = { default = "moto", dynamodb = "moto" }

[functions.report]
package_type = "Image"
image = "oci:layout:v1"
image_config = { command = ["a", "b"] }
environment = { ASKED = "kindly" }
timeout_s = 10
"""


@pytest.mark.usefixtures("needs_sandbox")
@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler to make a static program with")
def test_an_image_runs_from_the_app_file_and_over_the_api(make_app: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_app(APP)
    layout = write_layout(folder / "layout", v1=static_image(static_runtime(tmp_path)))
    with bring_up(folder, "--no-follow") as running:
        client = running.client("lambda")
        from_app = client.invoke(FunctionName="report", LogType="Tail")
        client.create_function(
            FunctionName="other", PackageType="Image", Role=ROLE, Code={"ImageUri": f"oci:{layout}:v1"}, Timeout=10
        )
        client.get_waiter("function_active_v2").wait(FunctionName="other")
        over_api = client.invoke(FunctionName="other")
        broken = client.create_function(
            FunctionName="broken",
            PackageType="Image",
            Role=ROLE,
            Code={"ImageUri": f"oci:{layout}:v1"},
            ImageConfig={"EntryPoint": ["/nowhere"]},
        )
        failed = client.invoke(FunctionName="broken")
        eventually(lambda: "with 3 arguments, last b" in workshape("logs", "report", "--folder", str(folder))[1])

    assert re.fullmatch(r'"user [1-9]\d* asked kindly"', from_app["Payload"].read().decode())
    assert re.fullmatch(r'"user [1-9]\d* asked nothing"', over_api["Payload"].read().decode())
    assert broken["State"] == "Active"  # its image is here already
    assert failed["FunctionError"] == "Unhandled"
    assert json.loads(failed["Payload"].read())["errorType"] == "Runtime.InvalidEntrypoint"
