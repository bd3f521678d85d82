"""DDL over several data nodes that stops half-way is found, told, and gone on with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pymysql
import pytest
from click.testing import CliRunner

from dbmesh.cli.ddl import ddl
from dbmesh.sandbox import Sandbox, Server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.mesh import Mesh
from tests.integration.conftest import write_rules

MESH_RULES = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: [field], grants: [ddl, admin]}
transaction: {log: ds_0, schema: _dbmesh_field}
"""
FIELD_RULES = """
database: field
data_sources:
  ds_0: {SERVER_0, schema: field_0}
  ds_1: {SERVER_1, schema: field_1}
tables:
  crop:
    data_nodes: ds_{0..1}.crop_{0..1}
    sharding: {column: id, algorithm: mod}
"""
NODES = ("ds_0.crop_0", "ds_0.crop_1", "ds_1.crop_0", "ds_1.crop_1")
ADD = "ALTER TABLE crop ADD weight INT NOT NULL DEFAULT 7"


class Field:
    """A mesh over two servers, a table on four data nodes."""

    def __init__(self, mesh: Mesh, servers: tuple[Server, Server]) -> None:
        self.mesh = mesh
        self.servers = servers

    def client(self) -> Any:
        return closing(self.mesh.connection("field"))

    def on(self, node: str, sql: str) -> list[tuple[Any, ...]]:
        """Rows of one data node; ``{}`` is its table."""
        source, table = node.split(".")
        return self.servers[int(source[-1])].rows(sql.format(table), database=f"field_{source[-1]}")

    def with_weight(self) -> tuple[str, ...]:
        return tuple(node for node in NODES if self.on(node, "SHOW COLUMNS FROM {} LIKE 'weight'"))

    def ddl(self, *arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(ddl, [*arguments, "--rules", str(self.mesh.rules)])
        return done.exit_code, done.output

    def open_jobs(self) -> list[dict[str, Any]]:
        code, out = self.ddl("status", "--json")
        assert code == 0, out
        jobs: list[dict[str, Any]] = json.loads(out)
        return jobs


@pytest.fixture(scope="module")
def field_mesh(sandbox: Sandbox, servers: tuple[Server, Server]) -> Iterator[Field]:
    for number, server in enumerate(servers):
        server.script([f"CREATE DATABASE field_{number}"])
    rules = write_rules(sandbox.folder / "field", servers, mesh=MESH_RULES, field=FIELD_RULES)
    mesh = Mesh(sandbox.folder / "field_mesh", rules, Account("app", "secret"))
    mesh.start()
    yield Field(mesh, servers)
    mesh.close()


@pytest.fixture
def field(field_mesh: Field) -> Iterator[Field]:
    with field_mesh.client() as client, client.cursor() as cursor:
        cursor.execute("CREATE TABLE crop (id INT PRIMARY KEY, name VARCHAR(20))")
        cursor.execute("INSERT INTO crop VALUES (0, 'rye'), (1, 'oat'), (2, 'hop'), (3, 'pea')")
    yield field_mesh
    for job in field_mesh.open_jobs():
        assert field_mesh.ddl("forget", str(job["id"]), "--reason", "the test has ended")[0] == 0
    with field_mesh.client() as client, client.cursor() as cursor:
        cursor.execute("DROP TABLE crop")


def half_done(field: Field) -> tuple[int, str]:
    """An ALTER that the third data node refuses; the job's id and the client's error."""
    field.on("ds_1.crop_0", "ALTER TABLE {} ADD weight CHAR(1)")
    with field.client() as client, client.cursor() as cursor, pytest.raises(pymysql.err.OperationalError) as refused:
        cursor.execute(ADD)
    [job] = field.open_jobs()
    field.on("ds_1.crop_0", "ALTER TABLE {} DROP weight")
    return job["id"], refused.value.args[1]


def test_what_went_well_leaves_nothing_to_do(field: Field) -> None:
    with field.client() as client, client.cursor() as cursor:
        cursor.execute(ADD)
    assert field.with_weight() == NODES
    assert field.ddl("status") == (0, "no DDL is half done\n")


def test_what_the_first_data_node_refuses_leaves_no_trace(field: Field) -> None:
    before = len(json.loads(field.ddl("status", "--all", "--json")[1]))
    with field.client() as client, client.cursor() as cursor, pytest.raises(pymysql.err.OperationalError) as refused:
        cursor.execute("ALTER TABLE crop DROP no_such_column")
    assert refused.value.args[0] == 1091
    assert "ddl resume" not in refused.value.args[1]
    assert len(json.loads(field.ddl("status", "--all", "--json")[1])) == before


def test_the_error_and_the_status_say_where_it_is_done(field: Field) -> None:
    id, error = half_done(field)
    assert f"done on {NODES[0]}, {NODES[1]}, not on {NODES[2]}, {NODES[3]}" in error
    assert f"dbmesh ddl resume {id}" in error
    code, out = field.ddl("status", str(id))
    assert code == 0
    assert f"DDL {id}: half done, 2 of 4 data nodes" in out
    assert ADD in out
    assert "Duplicate column name" in out
    with field.client() as client, client.cursor() as cursor:
        cursor.execute("SHOW MESH DDL")
        shown = [(row[1], row[4], row[5]) for row in cursor.fetchall() if row[0] == id]
    assert shown == [("half done", node, "DONE" if at < 2 else "WAITING") for at, node in enumerate(NODES)]


def test_the_command_goes_on_where_it_stopped(field: Field) -> None:
    id, _ = half_done(field)
    code, out = field.ddl("resume", str(id))
    assert code == 0, out
    assert f"DDL {id}: done, 4 of 4 data nodes" in out
    assert field.with_weight() == NODES
    assert field.ddl("resume", str(id)) == (4, f"DDL {id} has ended: done\n")
    assert field.ddl("status", "99999999") == (4, "there is no DDL 99999999\n")


def test_the_same_statement_goes_on_where_it_stopped(field: Field) -> None:
    half_done(field)
    with field.client() as client, client.cursor() as cursor:
        cursor.execute(ADD + ";")
        assert field.with_weight() == NODES
        cursor.execute("SELECT id, weight FROM crop ORDER BY id")
        assert cursor.fetchall() == ((0, 7), (1, 7), (2, 7), (3, 7))
    assert field.open_jobs() == []


def test_another_statement_is_one_of_its_own(field: Field) -> None:
    id, _ = half_done(field)
    with field.client() as client, client.cursor() as cursor:
        cursor.execute("ALTER TABLE crop ADD height INT")
    assert [job["id"] for job in field.open_jobs()] == [id]


def test_a_forgotten_one_is_kept_with_its_reason(field: Field) -> None:
    id, _ = half_done(field)
    assert field.ddl("forget", str(id), "--reason", "dropped by hand") == (0, f"DDL {id}: forgotten\n")
    code, out = field.ddl("status", str(id))
    assert code == 0
    assert f"DDL {id}: forgotten" in out
    assert "dropped by hand" in out
    assert field.open_jobs() == []


def test_a_session_s_settings_are_those_of_the_client(field: Field) -> None:
    field.on("ds_1.crop_1", "ALTER TABLE {} ADD born INT")
    with field.client() as client, client.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'")
        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("ALTER TABLE crop ADD born DATE DEFAULT '2020-02-31'")
    field.on("ds_1.crop_1", "ALTER TABLE {} DROP born")
    [job] = field.open_jobs()
    code, out = field.ddl("resume", str(job["id"]))
    assert code == 0, out
    with field.client() as client, client.cursor() as cursor:
        cursor.execute("INSERT INTO crop (id, name) VALUES (4, 'flax'), (5, 'corn'), (6, 'rice'), (7, 'soy')")
        cursor.execute("SELECT CAST(born AS CHAR) FROM crop WHERE id > 3")
        assert cursor.fetchall() == (("2020-02-31",),) * 4


@pytest.mark.parametrize(
    ("statement", "is_done"),
    [
        (ADD, "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME='{}'"
              " AND COLUMN_NAME='weight'"),
        ("TRUNCATE TABLE crop", "SELECT 1 FROM (SELECT COUNT(*) AS n FROM {}) AS t WHERE n = 0"),
    ],
    ids=["ALTER", "TRUNCATE"],
)  # fmt: skip
def test_a_killed_mesh_has_it_in_doubt_and_another_ends_it(field: Field, statement: str, is_done: str) -> None:
    """A reader keeps the third data node's step waiting until after the death; the server runs it then, or does not."""
    time.sleep(1.1)  # a table's time of making is in seconds
    with closing(field.servers[1].connection("field_1", autocommit=False)) as reader, field.client() as client:
        with reader.cursor() as cursor:
            cursor.execute("SELECT * FROM crop_0")
        _send(client, statement)
        wait_for(lambda: [job["steps"][2]["state"] for job in field.open_jobs()] == ["RUNNING"])
        [job] = field.open_jobs()
        assert job["standing"] == "running"
        assert field.ddl("resume", str(job["id"]))[0] == 2  # the mesh is at it
        field.mesh.kill9()
        wait_for(lambda: field.open_jobs()[0]["standing"] == "in doubt")
    wait_for(lambda: field.ddl("resume", str(job["id"]))[0] == 0)
    assert [list(field.on(node, is_done)) for node in NODES] == [[(1,)]] * 4
    field.mesh.start()


def _send(client: Any, statement: str) -> None:
    """Send it and do not wait for the answer."""
    client._execute_command(3, statement)
    client._result = None


def wait_for(happens: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it has not happened"
        with suppress(InterruptedError):
            time.sleep(0.1)
