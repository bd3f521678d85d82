"""DDL that runs on several data nodes, written down step by step: what is half done can be found, and gone on with.

No server takes DDL back, and none tells afterwards whether a statement whose answer was lost has run. So what the
table looked like before each step is kept: a step in doubt has been done when the table looks different now. DDL of
one table is atomic on the servers (InnoDB of MySQL 8.0 and MariaDB 10.6 on).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from dbmesh.errors import BackendError, MeshError
from dbmesh.saga.values import quoted, string_literal
from dbmesh.transaction.link import Link, Links
from dbmesh.transaction.log import text
from dbmesh.transaction.ports import Cells
from dbmesh.transaction.tables import Place

_NO_TABLE = 1146
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")


class JobState(StrEnum):
    OPEN = "OPEN"
    DONE = "DONE"
    FORGOTTEN = "FORGOTTEN"


class StepState(StrEnum):
    WAITING = "WAITING"
    RUNNING = "RUNNING"  # or in doubt, when nobody runs the job
    DONE = "DONE"


class Busy(MeshError):
    """ER_LOCK_WAIT_TIMEOUT: somebody else runs this DDL, or a server has not ended a step of it."""

    errno = 1205
    sqlstate = "HY000"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the client has asked for. ``settings``: what a session needs to run it again, as the engine writes it."""

    database: str
    statement: str
    account: str
    settings: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """The statement for one data node, as bytes in the client's character set. ``before``: see `definition`.

    ``thread``: the server's id of the connection that ran it last; ``error``: how that ended. Times are the log
    server's (UTC).
    """

    number: int
    data_source: str
    table: str
    sql: bytes
    state: StepState = StepState.WAITING
    before: str | None = None
    thread: int = 0
    error: str | None = None
    changed_at: str | None = None

    @property
    def node(self) -> str:
        return f"{self.data_source}.{self.table}"


@dataclass(frozen=True, slots=True)
class Job:
    """A statement on all its data nodes. ``runs``: some proxy or command is at it now."""

    id: int
    state: JobState
    asked: Asked
    runs: bool
    note: str | None
    created_at: str
    ended_at: str | None
    steps: tuple[Step, ...] = ()


def standing(job: Job) -> str:
    """How it stands, in a word."""
    if job.state is not JobState.OPEN:
        return job.state.lower()
    if job.runs:
        return "running"
    return "in doubt" if any(step.state is StepState.RUNNING for step in job.steps) else "half done"


class DdlJournal:
    """The journal in the coordinator log's data source. Raises errors.BackendError and errors.BackendLost."""

    def __init__(self, links: Links, data_source: str, place: Place) -> None:
        self._links = links
        self._data_source = data_source
        self.job_table = place.name("ddl_job")
        self.step_table = place.name("ddl_step")
        self._lock = "dbmesh ddl " + hashlib.sha256(self.job_table.encode()).hexdigest()[:16]

    async def all(self, most: int = 100) -> list[Job]:
        """The newest first."""
        return await self._jobs(f"TRUE ORDER BY id DESC LIMIT {most}")

    async def find(self, id: int) -> Job | None:
        found = await self._jobs(f"id={id}")
        return found[0] if found else None

    @asynccontextmanager
    async def run(self, asked: Asked, steps: Sequence[Step]) -> AsyncIterator[Run]:
        """A new job for the block's time, or an unfinished one of the same statement. Raises Busy."""
        async with self._links.link(self._data_source) as link:
            same = f"state='OPEN' AND db={text(asked.database)} AND statement={text(asked.statement)}"
            found = await self._jobs(f"{same} ORDER BY id LIMIT 1")
            job = found[0] if found and _alike(found[0].steps, steps) else await self._create(link, asked, steps)
            async with self._held(link, job.id):
                yield await self._run(link, job.id)

    @asynccontextmanager
    async def resume(self, id: int) -> AsyncIterator[Run]:
        """An unfinished job for the block's time. Raises Busy."""
        async with self._links.link(self._data_source) as link, self._held(link, id):
            yield await self._run(link, id)

    async def forget(self, id: int, note: str) -> None:
        """Leave an unfinished job as it is. Raises Busy."""
        async with self._links.link(self._data_source) as link, self._held(link, id):
            await link.execute(
                f"UPDATE {self.job_table} SET state='FORGOTTEN', note={text(note)}, ended_at=NOW(6)"
                f" WHERE id={id} AND state='OPEN'"
            )

    async def purge(self, retention: float) -> None:
        """Remove what ended longer ago than that, in seconds."""
        await self._links.execute(
            self._data_source,
            f"DELETE j, s FROM {self.job_table} j LEFT JOIN {self.step_table} s ON s.job = j.id"
            f" WHERE j.state <> 'OPEN' AND j.ended_at <= NOW(6) - INTERVAL {retention:.6f} SECOND",
        )

    async def _run(self, link: Link, id: int) -> Run:
        job = await self.find(id)  # as it is now that nobody else can change it
        if job is None or job.state is not JobState.OPEN:
            raise Busy(f"DDL {id} has been ended by somebody else meanwhile")
        return Run(self, self._links, link, job)

    @asynccontextmanager
    async def _held(self, link: Link, id: int) -> AsyncIterator[None]:
        """The job's lock. It goes with the link: whoever dies lets go of it."""
        name = string_literal(f"{self._lock} {id}")
        if (await link.execute(f"SELECT GET_LOCK({name}, 0)")).rows != [[b"1"]]:
            raise Busy(f"DDL {id} of the same text is running")
        try:
            yield
        finally:
            try:
                await link.execute(f"DO RELEASE_LOCK({name})")
            except BaseException:
                link.close()
                raise

    async def _create(self, link: Link, asked: Asked, steps: Sequence[Step]) -> Job:
        made = await link.execute(
            f"INSERT INTO {self.job_table} (db, statement, settings, account, created_at) VALUES"
            f" ({text(asked.database)}, {text(asked.statement)}, {text(asked.settings)}, {text(asked.account)}, NOW(6))"
        )
        rows = ", ".join(
            f"({made.last_insert_id}, {step.number}, {text(step.data_source)}, {text(step.table)}, x'{step.sql.hex()}')"
            for step in steps
        )
        await link.execute(f"INSERT INTO {self.step_table} (job, number, ds, tbl, sql_text) VALUES {rows}")
        return Job(made.last_insert_id, JobState.OPEN, asked, False, None, "", None, tuple(steps))

    async def _jobs(self, where: str) -> list[Job]:
        lock = string_literal(f"{self._lock} ")
        answer = await self._links.ask(
            self._data_source,
            "SELECT id, state, db, statement, account, settings, note, created_at, ended_at,"
            f" IS_USED_LOCK(CONCAT({lock}, id)) IS NOT NULL FROM {self.job_table} WHERE {where}",
        )
        jobs = [_job(row) for row in answer.rows]
        if not jobs:
            return []
        listed = ", ".join(str(job.id) for job in jobs)
        answer = await self._links.ask(
            self._data_source,
            "SELECT job, number, ds, tbl, sql_text, state, before_ddl, thread, error, changed_at"
            f" FROM {self.step_table} WHERE job IN ({listed}) ORDER BY job, number",
        )
        steps: dict[int, list[Step]] = {}
        for row in answer.rows:
            steps.setdefault(int(row[0] or 0), []).append(_step(row))
        return [replace(job, steps=tuple(steps.get(job.id, ()))) for job in jobs]


