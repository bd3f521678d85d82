"""What the coordinator asks the shards and the log to do, and what they answer. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dbmesh.saga.states import BranchState, LockState, TxState

# ---- commands: each is one durable effect, or a question


@dataclass(frozen=True, slots=True)
class Prepare:
    """Run a statement's writes on one data source in a local transaction, recorded, and leave it open."""

    data_source: str
    bseq: int
    work: Any


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Write the branch row, undo records and global locks of a deferred transaction into its open local one."""

    data_source: str
    work: Any


@dataclass(frozen=True, slots=True)
class Abandon:
    """Roll an open local transaction back."""

    data_source: str


@dataclass(frozen=True, slots=True)
class CommitBranch:
    """COMMIT an open local transaction."""

    data_source: str
    bseq: int


@dataclass(frozen=True, slots=True)
class OpenLog:
    """Make the transaction's row durable in the coordinator log, ACTIVE or COMMITTING; once more does nothing."""

    state: TxState = TxState.ACTIVE


@dataclass(frozen=True, slots=True)
class Plant:
    """Insert a tombstone where a branch may or may not have committed."""

    data_source: str
    bseq: int


@dataclass(frozen=True, slots=True)
class Decide:
    """Compare-and-swap of the decision row."""

    before: TxState
    after: TxState
    note: str = ""


@dataclass(frozen=True, slots=True)
class MarkLocks:
    """Let those who wait for the transaction's row locks fail at once."""

    data_source: str


@dataclass(frozen=True, slots=True)
class CloseGate:
    """After this no statement of the transaction can commit on the data source any more."""

    data_source: str


@dataclass(frozen=True, slots=True)
class ReadBranches:
    """All branches on one data source."""

    data_source: str


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Lock the rows of a committed transaction again, once each is seen to be as it was left."""

    data_source: str


@dataclass(frozen=True, slots=True)
class Compensate:
    """Undo one branch, exactly once, in one local transaction."""

    data_source: str
    bseq: int


@dataclass(frozen=True, slots=True)
class Postpone:
    """Keep the state, count the attempt and say when to try again."""

    error: str
    stuck: bool  # no server is missing: trying again for ever would not help


@dataclass(frozen=True, slots=True)
class Release:
    """Free the row locks of a committed transaction on one data source; its branches are DONE."""

    data_source: str


@dataclass(frozen=True, slots=True)
class End:
    """Nothing is left to do for the transaction."""


Command = (
    Prepare
    | WriteJournal
    | Abandon
    | CommitBranch
    | OpenLog
    | Plant
    | Decide
    | MarkLocks
    | CloseGate
    | ReadBranches
    | Reclaim
    | Compensate
    | Postpone
    | Release
    | End
)

# ---- replies


@dataclass(frozen=True, slots=True)
class Done:
    """It holds."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The local transaction is open; ``empty``: it changed no row, so there is no branch to commit."""

    empty: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """It does not hold, for certain; ``error`` says why. ``retryable``: the same may succeed later."""

    error: Exception
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Locked:
    """A row is locked by another global transaction."""

    holder: str
    state: LockState


@dataclass(frozen=True, slots=True)
class Fenced:
    """The gate is closed: the outcome was decided elsewhere."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer came: it may hold or not."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Existed:
    """The tombstone's place was taken: the branch committed."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The compare-and-swap failed; ``state`` is what stands there, None when there is no row."""

    state: TxState | None


@dataclass(frozen=True, slots=True)
class Branches:
    """``branches``: (bseq, state) pairs."""

    branches: Sequence[tuple[int, BranchState]]


@dataclass(frozen=True, slots=True)
class Dirty:
    """A row of the branch was changed by others since, or cannot be restored: a human is needed."""

    detail: str


Reply = Done | Prepared | Failed | Locked | Fenced | Unknown | Existed | Lost | Branches | Dirty
