"""Steps with BASE transactions: a saga that fails half-way, and a mesh killed in the middle of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing, suppress
from decimal import Decimal
from typing import Any

import pymysql
from pymysql.connections import Connection

from dbmesh.sandbox.demo.narrator import Mismatch
from dbmesh.sandbox.demo.stage import Stage

_BALANCES = "SELECT id, balance FROM {table}"
_TRANSFER = (
    "UPDATE account SET balance = balance - 300.00 WHERE id = 1",
    "UPDATE account SET balance = balance + 300.00 WHERE id = 2",
)
_TOO_MUCH = "UPDATE account SET balance = balance - 5000.00 WHERE id = 3"
_SHOWN = (1, 2, 3)

Balances = dict[int, Decimal]


def failing_saga_is_undone(stage: Stage) -> None:
    """Two shards have committed their part when the third refuses: the mesh takes both back by reverse SQL."""
    talk = stage.narrator
    talk.step("A saga that fails half-way is undone by reverse SQL")
    before = _balances(stage)
    with closing(stage.application()) as connection:
        _begin(stage, connection)
        during = _half_done(stage, before)
        gtrid = _open_transaction(stage)
        stage.dbmesh("tx", "reverse-sql", gtrid)
        talk.sql(_TOO_MUCH)
        refusal = _refusal(connection, _TOO_MUCH)
        talk.quote(f"ERROR {refusal}")
        talk.verify("the third account cannot pay: its CHECK refuses a negative balance", _balances(stage), during)
        _run(stage, connection, ["ROLLBACK"])
    after = _balances(stage)
    _show(stage, {"before": before, "half-way": during, "after": after})
    talk.verify("all accounts on all shards are as before", after, before)
    talk.verify("the transaction is recorded as rolled back", _state(stage, gtrid), "ROLLED_BACK")


def killed_mesh_is_replayed(stage: Stage) -> None:
    """The journal is on the shards: whoever comes next can finish what a dead mesh began."""
    talk = stage.narrator
    talk.step("A mesh killed with -9 in the middle of a saga, and the replay from the command line")
    before = _balances(stage)
    connection = stage.application()
    _begin(stage, connection)
    during = _half_done(stage, before)
    gtrid = _open_transaction(stage)
    talk.sql(f"kill -9 {stage.mesh.pid}", "$ ")
    stage.mesh.kill9()
    with suppress(pymysql.err.Error):
        connection.close()
    talk.verify("the mesh is dead and the shards are left half-way", _balances(stage), during)
    stage.dbmesh("tx", "list")
    _replay(stage, gtrid, "--dry-run")
    talk.verify("a dry run changes nothing", _balances(stage), during)
    _replay(stage, gtrid)
    after = _balances(stage)
    _show(stage, {"before": before, "half-way": during, "after": after})
    talk.verify("all accounts on all shards are as before", after, before)
    talk.verify("the transaction is recorded as rolled back", _state(stage, gtrid), "ROLLED_BACK")
    stage.mesh.start()
    total = stage.ask("SELECT COUNT(*) AS accounts, SUM(balance) AS money FROM account")
    talk.verify("a new mesh serves the shop, and no money is lost", total, [(len(before), sum(before.values()))])


def _begin(stage: Stage, connection: Connection[Any]) -> None:
    _run(stage, connection, ["SET dbmesh_transaction = 'base', dbmesh_base_mode = 'eager'", "BEGIN", *_TRANSFER])


def _run(stage: Stage, connection: Connection[Any], statements: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            stage.narrator.sql(statement)
            cursor.execute(statement)


def _refusal(connection: Connection[Any], statement: str) -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except pymysql.err.MySQLError as error:
        return " ".join(str(part) for part in error.args)
    raise Mismatch(f"{statement} was not refused")


def _balances(stage: Stage) -> Balances:
    """Every account, read from the shards directly."""
    return dict(stage.shards.union("account", _BALANCES))


def _half_done(stage: Stage, before: Balances) -> Balances:
    """What the shards hold now, which must be both halves of the transfer."""
    during = _balances(stage)
    moved = before | {1: before[1] - 300, 2: before[2] + 300}
    stage.narrator.verify("both shards have committed their half, each for itself", during, moved)
    return during


def _show(stage: Stage, moments: dict[str, Balances]) -> None:
    rows = [
        (account, stage.shards.home("account", account), *(balances[account] for balances in moments.values()))
        for account in _SHOWN
    ]
    stage.narrator.table(["account", "data node", *moments], rows, title="balances on the shards")


def _transactions(stage: Stage) -> list[dict[str, Any]]:
    done = stage.dbmesh("tx", "list", "--json", quiet=True)
    if done.returncode != 0:
        raise Mismatch(f"dbmesh tx list ended with code {done.returncode}: {done.stdout}{done.stderr}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _open_transaction(stage: Stage) -> str:
    """The gtrid of the only transaction that is not over."""
    active = [tx["gtrid"] for tx in _transactions(stage) if tx["state"] == "ACTIVE"]
    stage.narrator.verify("dbmesh tx list knows one transaction that is not over", len(active), 1)
    return str(active[0])


def _state(stage: Stage, gtrid: str) -> str:
    return str(next(tx["state"] for tx in _transactions(stage) if tx["gtrid"] == gtrid))


def _replay(stage: Stage, gtrid: str, *options: str) -> None:
    done = stage.dbmesh("tx", "replay", gtrid, *options)
    if done.returncode != 0:
        raise Mismatch(f"dbmesh tx replay ended with code {done.returncode}")
