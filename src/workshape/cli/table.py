"""A table as the commands show it: a line below the heading and no box; what is too long is folded, never cut off."""

from collections.abc import Collection

from rich import box
from rich.table import Table


def plain_table(title: str, *columns: str, numbers: Collection[str] = ()) -> Table:
    """Make an empty one; the columns that `numbers` names are set to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table
