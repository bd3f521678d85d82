"""XA branches as any proxy finds them on the servers, by the mesh's own links: committed, rolled back, listed.

Whether a branch has committed is never guessed from what the servers say of its xid (1397 says "unknown" of a branch
that has been committed, that never was, and, on MariaDB, that another connection holds): the branch's own row of
``branch`` tells, and who locks that row is who holds the branch.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbmesh.errors import BackendError, MeshError
from dbmesh.saga.commands import Done, Existed
from dbmesh.saga.states import BranchState
from dbmesh.saga.xa import FORMAT_ID, Vanished, Xid, xid
from dbmesh.transaction.branches import Shards
from dbmesh.transaction.failpoints import step
from dbmesh.transaction.log import text
from dbmesh.transaction.ports import Cells

BSEQ = 0  # the number of an XA transaction's only branch on a data source
MODE = "xa"
_NOTA = 1397  # no such branch, or another connection has it
_MAY_NOT_LIST = 1401
_GONE = frozenset((_NOTA, 1402, 1613, 1614))  # or the server has rolled it back: XA_RBROLLBACK, RBTIMEOUT, RBDEADLOCK


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row of XA RECOVER. ``ours``: a branch of this mesh on this data source."""

    data_source: str
    format_id: int
    gtrid: str
    bqual: str
    ours: bool


class MayNotList(MeshError):
    """ER_XAER_RMERR: MySQL shows prepared branches to accounts with XA_RECOVER_ADMIN only."""

    errno = _MAY_NOT_LIST
    sqlstate = "XAE03"


@dataclass(frozen=True, slots=True)
class XaBranches:
    """``mesh``: the coordinator log's id. Raises errors.BackendError and errors.BackendLost."""

    shards: Shards
    mesh: str

    def xid(self, gtrid: str, data_source: str) -> Xid:
        return xid(gtrid, self.mesh, data_source)

    async def commit(self, gtrid: str, data_source: str) -> Done | Vanished:
        """A branch of a transaction that is COMMITTED: it was prepared, and perhaps it has committed already."""
        if await self._end("XA COMMIT", gtrid, data_source):
            return Done()
        place = self.shards.place(data_source)
        sql = (
            f"SELECT state FROM {place.name('branch')} WHERE gtrid={text(gtrid)} AND ds={text(data_source)}"
            f" AND bseq={BSEQ} FOR UPDATE"
        )
        answer = await self.shards.insist(data_source, sql, lambda: self._end("XA COMMIT", gtrid, data_source))
        committed = BranchState.COMMITTED.encode()
        return Done() if answer.rows and answer.rows[0][0] == committed else Vanished()

    async def roll_back(self, gtrid: str, data_source: str, epoch: int) -> Done | Existed:
        """Whatever its state; after Done it can never commit, nor be prepared."""
        await self._end("XA ROLLBACK", gtrid, data_source)
        return await self.shards.plant(
            gtrid, data_source, BSEQ, epoch, MODE, lambda: self._end("XA ROLLBACK", gtrid, data_source)
        )

    async def prepared(self, data_source: str) -> list[Prepared]:
        """All prepared branches of the data source's server but those of the mesh's other data sources.

        Raises MayNotList.
        """
        async with self.shards.links.link(data_source) as link:
            on_mysql = "mariadb" not in link.server_version.lower()
            try:
                rows = (await link.execute("XA RECOVER CONVERT XID" if on_mysql else "XA RECOVER")).rows
            except BackendError as error:
                if error.errno == _MAY_NOT_LIST:
                    raise MayNotList(f"the account of '{data_source}' lacks XA_RECOVER_ADMIN") from error
                raise
        found = [self._read(data_source, row, on_mysql) for row in rows]
        others = {xid("", self.mesh, name).bqual for name in self.shards.links.data_sources} - {
            xid("", self.mesh, data_source).bqual
        }
        return [item for item in found if item.format_id != FORMAT_ID or item.bqual not in others]

    def _read(self, data_source: str, row: Cells, hexadecimal: bool) -> Prepared:
        data = row[3] or b""
        if hexadecimal:
            data = bytes.fromhex(data.decode("ascii").removeprefix("0x"))
        length = int(row[1] or 0)
        gtrid, bqual = (part.decode("utf-8", "backslashreplace") for part in (data[:length], data[length:]))
        format_id = int(row[0] or 0)
        ours = format_id == FORMAT_ID and bqual == self.xid(gtrid, data_source).bqual
        return Prepared(data_source, format_id, gtrid, bqual, ours)

    async def _end(self, verb: str, gtrid: str, data_source: str) -> bool:
        """False when the server has no such branch, or none for us."""
        sql = f"{verb} {self.xid(gtrid, data_source).sql}"
        try:
            await step(verb.lower().replace(" ", "_"), data_source, lambda: self.shards.links.execute(data_source, sql))
        except BackendError as error:
            if error.errno not in _GONE:
                raise
            return False
        return True
