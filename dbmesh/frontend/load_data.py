"""LOAD DATA LOCAL INFILE: the client's file to one server as it comes, or parted by shard.

A file for several data nodes is taken in to its end before any server is asked: its parts wait in temporary files, so
memory does not grow with it, a refused record has changed nothing, and the nodes are written one after the other.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from dbmesh.errors import BackendError, MeshError, NotSupported
from dbmesh.frontend import planned, rights
from dbmesh.frontend.asks import ask
from dbmesh.frontend.call import SessionCall
from dbmesh.frontend.connection import ClientConnection, ClientGone
from dbmesh.plan.load import LoadPlan, Parting, plan_load, separators
from dbmesh.plan.model import Bound, RouteUnit, Scope
from dbmesh.protocol.constants import Capability
from dbmesh.route.placement import RouteKind
from dbmesh.sql.records import Record
from dbmesh.sql.tokens import tokens
from dbmesh.transaction.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

IN_MEMORY = 256 << 10  # bytes of one node's part that stay in memory
PIECE = 256 << 10  # bytes that are parted before others have their turn, and that are sent in one packet


class ClientFile:
    """``plan.model.LocalFile``: asked for when first read, and to be had once."""

    def __init__(self, client: ClientConnection, name: bytes) -> None:
        self._client = client
        self._name = name
        self._asked = False
        self._ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        self._asked = True
        self._client.ask_for_file(self._name)
        while packet := await self._client.file_packet():
            for at in range(0, len(packet), PIECE):
                yield packet[at : at + PIECE]
        self._ended = True

    async def skip(self) -> None:
        """Read on to the end: until then the client listens to no answer."""
        while self._asked and not self._ended:
            try:
                self._ended = not await self._client.file_packet()
            except ClientGone:
                return


class Spool:
    """``plan.model.LocalFile``: a part of a file, kept in memory or on disk."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - see `close`

    def write(self, parts: Iterable[bytes]) -> None:
        try:
            self._file.writelines(parts)
        except OSError as error:
            raise MeshError(f"The file cannot be kept until it is loaded: {error.strerror}") from error

    async def chunks(self) -> AsyncIterator[bytes]:
        self._file.seek(0)
        while piece := self._file.read(PIECE):
            yield piece

    def close(self) -> None:
        self._file.close()


async def load_data(session: Session, text: str) -> None:
    """Run a LOAD DATA LOCAL and tell the client what one server would have told."""
    if not session.settings.escapes and not any(token.upper == "ESCAPED" for token in tokens(text)):
        raise NotSupported("LOAD DATA without ESCAPED BY under NO_BACKSLASH_ESCAPES", "say FIELDS ESCAPED BY ''")
    if session.pins.locked is not None:
        raise NotSupported("LOAD DATA under LOCK TABLES", "UNLOCK TABLES first")
    generation = session.generation
    scope = Scope(session.logical_database, generation.rules, generation.catalog.under(session.state))
    plan = await plan_load(text, scope)
    rights.check(plan, session.user, session.account, generation.rules)
    _check(session)
    file = ClientFile(session.client, plan.file.encode(session.encoding, "replace"))
    call = SessionCall(session, plan.tables)
    try:
        await _load(session, plan, call, file)
    except BaseException:
        await uninterrupted(file.skip())
        raise


def _check(session: Session) -> None:
    if not session.client.login.flags & Capability.LOCAL_FILES:
        if "MariaDB" in session.mesh.server_version:
            raise BackendError(
                4166,
                "HY000",
                "The used command is not allowed because the MariaDB server or client has disabled the local infile "
                "capability",
            )
        raise BackendError(
            3948, "42000", "Loading local data is disabled; this must be enabled on both the client and server sides"
        )
    saga = session.transaction is not None and session.transaction.saga is not None
    if saga or session.transaction_mode == "base":
        raise NotSupported("LOAD DATA in a BASE transaction", "use SET dbmesh_transaction='local', or INSERT")


async def _load(session: Session, plan: LoadPlan, call: SessionCall, file: ClientFile) -> None:
    spools: list[Spool] = []
    try:
        whole = plan.bind((), call)
        if plan.mistaken or len(whole.units) == 1:
            bound = replace(whole, units=(replace(whole.units[0], file=file),))
        elif plan.parted:
            bound = await _parted(session, plan, call, file, spools)
        else:
            bound = await _copied(whole, file, spools)
        await planned.run_bound(session, plan, bound)
    finally:
        for spool in spools:
            spool.close()


async def _copied(whole: Bound, file: ClientFile, spools: list[Spool]) -> Bound:
    spools.append(Spool())
    async for chunk in file.chunks():
        spools[0].write([chunk])
    return replace(whole, units=tuple(replace(unit, file=spools[0]) for unit in whole.units))


async def _parted(session: Session, plan: LoadPlan, call: SessionCall, file: ClientFile, spools: list[Spool]) -> Bound:
    marks = separators(plan.load)
    parting = Parting(plan, marks, await _charset(session, plan), session.settings.strict, call)
    parts: dict[int, Spool] = {}

    def keep(records: Iterable[Record]) -> None:
        placed: dict[int, list[bytes]] = {}
        for record in records:
            node, raw = parting.place(record)
            placed.setdefault(node, []).append(raw)
        for node, raws in placed.items():
            if node not in parts:
                parts[node] = Spool()
                spools.append(parts[node])
            parts[node].write(raws)

    async for chunk in file.chunks():
        keep(parting.records.feed(chunk))
        await asyncio.sleep(0)
    keep(parting.records.finish())
    nodes, used = plan.rule.nodes, sorted(parts)
    units = [replace(plan.unit(nodes[n], call, parting.generated), file=parts[n]) for n in used]
    return Bound(
        plan.kind,
        RouteKind.MULTI,
        tuple(units or [_none(plan, call, parting, spools)]),
        last_insert_id=parting.first_id,
        leaves=plan.leaves,
        leaving=used.index(parting.last_node) if used else 0,
    )


def _none(plan: LoadPlan, call: SessionCall, parting: Parting, spools: list[Spool]) -> RouteUnit:
    """Without a record one node has to say whether the statement is right."""
    spools.append(Spool())
    return replace(plan.unit(plan.rule.nodes[0], call, parting.generated), file=spools[-1])


async def _charset(session: Session, plan: LoadPlan) -> str:
    """The file's: what the statement says, else the database's."""
    if plan.load.charset is not None:
        return plan.load.charset
    result = await ask(session, "SELECT @@character_set_database", plan.rule.nodes[0].data_source)
    return (result.rows[0][0] or b"").decode("ascii", "replace")
