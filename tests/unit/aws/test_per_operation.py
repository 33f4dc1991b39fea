"""What is compiled of a service model, and when."""

from typing import Any, cast

import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from workshape.aws.protocol.compiled import compile_codecs
from workshape.aws.protocol.per_operation import PerOperation

SERVICES = (
    "apigateway",
    "apigatewayv2",
    "application-autoscaling",
    "cloudwatch",
    "events",
    "lambda",
    "logs",
    "rds",
    "scheduler",
    "sns",
    "sqs",
)


def model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def test_an_operation_is_compiled_once_when_it_is_first_asked_for() -> None:
    compiled: list[str] = []

    def compile_one(operation: OperationModel) -> str:
        compiled.append(operation.name)
        return operation.name.lower()

    operations = PerOperation(model("sqs"), compile_one)

    assert compiled == []
    assert [operations["SendMessage"], operations["SendMessage"]] == ["sendmessage", "sendmessage"]
    assert compiled == ["SendMessage"]


def test_an_operation_that_the_service_has_not_is_none_of_its_keys() -> None:
    operations = PerOperation(model("sqs"), lambda operation: operation.name)

    with pytest.raises(KeyError):
        operations["Invoke"]

    assert dict(operations) == {}


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_our_services_can_be_compiled(service: str) -> None:
    codecs = compile_codecs(service, Loader().load_service_model(service, "service-2"))

    for codec in cast(Any, codecs):  # the test looks behind what is compiled at the first request only
        for operation in model(service).operation_names:
            assert codec._readers[operation]
            assert codec._writers[operation]
