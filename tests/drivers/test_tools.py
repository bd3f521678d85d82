"""Programs that speak MySQL's protocol: the command line, mariadb-dump, sysbench."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from dbmesh.sandbox.endpoint import Endpoint
from dbmesh.sandbox.install import InstallError
from tests import programs
from tests.drivers.adapters.mariadb_cli import arguments
from tests.drivers.world import DATABASE, SINGLE, World

SYSBENCH_ROWS = 400


def started(search: Callable[..., list[str]], *words: str) -> list[str]:
    """The start of a command line; without the program the test is skipped."""
    try:
        return search(*words)
    except InstallError as error:
        pytest.skip(str(error))


def run(line: list[str], stdin: bytes = b"") -> str:
    done = subprocess.run(line, input=stdin, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, f"{done.stdout!r} {done.stderr!r}"
    return done.stdout.decode("utf-8", "replace")


def cli(endpoint: Endpoint, *options: str, stdin: bytes = b"") -> str:
    start = started(programs.mariadb)
    return run(start + arguments(endpoint, "--default-character-set=utf8mb4", *options), stdin)


@pytest.fixture
def filled(world: World) -> World:
    """The same accounts in the sharded table, its single twin and the plain server's."""
    world.clear("account")
    for table in ("account", f"account{SINGLE}"):
        rows = ", ".join(f"({n}, 'öwner {n % 3}\\t', {n * 10})" for n in range(1, 21))
        for endpoint in (world.mesh, world.plain):
            endpoint.script([f"INSERT INTO {table} VALUES {rows}"], DATABASE)
    return world


@pytest.mark.parametrize("layout", ["--table", "--batch", "--html", "--xml", "--vertical", "--column-type-info"])
def test_the_command_line_prints_what_it_prints_of_one_server(filled: World, place: str, layout: str) -> None:
    script = f"""
        SELECT * FROM account{place} ORDER BY id;
        SELECT owner, COUNT(*), SUM(balance) FROM account{place} GROUP BY owner ORDER BY owner;
        SELECT balance / 3 AS third FROM account{place} WHERE id = 4;
        DESCRIBE account{place};
    """.encode()
    ours, theirs = (cli(endpoint, layout, DATABASE, stdin=script) for endpoint in (filled.mesh, filled.plain))
    assert ours == theirs
    assert len(ours) > 500


def test_the_command_line_prepares_by_text(filled: World, place: str) -> None:
    script = f"""
        PREPARE one FROM 'SELECT id, owner FROM account{place} WHERE id IN (?, ?) ORDER BY id';
        SET @a = 3, @b = 6;
        EXECUTE one USING @a, @b;
        DEALLOCATE PREPARE one;
    """.encode()
    ours, theirs = (cli(endpoint, "--batch", DATABASE, stdin=script) for endpoint in (filled.mesh, filled.plain))
    assert ours == theirs


def test_the_command_line_reads_a_script_with_comments_and_delimiters(filled: World, place: str) -> None:
    script = f"""
        -- a comment
        /* another */ BEGIN;
        UPDATE account{place} SET balance = balance + 1 WHERE id > 10; # and one more
        DELIMITER //
        DELETE FROM account{place} WHERE owner LIKE '%; 1%' OR id = 12//
        DELIMITER ;
        COMMIT;
        SELECT ROW_COUNT();
        SELECT SUM(balance), COUNT(*) FROM account{place}\\G
        show warnings;
    """.encode()
    ours, theirs = (cli(endpoint, "-vv", DATABASE, stdin=script) for endpoint in (filled.mesh, filled.plain))
    assert re.sub(r"\(?\d+\.\d+ sec\)?", "", ours) == re.sub(r"\(?\d+\.\d+ sec\)?", "", theirs)
    table = f"account{place}"
    assert filled.stored(table) == filled.expected(table)


