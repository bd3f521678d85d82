"""What to do next in an XA transaction: two-phase commit as pure generators from replies to commands.

The decision row in the coordinator log says COMMITTING before any branch is prepared, and the one compare-and-swap to
COMMITTED, when all are, is the commit. Whatever is found COMMITTING without its owner is rolled back, after a
compare-and-swap to ROLLING_BACK has made the commit impossible (presumed abort). Each branch holds a row of ``branch``
of its own: it is there for others exactly when the branch has committed, so that nobody has to guess.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from dbmesh.saga.commands import Command, Decide, Done, End, Existed, Failed, Lost, OpenLog, Postpone, Reply, Unknown
from dbmesh.saga.coordinator import Kind, Outcome
from dbmesh.saga.states import TxState

FORMAT_ID = 0x44424D4D  # 'DBMM'
_LONGEST = 64  # bytes of a gtrid, and of a bqual
_UNDONE = (TxState.ROLLING_BACK, TxState.ROLLED_BACK, TxState.FORCED_ROLLBACK)


@dataclass(frozen=True, slots=True)
class EndBranch:
    """Write the branch's row into the open branch, and XA END."""

    data_source: str


@dataclass(frozen=True, slots=True)
class PrepareBranch:
    """XA PREPARE."""

    data_source: str


@dataclass(frozen=True, slots=True)
class CommitPrepared:
    """XA COMMIT of a prepared branch, wherever it is held. Vanished when there is none and it has not committed."""

    data_source: str


@dataclass(frozen=True, slots=True)
class RollBackBranch:
    """End a branch, whatever its state, so that it can never commit. Existed when it has committed."""

    data_source: str


@dataclass(frozen=True, slots=True)
class CommitReader:
    """End a branch that has written nothing by a commit of its own, in one phase."""

    data_source: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """A branch that had been prepared is gone without having committed: somebody's hand, or a server's loss."""


XaCommand = EndBranch | PrepareBranch | CommitPrepared | RollBackBranch | CommitReader
XaReply = Reply | Vanished
XaSteps = Generator[Sequence[XaCommand | Command], Sequence[XaReply], Outcome]
_Part = Generator[Sequence[XaCommand | Command], Sequence[XaReply], XaReply]


def commit(writers: Sequence[str], readers: Sequence[str] = ()) -> XaSteps:
    """COMMIT of a transaction whose branches are open. Afterwards, when it is OK: `conclude`.

    OK: committed everywhere. FAILED: rolled back everywhere, or wherever a server answers; nobody can commit it.
    FENCED: somebody else decided; ``state`` says how. PENDING: committed, but not on every data source yet. UNKNOWN:
    the log does not say whether it is committed; nothing was rolled back.
    """
    branches = [*writers, *readers]
    ends = [EndBranch(name) for name in writers] + [CommitReader(name) for name in readers]
    opened, *replies = yield [OpenLog(TxState.COMMITTING), *ends]
    if isinstance(opened, Unknown):
        (opened,) = yield [OpenLog(TxState.COMMITTING)]
    bad = next((reply for reply in (opened, *replies) if not isinstance(reply, Done)), None)
    if bad is None:
        replies = list((yield [PrepareBranch(name) for name in writers]))
        bad = next((reply for reply in replies if not isinstance(reply, Done)), None)
    if bad is not None:
        return (yield from _take_back(branches, bad, logged=not isinstance(opened, Failed)))
    decided = yield from _decide(TxState.COMMITTING, TxState.COMMITTED)
    if isinstance(decided, Lost):
        return (yield from _fenced(writers, decided))
    if not isinstance(decided, Done):
        return Outcome(Kind.UNKNOWN, _error(decided))
    return (yield from _commit_prepared(writers))


