"""What a codec compiles of each operation, once somebody asks for that: clients use a few of a service's hundreds."""

from collections.abc import Callable
from typing import TypeVar

from botocore.model import OperationModel, ServiceModel

T = TypeVar("T")


class PerOperation(dict[str, T]):
    """By operation. An operation that the service has not is none of its keys, and a KeyError."""

    def __init__(self, model: ServiceModel, compile_one: Callable[[OperationModel], T]) -> None:
        super().__init__()
        self._model = model
        self._compile_one = compile_one

    def __missing__(self, name: str) -> T:
        if name not in self._model.operation_names:
            raise KeyError(name)
        made = self[name] = self._compile_one(self._model.operation_model(name))
        return made
