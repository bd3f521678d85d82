"""What a compensation has done to rows, or would do: a table for people, dictionaries for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from dbmesh.cli.terminal import console
from dbmesh.transaction.compensate import Restored

Rows = Mapping[str, Sequence[Restored]]  # data source → rows


def as_dictionaries(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(row) for row in found] for name, found in rows.items()}


def print_rows(rows: Rows, heading: str, conflicts: Mapping[str, str]) -> None:
    """One line per row. ``heading``: of the column with the change. ``conflicts``: data source → why it cannot be."""
    table = Table("data source", "seq", "row", heading, box=None, pad_edge=False)
    for name, found in rows.items():
        for row in found:
            table.add_row(name, f"{row.seq} {row.op}", escape(row.row), f"[yellow]{escape(row.change)}[/]")
    for name, conflict in conflicts.items():
        table.add_row(name, "", "", f"[bold red]conflict: {escape(conflict)}[/]")
    console().print(table)
