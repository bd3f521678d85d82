"""How a write would be recorded and undone, said before it runs: for EXPLAIN FORMAT=MESH.

The rows are known only when it runs, so keys and images stand as <key> and <before image>.
"""

from __future__ import annotations

from dbmesh.errors import NotSupported
from dbmesh.saga import gates
from dbmesh.saga.writes import Recording, Write, recording
from dbmesh.schema import Table


def preview(write: Write | None, table: Table) -> str:
    """Lines: the snapshot, the global locks, what undoes it; for a write that BASE refuses, one line that says why."""
    try:
        if write is None:
            raise NotSupported("this form of write cannot be compensated in a BASE transaction", gates.LOCAL_INSTEAD)
        gates.check(write, table)
        recorded = recording(write, table)
    except NotSupported as refusal:
        return f"undo: refused: {refusal.message.removeprefix(NotSupported.prefix)}"
    lines = [f"snapshot: {text}" for text in [_snapshot(recorded)] if text]
    locks = ", ".join(f"{index.name}({', '.join(index.columns)})" for index in recorded.locked)
    return "\n".join([*lines, f"locks: {locks} of each row, before and after", f"undo: {_undo(recorded)}"])


def _snapshot(recorded: Recording) -> str:
    columns = ", ".join(f"`{column.name}`" for column in recorded.capture.columns)
    where = recorded.candidates
    if recorded.write.op != "I":
        where = recorded.write.where or "1"
    return f"SELECT {columns} FROM {recorded.write.source} WHERE {where} FOR UPDATE" if where else ""


def _undo(recorded: Recording) -> str:
    name = f"`{recorded.table.name}`"
    key = " AND ".join(f"`{column}`=<key>" for column in recorded.key.columns)
    touched = ", ".join(f"`{column}`" for column in recorded.touched)
    delete = f"for each new row: DELETE FROM {name} WHERE {key}"
    insert = f"for each deleted row: INSERT INTO {name} ({touched}) VALUES (<before image>)"
    restored = ", ".join(f"`{column}`=<before image>" for column in recorded.touched)
    update = f"for each changed row: UPDATE {name} SET {restored} WHERE {key}"
    if recorded.candidates:
        return f"{delete}; {update if recorded.kind == 'update' else insert}" if recorded.kind != "ignore" else delete
    return {"I": delete, "D": insert, "U": update}[recorded.write.op]
