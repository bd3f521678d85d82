"""What `dbmesh tx doctor` looks at in the mesh's tables: leases, what waits, what contradicts itself, what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from dbmesh.errors import MeshError
from dbmesh.saga.states import TERMINAL, BranchState, TxState
from dbmesh.saga.xa import Verdict
from dbmesh.transaction.branches import BranchRow
from dbmesh.transaction.checkup import Finding, Level
from dbmesh.transaction.log import GlobalTransaction
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.xa_branches import MODE, MayNotList
from dbmesh.transaction.xa_recovery import listing

LONG_SECONDS = 60.0
_AWAY = frozenset((BranchState.ABORTED, BranchState.COMPENSATED))
_THERE = frozenset((BranchState.COMMITTED, BranchState.DONE))
_ALL = 1_000_000
_MOST = 5  # examples in one finding


async def rows(proxy: Proxy) -> list[Finding]:
    """Findings on leases, transactions, branches, locks and undo records."""
    known = {tx.gtrid: tx for tx in await proxy.log.all(most=_ALL)}
    found = [*_proxies(await proxy.log.proxies(), known), *_waiting(known.values())]
    wrong = await _disagreements(proxy)
    if wrong:
        # transactions end while they are looked at: what is wrong is still wrong a moment later
        again = await _disagreements(proxy)
        wrong = [finding for finding in wrong if finding in again]
    found += await _prepared(proxy)
    if not wrong:
        found.append(Finding(Level.OK, "records", "branches, locks and undo records agree with the coordinator log"))
    return found + wrong


async def _prepared(proxy: Proxy) -> list[Finding]:
    """Prepared XA branches that do not end by themselves, and servers that do not show theirs."""
    listed = await listing(proxy)
    advice = "grant it: recovery does without, dbmesh tx xa-recover and resolve do not"
    found = [
        Finding(Level.WARNING, name, error.message, advice)
        for name, error in listed.silent.items()
        if isinstance(error, MayNotList)
    ]
    for item in listed.ours:
        if item.verdict is Verdict.IN_DOUBT:
            gtrid = item.branch.gtrid
            what = f"prepared XA branch {gtrid} is in doubt: the coordinator log does not know it"
            todo = f"it blocks its rows: dbmesh tx resolve {gtrid} commit|rollback"
            found.append(Finding(Level.MISTAKE, item.branch.data_source, what, todo))
    return found


async def _disagreements(proxy: Proxy) -> list[Finding]:
    found = []
    branches: dict[str, list[BranchRow]] = {}
    held: dict[str, set[str]] = {}
    for name in sorted(proxy.places):
        with suppress(MeshError):  # `checkup.servers` has said so
            branches[name] = await proxy.shards.all_branches(name)
            held[name] = {lock["gtrid"] for lock in await proxy.shards.all_locks(name)}
            found += await _undo(proxy, name)
    known = {tx.gtrid: tx for tx in await proxy.log.all(most=_ALL)}
    for name, listed in branches.items():
        found += _left_over(name, listed, held.get(name, ()), known)
    return found + _contradictions(branches, known)


async def _undo(proxy: Proxy, name: str) -> list[Finding]:
    damaged = [
        f"{gtrid} seq {stored.record.seq}"
        for gtrid, stored in await proxy.shards.open_records(name)
        if not stored.intact
    ]
    if not damaged:
        return []
    what = f"undo records whose checksum is wrong: {_some(damaged)}"
    advice = "they will be parked if they have to be undone: find out who has changed them, restore them from a backup"
    return [Finding(Level.MISTAKE, name, what, advice)]


def _proxies(living: Sequence[tuple[str, str, str, bool]], known: Mapping[str, GlobalTransaction]) -> list[Finding]:
    alive = [f"{instance} on {host}, version {version}" for instance, host, version, lives in living if lives]
    if alive:
        versions = {version for _, _, version, lives in living if lives}
        found = [Finding(Level.OK, "meshes", f"{len(alive)} with a lease: {_some(alive)}")]
        if len(versions) > 1:
            what = f"meshes of several versions are running: {', '.join(sorted(versions))}"
            found.append(Finding(Level.WARNING, "meshes", what, "end the upgrade"))
        return found
    if any(tx.state not in TERMINAL and tx.state is not TxState.PARKED for tx in known.values()):
        what = "no mesh has a lease, and there are transactions to be finished"
        return [Finding(Level.MISTAKE, "meshes", what, "start a mesh, or: dbmesh tx replay GTRID")]
    return [Finding(Level.WARNING, "meshes", "no mesh has a lease", "start one, if applications should reach it")]


def _waiting(transactions: Iterable[GlobalTransaction]) -> list[Finding]:
    found = []
    for tx in transactions:
        about, error = tx.gtrid, f": {tx.last_error}" if tx.last_error else ""
        if tx.state is TxState.PARKED:
            word = "resolve" if tx.mode == MODE else "replay, skip or force"
            advice = f"dbmesh tx show {tx.gtrid}, then {word}"
            found.append(Finding(Level.MISTAKE, about, f"parked for {tx.age:.0f} s{error}", advice))
        elif tx.state in (TxState.COMMITTING, TxState.ROLLING_BACK) and tx.age > LONG_SECONDS:
            advice = "bring the server back that its last error names; it goes on by itself"
            found.append(Finding(Level.WARNING, about, f"{tx.state} for {tx.age:.0f} s{error}", advice))
        elif tx.state is TxState.COMMITTED and tx.ended_at is None and tx.age > LONG_SECONDS:
            advice = f"bring the server back, or: dbmesh tx replay {tx.gtrid}"
            found.append(Finding(Level.WARNING, about, f"committed, but its locks are not freed{error}", advice))
    return found


def _left_over(
    name: str, branches: Sequence[BranchRow], held: Collection[str], known: Mapping[str, GlobalTransaction]
) -> list[Finding]:
    found = []
    unknown = sorted({row.gtrid for row in branches if row.gtrid not in known} | {g for g in held if g not in known})
    if unknown:
        what = f"{len(unknown)} transactions that the coordinator log does not know: {_some(unknown)}"
        advice = (
            "the log was lost, restored, or is another one now: do not purge anything; their rows in branch and"
            " undo_record say what they have done on this data source"
        )
        found.append(Finding(Level.MISTAKE, name, what, advice))
    over = sorted(g for g in held if g in known and known[g].state in TERMINAL and known[g].ended_at is not None)
    if over:
        what = f"global locks of transactions that have ended: {_some(over)}"
        advice = f"free them: DELETE FROM row_lock WHERE gtrid IN ({', '.join(repr(g) for g in over[:_MOST])})"
        found.append(Finding(Level.MISTAKE, name, what, advice))
    return found


def _contradictions(
    branches: Mapping[str, Sequence[BranchRow]], known: Mapping[str, GlobalTransaction]
) -> list[Finding]:
    """Branches that say otherwise than the decision of their transaction."""
    found = []
    states = {(row.gtrid, name): row.state for name, listed in branches.items() for row in listed}
    for (gtrid, name), state in states.items():
        tx = known.get(gtrid)
        if tx is not None and tx.state is TxState.ROLLED_BACK and state in _THERE:
            found.append(_contradiction(tx, name, f"its branch on {name} is {state}"))
        if tx is not None and _must_be_there(tx) and state in _AWAY:
            found.append(_contradiction(tx, name, f"its branch on {name} is {state}"))
    for tx in known.values():
        if _must_be_there(tx):
            lost = [name for name in tx.participants if name in branches and (tx.gtrid, name) not in states]
            found += [_contradiction(tx, name, f"its branch on {name} is gone") for name in lost]
    return found


def _must_be_there(tx: GlobalTransaction) -> bool:
    """Every participant has its branch. Those of XA commit after the decision, before the end."""
    committed = tx.state is TxState.COMMITTED
    return committed and (tx.mode == "deferred" or (tx.mode == MODE and tx.ended_at is not None))


def _contradiction(tx: GlobalTransaction, name: str, what: str) -> Finding:
    advice = (
        f"{name} has lost a COMMIT (a replica took over, a backup was restored, innodb_flush_log_at_trx_commit was not"
        f" 1?): compare the rows that dbmesh tx show {tx.gtrid} --images lists"
    )
    return Finding(Level.MISTAKE, tx.gtrid, f"{tx.state}, but {what}", advice)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
