"""SQL by which the proxy gives a connection a client's variables. A core.

Source: https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SET
"""

from collections.abc import Mapping


def set_variables(variables: Mapping[str, str]) -> str:
    """Set them for the session."""
    return "SELECT " + ", ".join(_set(name, value) for name, value in variables.items())


def rename(begun: str, application: str) -> str:
    """Call the application so, if `begun` is what it is called."""
    name = f"pg_catalog.current_setting('application_name') = {_quoted(begun)}"
    return f"SELECT {_set('application_name', application)} WHERE {name}"


def _set(name: str, value: str) -> str:
    return f"pg_catalog.set_config({_quoted(name)}, {_quoted(value)}, false)"


def _quoted(text: str) -> str:
    """Quote as an SQL string, whatever standard_conforming_strings says."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"