def dump(endpoint: Endpoint, *options: str) -> bytes:
    line = started(programs.program, "mariadb-dump", "mariadb-client")
    more = arguments(endpoint, "--default-character-set=utf8mb4", "--hex-blob", "--skip-dump-date", *options)
    done = subprocess.run(line + more, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


WITHOUT_LOCKS = ("--skip-add-locks", "--skip-lock-tables")


@pytest.mark.parametrize(
    "options",
    [
        ("--single-transaction",),
        (),
        ("--single-transaction", "--skip-add-locks"),
        ("--skip-opt", "--quick", "--add-drop-table", "--complete-insert"),
    ],
    ids=["in a transaction", "locked", "in a transaction, without locks", "row by row"],
)
def test_a_dump_through_the_mesh_can_be_loaded_back(filled: World, place: str, options: tuple[str, ...]) -> None:
    tables = [f"account{place}", f"kinds{place}"]
    filled.clear("kinds")
    filled.plain.script([f"INSERT INTO kinds{place} SELECT * FROM kinds_source"], DATABASE)
    load(filled.mesh, dump(filled.plain, "--no-create-info", *WITHOUT_LOCKS, DATABASE, tables[1]))
    before = {table: filled.stored(table) for table in tables}
    assert all(before.values())
    text = dump(filled.mesh, *options, DATABASE, *tables)
    for table in ("account", "kinds"):
        filled.clear(table)
    assert not any(filled.stored(table) for table in tables)
    load(filled.mesh, text)
    assert {table: filled.stored(table) for table in tables} == before
    filled.plain.script([f"DELETE FROM {table}" for table in tables], DATABASE)
    load(filled.plain, text)
    assert {table: filled.expected(table) for table in tables} == before


def load(endpoint: Endpoint, text: bytes) -> None:
    cli(endpoint, DATABASE, stdin=text)


def test_a_whole_logical_database_is_dumped_and_loaded_into_another(filled: World) -> None:
    tables = ("account", f"account{SINGLE}")
    text = dump(filled.mesh, "--single-transaction", "--skip-add-locks", f"--ignore-table={DATABASE}.many",
                f"--ignore-table={DATABASE}.many{SINGLE}", DATABASE)  # fmt: skip
    cli(filled.mesh, "copy", stdin=text)
    for table in tables:
        copied = filled.mesh.rows(f"SELECT * FROM {table} ORDER BY id", (), "copy")
        assert copied == filled.stored(table)


def sysbench(endpoint: Endpoint, script: str, mode: str, *arguments: str) -> str:
    account = endpoint.account
    options = {
        "db-driver": "mysql",
        "db-ps-mode": mode,
        "mysql-host": endpoint.host,
        "mysql-port": endpoint.port,
        "mysql-user": account.user,
        "mysql-password": account.password,
        "mysql-db": DATABASE,
        "tables": 1,
        "table-size": SYSBENCH_ROWS,
        "threads": 2,
        "events": 60,
        "time": 0,
        "rand-seed": 7,
        "auto-inc": "off",
    }
    line = [*started(programs.sysbench, script), *(f"--{name}={value}" for name, value in options.items())]
    return run([*line, *arguments])


@pytest.fixture(scope="module")
def sbtest(world: World) -> World:
    """sysbench's table with its own rows, made by its own statements through the mesh: sharded."""
    sysbench(world.mesh, "oltp_read_write", "disable", "prepare")
    shares = world.shares("sbtest1")
    assert sum(shares) == SYSBENCH_ROWS
    assert min(shares) > 0
    return world


@pytest.mark.parametrize("mode", ["disable", "auto"])
@pytest.mark.parametrize("script", ["oltp_point_select", "oltp_read_only", "oltp_read_write", "oltp_update_non_index"])
def test_sysbench_runs(sbtest: World, script: str, mode: str) -> None:
    report = sysbench(sbtest.mesh, script, mode, "--skip-trx=off", "run")
    events = re.search(r"total number of events:\s+(\d+)", report)
    ignored = re.search(r"ignored errors:\s+(\d+)", report)
    assert events is not None, report
    assert int(events[1]) == 60
    assert ignored is not None
    found: Any = sum(sbtest.shares("sbtest1"))
    assert found == SYSBENCH_ROWS
