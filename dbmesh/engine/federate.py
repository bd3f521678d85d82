"""A federated SELECT: rows gathered from the shards into scratch tables of one server, which then answers.

Rows are read through the client's own branches, so that it sees its own changes; the scratch tables are temporary ones
of another connection, which no transaction of the client's is on. They end with that connection, whatever happens.
What MySQL cannot read from temporary tables is answered from ordinary ones: see `engine.lasting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from dbmesh.backend.connection import Connection
from dbmesh.backend.session_state import DEFAULT_STATE
from dbmesh.engine.caller import Caller, Outcome
from dbmesh.engine.generation import Generation
from dbmesh.engine.lasting import Lasting, sweep_on
from dbmesh.engine.leavings import read_back
from dbmesh.errors import BackendError, BackendLost, MeshError, NotSupported
from dbmesh.plan.model import Federation, RouteUnit, Shipment
from dbmesh.protocol.resultset import decode_text_row
from dbmesh.rewrite import quoted
from dbmesh.transaction.local import INTERRUPTED, LocalTransaction
from dbmesh.transaction.uninterrupted import uninterrupted

Warned = Callable[[Connection], Awaitable[None]]
BATCH = 1 << 19  # characters of one INSERT, unless a single row is longer
MOST_PARTNERS = 1000  # values that the shards are told; with more of them a join is not narrow
_CANNOT_REOPEN = 1137
# Zero dates, 0 in an AUTO_INCREMENT column and whatever else a shard holds are values, and times are UTC.
WRITING = DEFAULT_STATE.with_variables(
    {"sql_mode": "'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'", "time_zone": "'+00:00'"}
)


async def run_federated(
    federation: Federation, generation: Generation, caller: Caller, transaction: LocalTransaction | None
) -> Outcome:
    """Gather, answer, clear away. Raises NotSupported when it would be more than the rules allow."""
    sources = list(dict.fromkeys(unit.data_source for s in federation.shipments for unit in s.units))
    reading = sources if transaction is None else []
    held = await generation.cluster.acquire([*reading, federation.data_source], caller.capabilities, caller.state)
    scratch, clean = held[-1], False
    lasting = Lasting(scratch, generation.rules.transaction.schema, federation.shipments)
    try:
        if transaction is None:
            readers = dict(zip(sources, held[:-1], strict=True))
            await _gather(federation, readers, scratch, caller)
        else:
            await gather_in(transaction, sources, federation, scratch, caller)
        outcome = await _answer(federation, scratch, caller, lasting)
        await scratch.execute(f"DROP TEMPORARY TABLE {', '.join(quoted(s.table) for s in federation.shipments)}")
        clean = True
        return outcome
    finally:
        for connection in held:
            generation.cluster.release(
                connection, reusable=clean or (connection is not scratch and not connection.busy)
            )
        if lasting.made:
            await uninterrupted(sweep_on(generation, federation.data_source, lasting.token))


async def gather_in(
    transaction: LocalTransaction,
    sources: Sequence[str],
    federation: Federation,
    scratch: Connection,
    caller: Caller,
    warned: Warned | None = None,
) -> None:
    """The same through the transaction's branches, which must stay in step with one another.

    ``warned``: what to do after a query that its server has warned of.
    """
    await transaction.enlist(sources, caller.state)
    try:
        await _gather(federation, transaction.branches, scratch, caller, warned)
    except BackendLost as lost:
        if lost.data_source in sources:
            await transaction.abort(lost.message)
        raise
    except MeshError:
        if any(transaction.branches[name].busy for name in sources):
            await transaction.abort("a query of it ended before its rows were read")
        else:
            await uninterrupted(transaction.settle(sources))
        raise
    except BaseException:
        await transaction.abort(INTERRUPTED)
        raise


async def _gather(
    federation: Federation,
    readers: Mapping[str, Connection],
    scratch: Connection,
    caller: Caller,
    warned: Warned | None = None,
) -> None:
    state = caller.state
    await scratch.apply(WRITING)
    for reader in readers.values():
        await reader.apply(state.with_charsets(state.client, state.collation, None))
    load = _Load(federation, scratch, caller, warned)
    for number in federation.order or range(len(federation.shipments)):
        shipment = federation.shipments[number]
        await load.create(shipment)
        for unit in await load.units(shipment):
            await load.bring(shipment, unit, readers[unit.data_source])


async def _answer(federation: Federation, scratch: Connection, caller: Caller, lasting: Lasting) -> Outcome:
    await scratch.apply(caller.state)
    if "MariaDB" in scratch.server_version or not await _opens_twice(federation, scratch, caller):
        outcome = await caller.relay(scratch, caller.request(federation.sql), None)
        await read_back(scratch, federation.leaves, outcome)
        return outcome
    await scratch.apply(WRITING)
    await lasting.fill()
    await scratch.apply(caller.state)
    sql = federation.reading(lasting.names, lasting.schema)
    outcome = await caller.relay(scratch, caller.request(sql), None)
    await read_back(scratch, federation.leaves, outcome)
    await lasting.drop()
    return outcome


async def _opens_twice(federation: Federation, scratch: Connection, caller: Caller) -> bool:
    """MySQL opens the tables of a WITH anew wherever it is named, which it cannot do with temporary ones."""
    if "WITH" not in federation.sql.upper():
        return False
    try:
        await scratch.execute(f"EXPLAIN {caller.written(federation.sql)}")
    except BackendError as error:
        return error.errno == _CANNOT_REOPEN  # another error is the statement's own and is told by it
    return False


class _Load:
    """What has been brought so far, within the budget."""

    def __init__(self, federation: Federation, scratch: Connection, caller: Caller, warned: Warned | None) -> None:
        self._warned = warned
        self._federation = federation
        self._scratch = scratch
        self._caller = caller
        self._rows = 0
        self._bytes = 0

    async def create(self, shipment: Shipment) -> None:
        try:
            await self._scratch.execute(shipment.create)
        except BackendError as error:
            raise NotSupported(f"its rows find no scratch table ({error.message})") from error

    async def units(self, shipment: Shipment) -> tuple[RouteUnit, ...]:
        """What gathers its rows, or those of them that can have a partner among the rows that are there."""
        if shipment.reduced is None:
            return shipment.units
        values = [await self._values(table, column) for table, column in shipment.partners]
        return shipment.units if all(one is None for one in values) else shipment.reduced(values)

    async def _values(self, table: str, column: str) -> list[int] | None:
        name = quoted(column)
        sql = f"SELECT DISTINCT {name} FROM {quoted(table)} WHERE {name} IS NOT NULL LIMIT {MOST_PARTNERS + 1}"
        rows = (await self._scratch.execute(sql)).rows
        return [int(row[0] or 0) for row in rows] if len(rows) <= MOST_PARTNERS else None

    async def bring(self, shipment: Shipment, unit: RouteUnit, reader: Connection) -> None:
        """The rows of one data node. After a refusal the rest of them is read, so that the connection stays whole."""
        stream = await reader.stream(self._caller.written(unit.sql))
        try:
            while (batch := await stream.next_batch()) is not None:
                await self._insert(shipment, batch)
        except NotSupported:
            while await stream.next_batch() is not None:
                pass
            raise
        except BaseException:
            stream.close()
            raise
        if stream.warnings and self._warned is not None:
            await self._warned(reader)

    async def _insert(self, shipment: Shipment, batch: Sequence[bytes]) -> None:
        self._rows += len(batch)
        head, rows, size = f"INSERT INTO {quoted(shipment.table)} VALUES ", list[str](), 0
        for payload in batch:
            row = _row(payload, shipment.write)
            self._bytes += len(row)
            self._check()
            if rows and size + len(row) > BATCH:
                await self._send(head, rows)
                rows, size = [], 0
            rows.append(row)
            size += len(row)
        await self._send(head, rows)

    def _check(self) -> None:
        most = self._federation
        if self._rows > most.most_rows or self._bytes > most.most_bytes:
            memory = f"{most.most_bytes / (1 << 20):.3g} MiB"
            raise NotSupported(
                f"it would gather more than {most.most_rows} rows or {memory} of several shards",
                "add a condition on a sharding key, or raise gather_rows and gather_memory in the mesh's rules",
            )

    async def _send(self, head: str, rows: Sequence[str]) -> None:
        try:
            result = await self._scratch.execute((head + ",".join(rows)).encode("ascii"))
        except BackendError as error:
            raise NotSupported(f"a row of it cannot be carried to a scratch table ({error.message})") from error
        if result.warnings:
            raise NotSupported("a value of it cannot be carried to a scratch table exactly")


def _row(payload: bytes, write: Sequence[Callable[[bytes], str]]) -> str:
    values = decode_text_row(payload)
    return "(" + ",".join("NULL" if v is None else w(v) for w, v in zip(write, values, strict=True)) + ")"
