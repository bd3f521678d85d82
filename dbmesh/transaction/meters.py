"""What a process counts of global transactions, and what the coordinator log says of all of them: for monitoring.

Counters only rise while the process lives; gauges are asked of the log when somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from dbmesh.saga.states import TxState
from dbmesh.transaction.log import CoordinatorLog


@dataclass(slots=True)
class Counters:
    """Since the start of this process. ``seconds_waited``: for rows of other global transactions, of all who waited.

    ``commits``, ``rollbacks``: of global transactions that were driven here to their end. ``compensations``: branches
    undone. ``parkings``: branches parked. ``lock_waits``: how often somebody waited for a global lock, and
    ``lock_timeouts``: in vain. ``takeovers``: transactions of other, dead processes that were finished here.
    """

    commits: int = 0
    rollbacks: int = 0
    compensations: int = 0
    parkings: int = 0
    lock_waits: int = 0
    lock_timeouts: int = 0
    seconds_waited: float = 0.0
    takeovers: int = 0

    def decided(self, state: TxState) -> None:
        """A transaction's decision row has that state by this process's word."""
        self.commits += state is TxState.COMMITTED
        self.rollbacks += state is TxState.ROLLED_BACK

    def named(self) -> list[tuple[str, float]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


@dataclass(frozen=True, slots=True)
class Gauges:
    """Of all processes, now. ``in_doubt``: committing, with no answer yet; ``oldest``: seconds, 0 when none is open."""

    active: int
    in_doubt: int
    rolling_back: int
    parked: int
    freeing_locks: int
    oldest: float

    def named(self) -> list[tuple[str, float]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


async def gauges(log: CoordinatorLog) -> Gauges:
    """Raises errors.BackendError, errors.BackendLost."""
    found = await log.open_states()
    count = {state: number for state, (number, _) in found.items()}
    return Gauges(
        active=count.get(TxState.ACTIVE, 0),
        in_doubt=count.get(TxState.COMMITTING, 0),
        rolling_back=count.get(TxState.ROLLING_BACK, 0),
        parked=count.get(TxState.PARKED, 0),
        freeing_locks=count.get(TxState.COMMITTED, 0),
        oldest=max((age for _, age in found.values()), default=0.0),
    )
