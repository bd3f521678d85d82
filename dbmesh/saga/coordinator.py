"""What to do next in a global transaction: pure generators from replies to commands.

Each generator yields a batch of commands whose effects may happen in any order and gets one reply for each. It may be
left at any point (the proxy died): `recover`, run from what the log says, then brings the transaction to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dbmesh.saga.commands import (
    Abandon,
    Branches,
    CloseGate,
    Command,
    CommitBranch,
    Compensate,
    Decide,
    Dirty,
    Done,
    End,
    Existed,
    Failed,
    Fenced,
    Locked,
    Lost,
    MarkLocks,
    OpenLog,
    Plant,
    Postpone,
    Prepare,
    Prepared,
    ReadBranches,
    Reclaim,
    Release,
    Reply,
    Unknown,
    WriteJournal,
)
from dbmesh.saga.states import TO_COMPENSATE, LockState, TxState

DEFERRED = 0  # the number of a deferred transaction's only branch; eager ones count their statements from 1
Steps = Generator[Sequence[Command], Sequence[Reply], "Outcome"]
_Ask = Generator[Sequence[Command], Sequence[Reply], Any]


class Kind(StrEnum):
    """How a piece of the coordinator's work ended."""

    OK = "ok"
    FAILED = "failed"  # the statement is undone, the transaction goes on
    WAIT = "wait"  # undone; a row is locked by another global transaction
    DOOMED = "doomed"  # the transaction must be rolled back
    FENCED = "fenced"  # decided elsewhere
    PENDING = "pending"  # rolling back; must be tried again later
    PARKED = "parked"  # rolling back; a human is needed
    UNKNOWN = "unknown"  # no answer from the log


@dataclass(frozen=True, slots=True)
class Outcome:
    """``state``: the decision row's, where it was learnt."""

    kind: Kind
    error: Exception | None = None
    state: TxState | None = None
    detail: str = ""
    holder: str = ""


OK = Outcome(Kind.OK)


def statement(bseq: int, work: Mapping[str, Any], logged: bool) -> Steps:
    """One logical statement on one or more data sources: all of its branches commit, or none holds.

    ``logged``: the ACTIVE row is already durable; otherwise it is made so before the first COMMIT.
    """
    replies: list[Reply] = []
    for ds, item in work.items():
        # one after the other, in the order of the data nodes: two statements that write the same shards then wait
        # for each other on the first of them, instead of each holding what the other needs
        batch: list[Command] = [Prepare(ds, bseq, item)]
        if not logged and not replies:
            batch.append(OpenLog())
        answers = yield batch
        replies.append(answers[0])
        bad = next((reply for reply in answers if not isinstance(reply, Prepared | Done)), None)
        if bad is not None:
            prepared = [ds for ds, reply in zip(work, replies, strict=False) if isinstance(reply, Prepared)]
            yield [Abandon(ds) for ds in prepared]
            return _refusal(bad)
    changed = [ds for ds, reply in zip(work, replies, strict=True) if reply == Prepared(empty=False)]
    if len(changed) < len(work):
        yield [Abandon(ds) for ds in work if ds not in changed]
    return (yield from _commit_branches(bseq, changed)) if changed else OK


def _refusal(reply: Reply) -> Outcome:
    if isinstance(reply, Fenced):
        return Outcome(Kind.FENCED)
    if isinstance(reply, Locked):
        kind = Kind.WAIT if reply.state is LockState.HELD else Kind.DOOMED
        return Outcome(kind, detail=f"row locked by {reply.holder}", holder=reply.holder)
    if isinstance(reply, Failed | Unknown):
        return Outcome(Kind.FAILED, reply.error)
    raise AssertionError(reply)


