"""What a text does to its session, by its parse tree: PostgreSQL's own parser says what is a call and what only a name.

A statement that is defined here and run later (a function's body, a view, a column's default) does nothing yet.

Source: https://github.com/pganalyze/libpg_query (the tree is PostgreSQL's raw parse tree, its nodes by name)
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from workshape.pgproxy.pins import (
    LASTING_FUNCTIONS,
    SET_CONFIG,
    SETTINGS_VIEW,
    TEMPORARY_SCHEMA,
    UNLOCK_ALL,
    Findings,
    PinReason,
)
from workshape.pgproxy.sql_scan import BLOCK_LANGUAGE, block_pins

Node = Mapping[str, Any]  # the fields of a node, or one node as {its name: its fields}

_HOLD = 0x20  # of DeclareCursorStmt's options: CURSOR_OPT_HOLD, PostgreSQL 14 and later
_DEFINITIONS = frozenset(
    {
        "AlterFunctionStmt",
        "AlterPolicyStmt",
        "CreateDomainStmt",
        "CreateForeignTableStmt",
        "CreateFunctionStmt",
        "CreatePolicyStmt",
        "CreateStmt",
        "CreateTrigStmt",
        "RuleStmt",
        "ViewStmt",
    }
)
"""What is in them is not run now."""
_DISCARDED = {
    "DISCARD_TEMP": frozenset({PinReason.TEMPORARY}),
    "DISCARD_SEQUENCES": frozenset({PinReason.SEQUENCE}),
}
_SET_SEARCH_PATH = "search_path"


def add_statement(findings: Findings, statement: Node) -> None:
    """Take note of one statement of a parsed text."""
    if _unlocks_all(statement.get("SelectStmt", {})):
        findings.lift(frozenset({PinReason.ADVISORY_LOCK}))
    for name, node in _walk(statement):
        take = _TAKE.get(name)
        if take is not None:
            take(findings, node)
    if any(_is_temporary(name, node) for name, node in _walk(statement, into_definitions=True)):
        findings.pin(PinReason.TEMPORARY)


def _walk(tree: Node, *, into_definitions: bool = False) -> Iterator[tuple[str, Any]]:
    """Give every node that has a name, from the outside in, without recursion: trees can be deep.

    Fields are given like nodes: PostgreSQL's nodes begin with a capital letter, fields do not.
    """
    waiting: list[Any] = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting.extend(reversed(found))
        elif isinstance(found, Mapping):
            for name, value in found.items():
                yield name, value
                if into_definitions or name not in _DEFINITIONS:
                    waiting.append(value)


def _is_temporary(name: str, node: Any) -> bool:
    """Whether it makes a temporary relation that outlives its transaction, or names the temporary schema."""
    match name:
        case "CreateStmt":
            return _persists_for_session(node["relation"], node.get("oncommit"))
        case "intoClause" | "into":
            return isinstance(node, Mapping) and _persists_for_session(node.get("rel", {}), node.get("onCommit"))
        case "view" | "sequence":
            return isinstance(node, Mapping) and _persists_for_session(node, None)
        case "schemaname":
            return isinstance(node, str) and node.startswith(TEMPORARY_SCHEMA)
        case "String":
            return str(node.get("sval", "")).startswith(TEMPORARY_SCHEMA)
        case _:
            return False


def _persists_for_session(relation: Node, on_commit: str | None) -> bool:
    return relation.get("relpersistence") == "t" and on_commit != "ONCOMMIT_DROP"


# Statements, by the names of their nodes


def _variable_set(findings: Findings, node: Node) -> None:
    kind, name = node["kind"], str(node.get("name", "")).lower()
    if name == _SET_SEARCH_PATH:
        findings.set_path(" ".join(_constant(argument) or "" for argument in node.get("args", ())))
    if node.get("is_local"):
        return
    match kind:
        case "VAR_RESET_ALL":
            findings.lift(frozenset({PinReason.VARIABLE}))
            findings.reset_all()
        case "VAR_RESET":
            findings.reset(name)
        case "VAR_SET_DEFAULT":
            if name == "session_authorization":
                findings.pin(PinReason.ROLE)  # as any SET of it: a role set before it may stay
            else:
                findings.reset(name)
        case "VAR_SET_MULTI":
            if name == "session characteristics":
                findings.pin(PinReason.VARIABLE)
        case _:
            findings.set(name)


def _discard(findings: Findings, node: Node) -> None:
    if node.get("target", "DISCARD_ALL") == "DISCARD_ALL":
        findings.discard_all()
    else:
        findings.lift(_DISCARDED.get(node["target"], frozenset()))


def _deallocate(findings: Findings, node: Node) -> None:
    if node.get("isall"):
        findings.deallocate_all()
    else:
        findings.deallocate(node["name"].encode())


def _unlisten(findings: Findings, node: Node) -> None:
    if "conditionname" not in node:
        findings.lift(frozenset({PinReason.LISTEN}))


def _close(findings: Findings, node: Node) -> None:
    if "portalname" not in node:
        findings.lift(frozenset({PinReason.CURSOR}))


def _execute(findings: Findings, node: Node) -> None:
    findings.execute(node["name"].encode())


def _prepare(findings: Findings, _: Node) -> None:
    findings.pin(PinReason.PREPARED)


def _listen(findings: Findings, _: Node) -> None:
    findings.pin(PinReason.LISTEN)


def _load(findings: Findings, _: Node) -> None:
    findings.pin(PinReason.LIBRARY)


def _declare(findings: Findings, node: Node) -> None:
    if int(node.get("options", 0)) & _HOLD:
        findings.pin(PinReason.CURSOR)


def _unlocks_all(select: Node) -> bool:
    """Know `SELECT pg_advisory_unlock_all()` alone: with FROM or WHERE, or inside another, it may not be called."""
    targets = select.get("targetList", [])
    if select.keys() - {"targetList", "limitOption", "op"} or len(targets) != 1:
        return False
    call = targets[0].get("ResTarget", {}).get("val", {}).get("FuncCall")
    return call is not None and _function(call) == UNLOCK_ALL


def _update(findings: Findings, node: Node) -> None:
    if node["relation"].get("relname") == SETTINGS_VIEW:
        findings.pin(PinReason.VARIABLE)


def _do(findings: Findings, node: Node) -> None:
    options = {each["DefElem"]["defname"]: each["DefElem"]["arg"]["String"].get("sval", "") for each in node["args"]}
    language = options.get("language", BLOCK_LANGUAGE.decode()).encode()
    for reason in block_pins(options.get("as", "").encode(), language, findings.tracked):
        findings.pin(reason)


def _call(findings: Findings, node: Node) -> None:
    name = _function(node)
    if name in LASTING_FUNCTIONS:
        findings.pin(LASTING_FUNCTIONS[name])
    elif name == SET_CONFIG:
        _set_config(findings, node.get("args", []))


def _set_config(findings: Findings, arguments: list[Node]) -> None:
    variable = _constant(arguments[0]) if arguments else None
    if variable is None:
        findings.pin(PinReason.VARIABLE)
        return
    variable = variable.lower()
    if variable == _SET_SEARCH_PATH and len(arguments) > 1:
        findings.set_path(_constant(arguments[1]) or "")
    if len(arguments) < 3 or arguments[2].get("A_Const", {}).get("boolval") != {"boolval": True}:
        findings.set(variable)


_TAKE: Mapping[str, Callable[[Findings, Any], None]] = {
    "VariableSetStmt": _variable_set,
    "DiscardStmt": _discard,
    "DeallocateStmt": _deallocate,
    "ExecuteStmt": _execute,
    "PrepareStmt": _prepare,
    "ListenStmt": _listen,
    "LoadStmt": _load,
    "UnlistenStmt": _unlisten,
    "ClosePortalStmt": _close,
    "DeclareCursorStmt": _declare,
    "UpdateStmt": _update,
    "DoStmt": _do,
    "FuncCall": _call,
}


def _function(call: Node) -> str:
    """Give a called function's name, whatever its schema."""
    return str(call["funcname"][-1]["String"].get("sval", ""))


def _constant(node: Node) -> str | None:
    """Give a string constant; None when it is something else."""
    constant = node.get("A_Const", {}).get("sval")
    return None if constant is None else str(constant.get("sval", ""))