class Run:
    """A job that this process is at."""

    def __init__(self, journal: DdlJournal, links: Links, link: Link, job: Job) -> None:
        self.job = job
        self._journal = journal
        self._links = links
        self._link = link

    async def is_done(self, step: Step) -> bool:
        """Whether the step needs no run any more; one in doubt is looked at. Raises Busy while a server is at it."""
        if step.state is not StepState.RUNNING:
            return step.state is StepState.DONE
        at_it = await self._links.ask(
            step.data_source,
            "SELECT 1 FROM information_schema.PROCESSLIST"
            f" WHERE ID={step.thread} AND COMMAND='Query' AND INFO IS NOT NULL",
        )
        if at_it.rows:
            raise Busy(
                f"data source '{step.data_source}' is still at it (its connection {step.thread}): wait, or KILL that"
            )
        if await definition(self._links, step) == step.before:
            return False
        await self.done(step)
        return True

    async def start(self, step: Step, thread: int) -> None:
        before = await definition(self._links, step)
        await self._change(step, f"state='RUNNING', error=NULL, thread={thread}, before_ddl={text(before)}")

    async def done(self, step: Step) -> None:
        await self._change(step, "state='DONE', error=NULL")

    async def failed(self, step: Step, error: str) -> None:
        """The server has refused it."""
        await self._change(step, f"state='WAITING', error={text(error[:2000])}")

    async def in_doubt(self, step: Step, error: str) -> None:
        await self._change(step, f"error={text(error[:2000])}")

    async def end(self) -> None:
        """All steps are done."""
        await self._link.execute(
            f"UPDATE {self._journal.job_table} SET state='DONE', ended_at=NOW(6) WHERE id={self.job.id}"
        )

    async def remove(self) -> None:
        """Nothing has been done: no trace is left."""
        for table, key in ((self._journal.step_table, "job"), (self._journal.job_table, "id")):
            await self._link.execute(f"DELETE FROM {table} WHERE {key}={self.job.id}")

    async def _change(self, step: Step, what: str) -> None:
        await self._link.execute(
            f"UPDATE {self._journal.step_table} SET {what}, changed_at=NOW(6)"
            f" WHERE job={self.job.id} AND number={step.number}"
        )


async def definition(links: Links, step: Step) -> str | None:
    """What the step's table looks like: its text and when it was made, which TRUNCATE changes; None without a table."""
    schema, name = string_literal(links.schema(step.data_source)), string_literal(step.table)
    try:
        shown = await links.ask(step.data_source, f"SHOW CREATE TABLE {quoted(step.table)}")
    except BackendError as error:
        if error.errno == _NO_TABLE:
            return None
        raise
    made = await links.ask(
        step.data_source,
        f"SELECT CREATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA={schema} AND TABLE_NAME={name}",
    )
    return _COUNTER.sub("", _cell(shown.rows[0][1])) + "".join(f"\n-- {_cell(row[0])}" for row in made.rows)


def _alike(found: Sequence[Step], steps: Sequence[Step]) -> bool:
    return [(step.node, step.sql) for step in found] == [(step.node, step.sql) for step in steps]


def _cell(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _optional(value: bytes | None) -> str | None:
    return None if value is None else _cell(value)


def _job(row: Cells) -> Job:
    return Job(
        id=int(row[0] or 0),
        state=JobState(_cell(row[1])),
        asked=Asked(_cell(row[2]), _cell(row[3]), _cell(row[4]), _cell(row[5])),
        note=_optional(row[6]),
        created_at=_cell(row[7]),
        ended_at=_optional(row[8]),
        runs=row[9] == b"1",
    )


def _step(row: Cells) -> Step:
    return Step(
        number=int(row[1] or 0),
        data_source=_cell(row[2]),
        table=_cell(row[3]),
        sql=row[4] or b"",
        state=StepState(_cell(row[5])),
        before=_optional(row[6]),
        thread=int(row[7] or 0),
        error=_optional(row[8]),
        changed_at=_optional(row[9]),
    )
