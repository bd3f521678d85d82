"""What would undo a write, said before it runs: for EXPLAIN FORMAT=MESH. The values are known only when it has run."""

from __future__ import annotations

from dbmesh.errors import NotSupported
from dbmesh.saga import gates
from dbmesh.saga.writes import Write, recording
from dbmesh.schema import Table


def preview(write: Write | None, table: Table) -> str:
    """One line; for a write that BASE refuses, why."""
    try:
        if write is None:
            raise NotSupported("this form of write cannot be compensated in a BASE transaction", gates.LOCAL_INSTEAD)
        gates.check(write, table)
        recorded = recording(write, table)
    except NotSupported as refusal:
        return f"refused: {refusal.message.removeprefix(NotSupported.prefix)}"
    name = f"`{table.name}`"
    key = " AND ".join(f"`{column}`=<key>" for column in recorded.key.columns)
    touched = ", ".join(f"`{column}`" for column in recorded.touched)
    if recorded.candidates:
        return (
            f"each row as before of those where {recorded.candidates}: DELETE, UPDATE or INSERT by `{table.name}`'s key"
        )
    if write.op == "I":
        return f"for each new row: DELETE FROM {name} WHERE {key}"
    if write.op == "D":
        return f"for each deleted row: INSERT INTO {name} ({touched}) VALUES (<before image>)"
    restored = ", ".join(f"`{column}`=<before image>" for column in recorded.touched)
    return f"for each changed row: UPDATE {name} SET {restored} WHERE {key}"