def _commit_branches(bseq: int, data_sources: Sequence[str]) -> Steps:
    replies = yield [CommitBranch(ds, bseq) for ds in data_sources]
    committed = [ds for ds, reply in zip(data_sources, replies, strict=True) if isinstance(reply, Done)]
    asked = [ds for ds, reply in zip(data_sources, replies, strict=True) if isinstance(reply, Unknown)]
    errors = [reply.error for reply in replies if isinstance(reply, Failed | Unknown)]
    if asked:
        answers = yield [Plant(ds, bseq) for ds in asked]
        committed += [ds for ds, reply in zip(asked, answers, strict=True) if isinstance(reply, Existed)]
        if any(not isinstance(reply, Existed | Done) for reply in answers):
            return Outcome(Kind.DOOMED, errors[0], detail="a shard did not say whether its part was committed")
    if len(committed) == len(data_sources):
        return OK
    undone = (yield [Compensate(ds, bseq) for ds in committed]) if committed else ()
    if any(not isinstance(reply, Done) for reply in undone):
        return Outcome(Kind.DOOMED, errors[0], detail="a part of the statement could not be undone")
    return Outcome(Kind.FAILED, errors[0])


def tombstone(data_source: str) -> Command:
    """The fence of a deferred transaction: after it its only branch has committed, or never can."""
    return Plant(data_source, DEFERRED)


def commit_deferred(work: Mapping[str, Any]) -> Steps:
    """COMMIT of a deferred transaction on several data sources, whose local transactions are open.

    ``work``: what each branch writes before it commits. OK: all have committed, and nobody can decide otherwise any
    more. DOOMED: the intent is durable, and some branch has not committed.
    """
    replies = yield [WriteJournal(ds, item) for ds, item in work.items()]
    reply: Reply | None = next((reply for reply in replies if not isinstance(reply, Done)), None)
    if reply is None:
        (reply,) = yield [OpenLog(TxState.COMMITTING)]
        if isinstance(reply, Unknown):
            (reply,) = yield [OpenLog(TxState.COMMITTING)]
    if not isinstance(reply, Done):
        yield [Abandon(ds) for ds in work]
        return Outcome(Kind.WAIT, holder=reply.holder) if isinstance(reply, Locked) else _refusal(reply)
    return (yield from _commit_all(tuple(work)))


def _commit_all(data_sources: Sequence[str]) -> Steps:
    replies = yield [CommitBranch(ds, DEFERRED) for ds in data_sources]
    errors = [reply.error for reply in replies if isinstance(reply, Failed | Unknown)]
    asked = [ds for ds, reply in zip(data_sources, replies, strict=True) if isinstance(reply, Unknown)]
    answers = (yield [tombstone(ds) for ds in asked]) if asked else ()
    if any(isinstance(reply, Failed) for reply in replies) or any(isinstance(reply, Done) for reply in answers):
        return Outcome(Kind.DOOMED, errors[0], detail="a shard has not committed its part")
    if all(isinstance(reply, Existed) for reply in answers):
        return OK
    yield [Postpone(str(errors[0]), stuck=False)]
    return Outcome(Kind.PENDING, errors[0], TxState.COMMITTING)


def conclude(participants: Sequence[str]) -> Steps:
    """After all branches of a deferred transaction have committed: say so, and free the locks."""
    (reply,) = yield [Decide(TxState.COMMITTING, TxState.COMMITTED)]
    if isinstance(reply, Lost) and reply.state is not TxState.COMMITTED:
        return Outcome(Kind.FENCED, state=reply.state)
    if not isinstance(reply, Done | Lost):
        return Outcome(Kind.PENDING, _trouble(reply).error, TxState.COMMITTING)
    return (yield from finish(participants))


def _settle(participants: Sequence[str]) -> Steps:
    """A deferred transaction whose owner has gone in its COMMIT: forward if every branch has committed, else back."""
    replies = yield [tombstone(ds) for ds in participants]
    if all(isinstance(reply, Existed) for reply in replies):
        return (yield from conclude(participants))
    if any(isinstance(reply, Done) for reply in replies):
        return (yield from roll_back(participants, TxState.COMMITTING, "recovered", fence=tombstone))
    bad = next(reply for reply in replies if not isinstance(reply, Existed))
    error = _trouble(bad).error
    yield [Postpone(str(error), stuck=False)]
    return Outcome(Kind.PENDING, error, TxState.COMMITTING)


