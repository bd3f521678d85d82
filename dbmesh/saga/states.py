"""The states of a global transaction, of its branches, gates and locks, and who may follow whom."""

from __future__ import annotations

from enum import StrEnum


class TxState(StrEnum):
    """``g_tx.state``, the one decision row of a global transaction."""

    ACTIVE = "ACTIVE"
    COMMITTING = "COMMITTING"
    COMMITTED = "COMMITTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    PARKED = "PARKED"
    FORCED_COMMIT = "FORCED_COMMIT"
    FORCED_ROLLBACK = "FORCED_ROLLBACK"


class BranchState(StrEnum):
    """``branch.state``. ABORTED is a tombstone: that branch never committed and never can."""

    COMMITTED = "COMMITTED"
    ABORTED = "ABORTED"
    COMPENSATED = "COMPENSATED"
    DONE = "DONE"
    PARKED = "PARKED"
    SKIPPED = "SKIPPED"
    FORCED = "FORCED"


class GateState(StrEnum):
    """``gate.state``: a statement of the transaction may commit on this data source only while it is OPEN."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class LockState(StrEnum):
    """``row_lock.state``. Who meets ROLLING_BACK must let go at once: the compensation needs the row."""

    HELD = "HELD"
    ROLLING_BACK = "ROLLING_BACK"


FOLLOWS: dict[TxState, frozenset[TxState]] = {
    TxState.ACTIVE: frozenset((TxState.COMMITTING, TxState.COMMITTED, TxState.ROLLING_BACK)),
    TxState.COMMITTING: frozenset(
        (TxState.COMMITTED, TxState.ROLLING_BACK, TxState.FORCED_COMMIT, TxState.FORCED_ROLLBACK)
    ),
    TxState.ROLLING_BACK: frozenset((TxState.ROLLED_BACK, TxState.PARKED)),
    TxState.PARKED: frozenset((TxState.ROLLING_BACK, TxState.FORCED_COMMIT, TxState.FORCED_ROLLBACK)),
    TxState.COMMITTED: frozenset((TxState.ROLLING_BACK, TxState.PARKED)),  # a human's word; a lost XA branch
    TxState.ROLLED_BACK: frozenset(),
    TxState.FORCED_COMMIT: frozenset(),
    TxState.FORCED_ROLLBACK: frozenset(),
}

TERMINAL = frozenset((TxState.COMMITTED, TxState.ROLLED_BACK, TxState.FORCED_COMMIT, TxState.FORCED_ROLLBACK))
# a branch is DONE in a committed transaction, which is undone only by a human's word
TO_COMPENSATE = frozenset((BranchState.COMMITTED, BranchState.PARKED, BranchState.DONE))