def _take_back(branches: Sequence[str], why: XaReply, logged: bool) -> XaSteps:
    """The owner has not decided, so nobody can commit: where the log does not answer, the branches go all the same."""
    decided: XaReply = Done()
    if logged:
        decided = yield from _decide(TxState.COMMITTING, TxState.ROLLING_BACK, str(_error(why)))
        if isinstance(decided, Lost):
            return (yield from _fenced(branches, decided))
    replies = yield [RollBackBranch(name) for name in branches]
    if logged and all(isinstance(reply, Done) for reply in (decided, *replies)):
        yield [Decide(TxState.ROLLING_BACK, TxState.ROLLED_BACK)]
    return Outcome(Kind.FAILED, _error(why), TxState.ROLLED_BACK)


def _fenced(branches: Sequence[str], decided: Lost) -> XaSteps:
    """Somebody else has decided. A branch that the decision lets go need not wait for them.

    Without a row there is nothing that anybody could commit by: it was never written, or the log has lost it.
    """
    state = decided.state or TxState.ROLLED_BACK
    if state in _UNDONE:
        yield [RollBackBranch(name) for name in branches]
    return Outcome(Kind.FENCED, state=state)


def _commit_prepared(names: Sequence[str]) -> XaSteps:
    replies = yield [CommitPrepared(name) for name in names]
    waiting = [(name, reply) for name, reply in zip(names, replies, strict=True) if not isinstance(reply, Done)]
    if not waiting:
        return Outcome(Kind.OK, state=TxState.COMMITTED)
    unfinished = next((reply for _, reply in waiting if not isinstance(reply, Vanished)), None)
    if unfinished is not None:
        error = _error(unfinished)
        yield [Postpone(f"committing {', '.join(name for name, _ in waiting)}: {error}", stuck=False)]
        return Outcome(Kind.PENDING, error, TxState.COMMITTED, f"not yet on {', '.join(name for name, _ in waiting)}")
    detail = f"HEURISTIC: decided to commit, and its prepared branch is gone on {', '.join(n for n, _ in waiting)}"
    return (yield from _park(TxState.COMMITTED, detail))


def conclude() -> XaSteps:
    """After a commit that is OK."""
    yield [End()]
    return Outcome(Kind.OK, state=TxState.COMMITTED)


def recover(state: TxState, participants: Sequence[str]) -> XaSteps:
    """Bring a transaction that nobody drives any more to its end, from what its decision row says."""
    if state is TxState.COMMITTED:
        outcome = yield from _commit_prepared(participants)
        return (yield from conclude()) if outcome.kind is Kind.OK else outcome
    if state in (TxState.COMMITTING, TxState.ROLLING_BACK):
        return (yield from roll_back(participants, state))
    if state is TxState.PARKED:
        return Outcome(Kind.PARKED, state=state, detail="it needs a human's word: dbmesh tx resolve")
    return Outcome(Kind.OK, state=state)


def roll_back(participants: Sequence[str], before: TxState) -> XaSteps:
    """Somebody else's transaction, so the decision comes first: after it the owner cannot commit any more."""
    if before is not TxState.ROLLING_BACK:
        decided = yield from _decide(before, TxState.ROLLING_BACK, "recovered")
        if isinstance(decided, Lost) and decided.state is not TxState.ROLLING_BACK:
            return Outcome(Kind.FENCED, state=decided.state)
        if not isinstance(decided, Done | Lost):
            return Outcome(Kind.PENDING, _error(decided), before)
    replies = yield [RollBackBranch(name) for name in participants]
    answers = list(zip(participants, replies, strict=True))
    committed = [name for name, reply in answers if isinstance(reply, Existed)]
    bad = next((reply for reply in replies if not isinstance(reply, Done | Existed)), None)
    if bad is not None:
        error = _error(bad)
        yield [Postpone(str(error), stuck=False)]
        return Outcome(Kind.PENDING, error, TxState.ROLLING_BACK)
    if committed:
        detail = f"HEURISTIC: decided to roll back, and it has committed on {', '.join(committed)}"
        return (yield from _park(TxState.ROLLING_BACK, detail))
    (reply,) = yield [Decide(TxState.ROLLING_BACK, TxState.ROLLED_BACK)]
    return _ended(reply, TxState.ROLLING_BACK, Outcome(Kind.OK, state=TxState.ROLLED_BACK))