def undo_statements(branches: Sequence[tuple[str, int]]) -> Steps:
    """ROLLBACK TO SAVEPOINT: undo these (data source, bseq) branches, the last first; the transaction goes on."""
    outcome = yield from _compensate(_by_data_source(branches))
    if outcome.kind is not Kind.OK:
        return Outcome(Kind.DOOMED, outcome.error, detail=outcome.detail)
    return OK


def _by_data_source(branches: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for data_source, bseq in sorted(branches, key=lambda branch: -branch[1]):
        found.setdefault(data_source, []).append(bseq)
    return found


def commit() -> Steps:
    """The one commit point: ACTIVE becomes COMMITTED, or somebody decided otherwise."""
    (reply,) = yield [Decide(TxState.ACTIVE, TxState.COMMITTED)]
    if isinstance(reply, Unknown):
        (reply,) = yield [Decide(TxState.ACTIVE, TxState.COMMITTED)]
    if isinstance(reply, Done):
        return Outcome(Kind.OK, state=TxState.COMMITTED)
    if isinstance(reply, Lost):
        kind = Kind.OK if reply.state is TxState.COMMITTED else Kind.FENCED
        return Outcome(kind, state=reply.state)
    return Outcome(Kind.UNKNOWN, reply.error if isinstance(reply, Unknown | Failed) else None)


def finish(participants: Sequence[str]) -> Steps:
    """After COMMITTED: free the row locks everywhere."""
    replies = yield [Release(ds) for ds in participants]
    bad = next((reply for reply in replies if not isinstance(reply, Done)), None)
    if bad is not None:
        error = bad.error if isinstance(bad, Failed | Unknown) else None
        yield [Postpone(f"freeing locks: {error}", stuck=False)]
        return Outcome(Kind.PENDING, error, TxState.COMMITTED)
    yield [End()]
    return Outcome(Kind.OK, state=TxState.COMMITTED)


def roll_back(
    participants: Sequence[str],
    before: TxState = TxState.ACTIVE,
    note: str = "",
    rest: TxState | None = None,
    fence: Callable[[str], Command] = CloseGate,
) -> Steps:
    """Undo everything. The order is the protection: decide, fence every data source, only then read the branches.

    ``participants``: every data source that a statement of the transaction may have reached. ``rest``: only a part
    of them is to be undone now; the state in which the transaction is left for the others' sake. ``fence``: after it
    nothing of the transaction can commit on a data source any more.
    """
    if before is not TxState.ROLLING_BACK:
        (reply,) = yield [Decide(before, TxState.ROLLING_BACK, note)]
        if isinstance(reply, Unknown):
            (reply,) = yield [Decide(before, TxState.ROLLING_BACK, note)]
        if isinstance(reply, Lost) and reply.state is not TxState.ROLLING_BACK:
            return Outcome(Kind.FENCED, state=reply.state)
        if not isinstance(reply, Done | Lost):
            return Outcome(Kind.UNKNOWN, reply.error if isinstance(reply, Unknown | Failed) else None)
    return (yield from _undo_all(participants, rest, fence))


def _undo_all(participants: Sequence[str], rest: TxState | None, fence: Callable[[str], Command]) -> Steps:
    reachable, first = yield from _fenced(participants, fence)
    replies = yield [ReadBranches(ds) for ds in reachable]
    found: list[tuple[str, int]] = []
    for ds, reply in zip(reachable, replies, strict=True):
        if isinstance(reply, Branches):
            found += [(ds, bseq) for bseq, state in reply.branches if state in TO_COMPENSATE]
        elif first is None:
            first = _trouble(reply)
    outcome = yield from _compensate(_by_data_source(found))
    if first is not None and outcome.kind in (Kind.OK, Kind.PARKED):
        outcome = first
    if rest is not None and outcome.kind is Kind.OK:
        outcome = Outcome(Kind.PENDING if rest is TxState.ROLLING_BACK else Kind.PARKED, detail=f"only {participants}")
    return (yield from _conclude(outcome))


def _fenced(participants: Sequence[str], fence: Callable[[str], Command]) -> _Ask:
    """Fence every data source. Returns those where that is sure, and the first trouble elsewhere."""
    replies = yield [fence(ds) for ds in participants]
    sure = [ds for ds, reply in zip(participants, replies, strict=True) if isinstance(reply, Done | Existed)]
    yield [MarkLocks(ds) for ds in sure]
    bad = next((reply for reply in replies if not isinstance(reply, Done | Existed)), None)
    return sure, None if bad is None else _trouble(bad)


def _trouble(reply: Reply) -> Outcome:
    error = reply.error if isinstance(reply, Failed | Unknown) else None
    return Outcome(Kind.PENDING, error, detail=str(error))


def _compensate(todo: dict[str, list[int]]) -> Steps:
    """Branches of one data source from the last to the first, data sources side by side.

    A dirty row does not keep the others from being undone; a shard that does not answer stops its own list only.
    """
    worst = OK
    while todo:
        heads = [(ds, bseqs[0]) for ds, bseqs in todo.items()]
        replies = yield [Compensate(ds, bseq) for ds, bseq in heads]
        for (ds, _), reply in zip(heads, replies, strict=True):
            todo[ds].pop(0)
            if isinstance(reply, Dirty):
                worst = worst if worst.kind is Kind.PENDING else Outcome(Kind.PARKED, detail=reply.detail)
            elif not isinstance(reply, Done):
                stuck = isinstance(reply, Failed) and not reply.retryable
                worst = Outcome(Kind.PENDING, _trouble(reply).error, detail="stuck" if stuck else "")
                todo[ds].clear()
        todo = {ds: bseqs for ds, bseqs in todo.items() if bseqs}
    return worst


def _conclude(outcome: Outcome) -> Steps:
    if outcome.kind is Kind.PENDING:
        yield [Postpone(str(outcome.error), stuck=outcome.detail == "stuck")]
        return Outcome(Kind.PENDING, outcome.error, TxState.ROLLING_BACK)
    after = TxState.PARKED if outcome.kind is Kind.PARKED else TxState.ROLLED_BACK
    (reply,) = yield [Decide(TxState.ROLLING_BACK, after, outcome.detail)]
    if isinstance(reply, Lost) and reply.state is not after:
        return Outcome(Kind.FENCED, state=reply.state)
    if not isinstance(reply, Done | Lost):
        return Outcome(Kind.PENDING, None, TxState.ROLLING_BACK)
    return Outcome(outcome.kind, state=after, detail=outcome.detail)


def undo(participants: Sequence[str], note: str, deferred: bool = False) -> Steps:
    """Undo what has been committed, by a human's word: on every data source, or on none.

    FAILED and WAIT: a row has been changed or is locked by others; nothing was done.
    """
    replies = yield [Reclaim(ds) for ds in participants]
    bad = next((reply for reply in replies if not isinstance(reply, Done)), None)
    if bad is None:
        fence = tombstone if deferred else CloseGate
        return (yield from roll_back(participants, TxState.COMMITTED, note, fence=fence))
    yield from finish(participants)
    if isinstance(bad, Dirty):
        return Outcome(Kind.FAILED, state=TxState.COMMITTED, detail=bad.detail)
    if isinstance(bad, Locked):
        return Outcome(Kind.WAIT, state=TxState.COMMITTED, detail=f"a row is locked by {bad.holder}", holder=bad.holder)
    return Outcome(Kind.FAILED, _trouble(bad).error, TxState.COMMITTED)


def recover(state: TxState, participants: Sequence[str], only: Sequence[str] = (), deferred: bool = False) -> Steps:
    """Bring a transaction that nobody drives any more to its end, from what its decision row says.

    ``only``: undo it on these data sources and leave the others for later. ``deferred``: its mode.
    """
    fence = tombstone if deferred else CloseGate
    if state is TxState.COMMITTED:
        return (yield from finish(participants))
    if state is TxState.COMMITTING:
        return (yield from _settle(participants))
    if state in (TxState.ACTIVE, TxState.ROLLING_BACK, TxState.PARKED):
        if not set(participants) - set(only or participants):
            return (yield from roll_back(participants, state, "recovered", fence=fence))
        rest = TxState.PARKED if state is TxState.PARKED else TxState.ROLLING_BACK
        return (yield from roll_back(tuple(only), state, "recovered in part", rest, fence))
    return Outcome(Kind.OK, state=state)
