"""A global transaction in full: its row in the log, branches, recorded rows and how they are now, locks, audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dbmesh.errors import MeshError
from dbmesh.saga.states import TO_COMPENSATE
from dbmesh.saga.undo import UndoRecord
from dbmesh.transaction.branches import Branch
from dbmesh.transaction.compensate import DirtyRow, difference, found_image, still_ours
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.xa_branches import MODE
from dbmesh.transaction.xa_recovery import evidence


def summary(transaction: GlobalTransaction) -> dict[str, Any]:
    """Its row in the coordinator log."""
    return {
        "gtrid": transaction.gtrid,
        "state": transaction.state,
        "mode": transaction.mode,
        "age": round(transaction.age, 3),
        "owner": transaction.owner,
        "owner_lives": transaction.owner_lives,
        "client": transaction.client,
        "participants": list(transaction.participants),
        "attempts": transaction.attempts,
        "deadline": transaction.deadline,
        "next_try_at": transaction.next_try_at,
        "last_error": transaction.last_error,
        "created_at": transaction.created_at,
        "decided_at": transaction.decided_at,
        "ended_at": transaction.ended_at,
    }


async def details(proxy: Proxy, transaction: GlobalTransaction, images: bool = False) -> dict[str, Any]:
    """Everything about a transaction, for JSON. ``images``: also the rows' values before and after it."""
    shards: dict[str, Any] = {}
    for name in transaction.participants:
        try:
            branches = await proxy.shards.list_branches(transaction.gtrid, name)
            if transaction.mode == MODE:
                found = await evidence(proxy, transaction.gtrid, (name,))
                shards[name] = {"branches": [], "undo": [], "locks": [], "xa": found[name]}
            elif branches:
                shards[name] = await _shard(proxy, transaction, name, branches, images)
        except MeshError as error:
            shards[name] = {"error": error.message}
    events = [
        {"at": at, "actor": actor, "kind": kind, "detail": json.loads(detail or "{}")}
        for at, actor, kind, detail in await proxy.log.events(transaction.gtrid)
    ]
    return summary(transaction) | {"shards": shards, "events": events}


async def _shard(
    proxy: Proxy, transaction: GlobalTransaction, name: str, branches: Sequence[Branch], images: bool
) -> dict[str, Any]:
    undone = {branch.bseq for branch in branches if branch.state not in TO_COMPENSATE}
    stored = await proxy.shards.undo_records(transaction.gtrid, name)
    rows = []
    for item in stored:
        record = item.record
        row: dict[str, Any] = {
            "seq": record.seq,
            "branch": record.bseq,
            "op": record.op,
            "table": f"{record.schema}.{record.table}",
            "row": record.row_condition,
            "change": difference(record.before, record.after),
            "reverse_sql": record.reverse_sql,
            "original": record.original,
        }
        if record.bseq not in undone:
            row["now"] = await _now(proxy, name, record) if item.intact else "damaged: checksum is wrong"
        if images:
            row["before"], row["after"] = _image(record.before), _image(record.after)
        rows.append(row)
    locks = await proxy.shards.locks(transaction.gtrid, name)
    return {
        "branches": [
            {"branch": b.bseq, "state": b.state, "created": b.created_at, "ended": b.ended_at, "note": b.note}
            for b in branches
        ],
        "undo": rows,
        "locks": [{"table": table, "key": key, "state": state} for table, key, state in locks],
    }


async def _now(proxy: Proxy, name: str, record: UndoRecord) -> str:
    """How the row is now, next to what the compensation expects."""
    try:
        async with proxy.links.link(name) as link:
            current = await found_image(link, record, lock=False)
        return "as the transaction left it" if still_ours(record, current) else "as before the transaction"
    except DirtyRow as dirty:
        return str(dirty)


def _image(image: Any) -> dict[str, str | None] | None:
    return None if image is None else {column: value.text for column, value in image.items()}
