"""The text of an API's definition, in JSON or in YAML. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html (JSON or YAML)
Source: https://spec.openapis.org/oas/v3.0.4.html#format (YAML's tags are those of JSON, keys are strings)
"""

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import msgspec
import yaml

from workshape.errors import Invalid

YAML_BYTES_MAX = 1 << 20  # the engine stands still while it reads: for a second or two, if it is this much
YAML_VALUES_MAX = 200_000  # with everything that anchors repeat: a few lines of them can stand for billions
_JSON_BEGINS = (b"{", b"[")
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class InvalidDefinition(Invalid):
    """Unable to import: {reason}"""

    # AWS: undocumented; we chose the words.


def read_document(text: str | bytes) -> dict[str, Any]:
    """Read a definition, as far as every API's is alike.

    Raises:
        InvalidDefinition: it is none.
    """
    written = text.encode() if isinstance(text, str) else text
    document = _json(written) if written.lstrip().startswith(_JSON_BEGINS) else _yaml(written)
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise InvalidDefinition(reason="it has no paths")
    if not isinstance(document.get("info"), dict) or not document["info"].get("title"):
        raise InvalidDefinition(reason="it has no info.title")
    return document


def _json(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDefinition(reason=f"it begins like JSON, and is none ({error})") from error


def _yaml(text: bytes) -> Any:
    if len(text) > YAML_BYTES_MAX:
        most = f"workshape reads YAML of {YAML_BYTES_MAX:,} bytes at most"
        raise InvalidDefinition(reason=f"{most}, and this has {len(text):,}: write it in JSON")
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader: it makes JSON's types alone
        values = _values(document, {})
    except RecursionError as error:
        raise InvalidDefinition(reason="it is nested too deeply") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise InvalidDefinition(reason=f"it is neither JSON nor YAML ({_one_line(error)})") from error
    if values > YAML_VALUES_MAX:
        raise InvalidDefinition(reason=f"it has more than {YAML_VALUES_MAX:,} values, with all that anchors repeat")
    return document


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # libyaml's, where it is there
    """Makes JSON's types alone: a date stays a text, and so does `on`."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make an object. Its keys are texts as they are written: status codes often are without quotation marks."""
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                key.tag = _TEXT
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


# Source: https://yaml.org/spec/1.2.2/#103-core-schema
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|Null|NULL|~|)$"), ["n", "N", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:[tT]rue|TRUE|[fF]alse|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(_MERGE, re.compile(r"^<<$"), ["<"])


def _values(value: Any, known: dict[int, int]) -> int:
    """Count a value and everything in it, as often as it is there.

    Raises:
        InvalidDefinition: it contains itself.
    """
    if not isinstance(value, dict | list):
        return 1
    counted = known.get(id(value))
    if counted is None:
        known[id(value)] = 0  # while it is looked into
        inner = value.values() if isinstance(value, dict) else value
        counted = known[id(value)] = 1 + sum(_values(each, known) for each in inner)
    elif not counted:
        raise InvalidDefinition(reason="an anchor of it stands for something that contains it")
    return counted


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
