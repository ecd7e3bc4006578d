"""Tables of numbers for the terminal."""

from rich.table import Table


def number_table(first: str, *others: str, no_wrap: bool = False) -> Table:
    """An empty table without rules: a column of names, then right-aligned columns of numbers.

    With `no_wrap`, text that is too long is cut off instead of wrapped. The titles may hold rich's markup.
    """
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column(first, no_wrap=no_wrap)
    for name in others:
        table.add_column(name, justify="right", no_wrap=no_wrap)
    return table