def _park(before: TxState, detail: str) -> XaSteps:
    (reply,) = yield [Decide(before, TxState.PARKED, detail)]
    return _ended(reply, before, Outcome(Kind.PARKED, state=TxState.PARKED, detail=detail))


def _ended(reply: XaReply, before: TxState, outcome: Outcome) -> Outcome:
    if isinstance(reply, Done) or (isinstance(reply, Lost) and reply.state is outcome.state):
        return outcome
    if isinstance(reply, Lost):
        return Outcome(Kind.FENCED, state=reply.state)
    return Outcome(Kind.PENDING, _error(reply), before)


def _decide(before: TxState, after: TxState, note: str = "") -> _Part:
    """A compare-and-swap, once more when no answer came: it says Done, too, when the first has held."""
    (reply,) = yield [Decide(before, after, note)]
    if isinstance(reply, Unknown):
        (reply,) = yield [Decide(before, after, note)]
    return reply


def _error(reply: XaReply) -> Exception | None:
    return reply.error if isinstance(reply, Failed | Unknown) else None


# ---- prepared branches that are found on the servers, and humans' words


class Verdict(StrEnum):
    """What becomes of a prepared branch. TAKE_OVER: its transaction's mesh has died."""

    COMMIT = "commit"
    ROLL_BACK = "roll back"
    WAIT = "its mesh is at work"
    TAKE_OVER = "take over"
    PARKED = "parked"
    IN_DOUBT = "in doubt"


def verdict(state: TxState | None, ended: bool, owner_lives: bool) -> Verdict:
    """By its transaction's row in the log; ``state`` None: there is none, and so no decision to follow."""
    if state is None:
        return Verdict.IN_DOUBT
    if state is TxState.PARKED:
        return Verdict.PARKED
    if not ended:
        return Verdict.WAIT if owner_lives else Verdict.TAKE_OVER
    return Verdict.ROLL_BACK if state in _UNDONE else Verdict.COMMIT


class Evidence(StrEnum):
    """What a data source says of its branch."""

    COMMITTED = "committed"
    PREPARED = "prepared"
    GONE = "gone"
    SILENT = "does not answer"


def objection(commit: bool, found: Mapping[str, Evidence]) -> str:
    """Why a human's word would contradict what the data sources say; '' when it does not."""
    wrong = (Evidence.GONE, Evidence.SILENT) if commit else (Evidence.COMMITTED, Evidence.SILENT)
    return "; ".join(f"on {name} its branch {_TOLD[what]}" for name, what in found.items() if what in wrong)


_TOLD = {
    Evidence.COMMITTED: "has committed",
    Evidence.GONE: "is gone without having committed",
    Evidence.SILENT: "is not known: the server does not answer",
}


# ---- names


@dataclass(frozen=True, slots=True)
class Xid:
    """A branch's name on its server. ``bqual``: which mesh it belongs to, and which of its data sources."""

    gtrid: str
    bqual: str

    @property
    def sql(self) -> str:
        return f"'{self.gtrid}','{self.bqual}',{FORMAT_ID}"


def xid(gtrid: str, mesh: str, data_source: str) -> Xid:
    """``mesh``: the id of the coordinator log, so that two meshes on one server leave each other's branches alone."""
    bqual = f"{mesh}.{data_source}"
    plain = bqual.isascii() and bqual.isprintable() and not set("'\\") & set(bqual)
    if not plain or len(bqual) > _LONGEST:
        bqual = f"{mesh}.{sha256(data_source.encode()).hexdigest()[:32]}"
    return Xid(gtrid, bqual)
