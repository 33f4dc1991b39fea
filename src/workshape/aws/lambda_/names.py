"""The functions that requests name, where a request may not name just any version of one."""

from typing import Any

from workshape.errors import Invalid
from workshape.functions.catalog import Catalog
from workshape.functions.function_name import FunctionReference
from workshape.functions.model import LATEST, FunctionName


class QualifiedName(Invalid):
    """This operation takes a function's unqualified name: {name}"""

    name: str


def unqualified(catalog: Catalog, parameters: dict[str, Any]) -> FunctionName:
    """Read the name of a function that is meant as a whole.

    Raises:
        QualifiedName: it names a version or an alias.
        Invalid: see `Catalog.reference`.
    """
    reference = catalog.reference(parameters["FunctionName"])
    if reference.qualifier not in (None, LATEST):
        raise QualifiedName(name=parameters["FunctionName"])
    return reference.name


def find_qualified(catalog: Catalog, parameters: dict[str, Any]) -> FunctionReference:
    """Read the name of a function, a version or an alias that is there.

    Raises:
        FunctionNotFound: it is not.
        Invalid: see `Catalog.reference`.
    """
    reference = catalog.reference(parameters["FunctionName"], parameters.get("Qualifier"))
    catalog.find(reference)
    return reference
