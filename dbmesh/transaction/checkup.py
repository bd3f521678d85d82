"""What `dbmesh tx doctor` looks at on the servers: do they answer, are the mesh's tables whole, can it do its work."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from enum import StrEnum

from dbmesh.errors import BackendError, MeshError
from dbmesh.saga.values import string_literal
from dbmesh.transaction.branches import blockers
from dbmesh.transaction.link import Link
from dbmesh.transaction.recovery import Proxy
from dbmesh.transaction.tables import BRANCH_TABLES, LOG_TABLES, NoTables, Place

_SECONDS_APART = 1.0
_OLDEST = {"MariaDB": (10, 5), "MySQL": (8, 0)}


class Level(StrEnum):
    """How bad it is: OK, WARNING (it works, look at it), MISTAKE (something does not work, or is not safe)."""

    OK = "ok"
    WARNING = "warning"
    MISTAKE = "mistake"


@dataclass(frozen=True, slots=True)
class Finding:
    """``about``: a data source, or what else was looked at. ``advice``: what to do; '' where nothing is to be done."""

    level: Level
    about: str
    what: str
    advice: str = ""


async def servers(proxy: Proxy) -> list[Finding]:
    """Findings on every data source; one that does not answer is a finding, never an error."""
    found = []
    log_clock: float | None = None
    names = sorted(proxy.links.data_sources, key=lambda name: (name != proxy.rules.log, name))
    for name in names:
        try:
            async with proxy.links.link(name) as link:
                clock = await _clock(link)
                log_clock = clock if log_clock is None else log_clock
                found += await _server(proxy, link, clock - log_clock)
        except MeshError as error:
            found.append(
                Finding(Level.MISTAKE, name, error.message, "bring the server back, or correct its address and account")
            )
    return found


async def _clock(link: Link) -> float:
    """By how many seconds the server's clock is ahead of this machine's."""
    sent = time.time()
    answer = await link.execute("SELECT UNIX_TIMESTAMP(NOW(6))")
    return float(answer.rows[0][0] or 0) - (sent + time.time()) / 2


async def _server(proxy: Proxy, link: Link, ahead: float) -> list[Finding]:
    name = link.data_source
    found = [_version(name, link.server_version), *await _settings(link)]
    place = proxy.places.get(name)
    if place is None:
        found.append(_no_tables(name, proxy.unreached.get(name)))
    else:
        found += await _tables(link, place, name == proxy.rules.log)
    if abs(ahead) > _SECONDS_APART:
        what = f"its clock is {ahead:+.1f} s from the coordinator log's"
        advice = "synchronise the clocks: no decision depends on them, but people compare the times of events"
        found.append(Finding(Level.WARNING, name, what, advice))
    return [*found, *await _may_see_blockers(link)]


def _version(name: str, version: str) -> Finding:
    kind = "MariaDB" if "MariaDB" in version else "MySQL"
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST[kind]:
        oldest = ".".join(map(str, _OLDEST[kind]))
        return Finding(Level.WARNING, name, f"{kind} {version} is older than {oldest}", f"use {kind} {oldest} or later")
    return Finding(Level.OK, name, f"answers, {kind} {version}")


async def _settings(link: Link) -> list[Finding]:
    answer = await link.execute("SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog, @@read_only")
    flush, binary_log, sync, read_only = (int(value or 0) for value in answer.rows[0])
    found = []
    lost = "a COMMIT that was acknowledged may be gone after a crash of the machine, and a decision with it"
    if flush != 1:
        advice = f"SET GLOBAL innodb_flush_log_at_trx_commit = 1: {lost}"
        found.append(Finding(Level.WARNING, link.data_source, f"innodb_flush_log_at_trx_commit = {flush}", advice))
    if binary_log and sync != 1:
        advice = f"SET GLOBAL sync_binlog = 1: {lost} where a replica takes over"
        found.append(Finding(Level.WARNING, link.data_source, f"sync_binlog = {sync}", advice))
    if read_only:
        advice = "point the data source to the server that takes writes, or SET GLOBAL read_only = 0"
        found.append(Finding(Level.MISTAKE, link.data_source, "the server is read-only", advice))
    return found


def _no_tables(name: str, why: MeshError | None) -> Finding:
    if why is None or isinstance(why, NoTables):
        return Finding(Level.WARNING, name, "the mesh's tables are missing", "start a mesh: it creates them")
    return Finding(Level.MISTAKE, name, f"the mesh's tables: {why.message}", "correct it, then start a mesh")


async def _tables(link: Link, place: Place, log: bool) -> list[Finding]:
    wanted = BRANCH_TABLES | (LOG_TABLES if log else {})
    found = []
    for table, text in wanted.items():
        missing = sorted(await _missing(link, place, table, text))
        if missing:
            what = f"table {place.schema}.{place.prefix}{table} lacks {', '.join(missing)}"
            advice = "stop all meshes; if nothing is open (dbmesh tx list) drop the table: the next start creates it"
            found.append(Finding(Level.MISTAKE, link.data_source, what, advice))
    return found or [Finding(Level.OK, link.data_source, "the mesh's tables are whole")]


async def _missing(link: Link, place: Place, table: str, text: str) -> set[str]:
    """The columns and indexes that the table should have and has not."""
    which = f"TABLE_SCHEMA={string_literal(place.schema)} AND TABLE_NAME={string_literal(place.prefix + table)}"
    columns = await link.execute(f"SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE {which}")
    indexes = await link.execute(
        "SELECT GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX SEPARATOR ', ')"
        f" FROM information_schema.STATISTICS WHERE {which} GROUP BY INDEX_NAME"
    )
    there = {(row[0] or b"").decode().lower() for row in (*columns.rows, *indexes.rows)}
    wanted_columns, wanted_indexes = definition(text)
    missing = {f"column {name}" for name in wanted_columns if name not in there}
    return missing | {f"an index on ({names})" for names in wanted_indexes if names not in there}


def definition(text: str) -> tuple[list[str], list[str]]:
    """The columns of a table of `transaction.tables`, and the columns of each of its indexes, comma-separated."""
    depth, start, parts = 0, 0, []
    for at, character in enumerate(text + ","):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    columns, indexes = [], []
    for part in parts:
        if part.startswith(("PRIMARY KEY", "KEY")):
            indexes.append(", ".join(name.strip() for name in part[part.index("(") + 1 : -1].split(",")))
        else:
            columns.append(part.split()[0])
            indexes += [columns[-1]] if "PRIMARY KEY" in part else []
    return columns, indexes


async def _may_see_blockers(link: Link) -> list[Finding]:
    """Whether a statement that a dead mesh has left in flight can be found, to be ended."""
    try:
        await link.execute(blockers(link))
    except BackendError as error:
        what = f"the account may not see who blocks a lock (error {error.errno})"
        advice = "grant what docs/operating.md lists: else what a stopped mesh has left in flight is waited for"
        return [Finding(Level.WARNING, link.data_source, what, advice)]
    return []
