"""The variables of an environment: who wins, and what is there."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.images.model import ImageProcess
from workshape.functions.launch.layout import Layout
from workshape.functions.launch.runtimes import RuntimePlan
from workshape.functions.launch.variables import Variables
from workshape.functions.model import FunctionName, FunctionVersion, InitializationType, LogFormat

RESERVED = [
    "_HANDLER",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "TZ",
]


def compose(
    own: dict[str, str],
    platform: dict[str, str],
    log_format: LogFormat = LogFormat.TEXT,
    runtime: str = "python3.12",
    temporary: str = "/scratch",
) -> dict[str, str]:
    function = FunctionVersion(
        FunctionName("f"), "7", "arn", runtime, "a.b", "/code", 256, 3, "r", own, log_format=log_format
    )
    variables = Variables(
        function,
        RuntimePlan(("{home}/bin/python", "-m", "client"), variables={"RUNTIMES": "1"}, library="python3.12"),
        Layout("/code", "/runtime", "", "/lang", "/clients", temporary),
    )
    return variables.common(platform) | variables.own(
        runtime_api_address="127.0.0.1:9",
        initialization_type=InitializationType.PROVISIONED,
        log_group="/aws/lambda/f",
        log_stream="stream",
    )


@given(st.dictionaries(st.sampled_from([*RESERVED, "PATH", "MINE"]), st.just("stolen")))
def test_what_lambda_reserves_cannot_be_taken_and_the_rest_is_the_functions(own: dict[str, str]) -> None:
    variables = compose(own, {"AWS_REGION": "us-east-1"})

    assert all(variables[name] != "stolen" for name in RESERVED)
    assert all(variables[name] == "stolen" for name in own if name in ("PATH", "MINE"))
    assert variables["AWS_LAMBDA_FUNCTION_VERSION"] == "7"
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"


def test_an_images_own_variables_yield_to_all_others_and_nothing_speaks_of_a_runtime() -> None:
    own = {"FROM_FUNCTION": "function", "PATH": "/mine"}
    image = {"FROM_FUNCTION": "image", "AWS_LAMBDA_FUNCTION_NAME": "stolen", "AWS_REGION": "image", "HOME": "/root"}
    function = FunctionVersion(
        FunctionName("f"),
        "7",
        "arn",
        "",
        "",
        "/root",
        256,
        3,
        "r",
        own,
        image=ImageProcess(("/x",), "/", image, "amd64"),
    )

    layout = Layout("/var/task", "/var/runtime", "", "", "/clients", "/scratch")
    of_revision = Variables(function, RuntimePlan(("/x",)), layout)
    variables = of_revision.common({"AWS_REGION": "us-east-1"}) | of_revision.own(
        runtime_api_address="127.0.0.1:9",
        initialization_type=InitializationType.ON_DEMAND,
        log_group="/aws/lambda/f",
        log_stream="stream",
    )

    assert (variables["FROM_FUNCTION"], variables["PATH"], variables["HOME"]) == ("function", "/mine", "/root")
    assert (variables["AWS_LAMBDA_FUNCTION_NAME"], variables["AWS_REGION"]) == ("f", "us-east-1")
    assert not {"_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_EXECUTION_ENV"} & variables.keys()
    assert "/scratch" not in variables.values()


def test_the_function_wins_over_the_platform_and_the_platform_over_the_rest() -> None:
    variables = compose({"AWS_ENDPOINT_URL": "mine"}, {"AWS_ENDPOINT_URL": "platforms", "LANG": "C", "RUNTIMES": "2"})

    assert variables["AWS_ENDPOINT_URL"] == "mine"
    assert (variables["LANG"], variables["RUNTIMES"]) == ("C", "2")
    assert variables["PATH"].startswith("/lang/bin:")


def test_json_logging_is_told_to_the_runtime() -> None:
    assert compose({}, {}, LogFormat.JSON)["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    assert "AWS_LAMBDA_LOG_FORMAT" not in compose({}, {})


def test_what_is_set_only_without_a_sandbox() -> None:
    outside, inside = compose({}, {}), compose({}, {}, temporary="")

    assert outside["TMPDIR"] == outside["HOME"] == "/scratch"
    assert outside["RUNTIMES"] == "1"
    assert not {"TMPDIR", "HOME", "RUNTIMES"} & inside.keys()
    assert inside["PYTHONPATH"] == "/runtime"
