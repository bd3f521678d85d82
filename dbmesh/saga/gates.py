"""What BASE refuses before anything is done, because its compensation could not be right (MySQL error 1235)."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import NotSupported
from dbmesh.saga.images import key_index, unique_indexes
from dbmesh.saga.values import CONSTANT, kind_of
from dbmesh.saga.writes import Write, moved_keys
from dbmesh.schema import Table

LOCAL_INSTEAD = "use SET dbmesh_transaction='local' for it"


def check(write: Write, table: Table) -> None:
    """Raise NotSupported when the write on the table could not be compensated."""
    _check_form(write)
    check_table(table)
    if write.op == "U":
        _check_set(write, table)
        _check_moved(write, table)
    for column in table.columns:
        if not column.generated or column.name.lower() in _key_columns(table):
            kind_of(column)
    for index in unique_indexes(table):
        if any(table.column(name) is None for name in index.columns):
            raise NotSupported(f"unique index {index.name} of {table.name} is over an expression", LOCAL_INSTEAD)


def check_keys(write: Write, table: Table) -> None:
    """Raise NotSupported when it cannot be told which rows' global locks the write would meet."""
    _check_form(write)
    if not key_index(table).columns or table.triggers:
        raise NotSupported(f"table {table.name} has no key or has triggers", LOCAL_INSTEAD)
    if write.op == "U":
        _check_set(write, table)
        if not _key_columns(table).isdisjoint(name.lower() for name in write.set_columns):
            raise NotSupported(f"an UPDATE of a key column of {table.name}", LOCAL_INSTEAD)
    if write.op == "I" and not write.insert_rows:
        raise NotSupported("the new rows are not in the statement", LOCAL_INSTEAD)
    for index in unique_indexes(table):
        for name in index.columns:
            column = table.column(name)
            if column is None:
                raise NotSupported(f"unique index {index.name} of {table.name} is over an expression", LOCAL_INSTEAD)
            kind_of(column)


def _check_form(write: Write) -> None:
    if write.op not in ("I", "U", "D"):
        raise NotSupported("this form of write cannot be compensated in a BASE transaction", LOCAL_INSTEAD)


def check_table(table: Table) -> None:
    """Raise NotSupported when no write of the table could be compensated."""
    name = table.name
    if not key_index(table).columns:
        raise NotSupported(
            f"table {name} has no primary or unique not-null key: its changes cannot be compensated (BASE)",
            "add a key or use SET dbmesh_transaction='local'",
        )
    if table.engine.lower() != "innodb":
        raise NotSupported(f"table {name} has engine {table.engine}, which is not transactional", LOCAL_INSTEAD)
    if table.triggers:
        raise NotSupported(
            f"table {name} has triggers ({_names(table.triggers)}) whose effects BASE cannot undo", LOCAL_INSTEAD
        )
    if table.cascades:
        raise NotSupported(
            f"foreign keys ({_names(table.cascades)}) change other tables when {name} changes, which BASE cannot undo",
            LOCAL_INSTEAD,
        )


def _check_set(write: Write, table: Table) -> None:
    keys = _key_columns(table)
    for name in write.set_columns:
        if table.column(name) is None:
            # the server says it better (1054), unless the planner named an alias: then nothing could be checked
            raise NotSupported(f"column {name} is not known in {table.name}", LOCAL_INSTEAD)
    for column in table.columns:
        if column.name.lower() in keys and column.on_update:
            raise NotSupported(f"key column {column.name} of {table.name} changes by itself ON UPDATE", LOCAL_INSTEAD)
        if column.name.lower() in keys and column.generated:
            raise NotSupported(f"key column {column.name} of {table.name} is generated and may change", LOCAL_INSTEAD)


def _check_moved(write: Write, table: Table) -> None:
    """A new key must be known before it is written: by it the row is found again."""
    keys = _key_columns(table)
    moved = moved_keys(write, table)
    for name in write.set_columns:
        if name.lower() in keys and (write.ignore or not CONSTANT.fullmatch(moved.get(name.lower(), ""))):
            raise NotSupported(
                f"an UPDATE of the key column {name} of {table.name} by an expression, or with IGNORE, cannot be"
                " compensated in a BASE transaction",
                "give the new key as a constant, or delete the row and insert it anew",
            )


def _key_columns(table: Table) -> set[str]:
    return {name.lower() for name in key_index(table).columns}


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
