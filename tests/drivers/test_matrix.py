"""Every driver in every scenario, on a table over two servers and on a single one, next to a plain server.

The rows are always looked at where they are: in the servers' actual tables, past the mesh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from dbmesh.sandbox.endpoint import Account
from tests.drivers import kinds
from tests.drivers.adapter import Adapter, Answer, Client, Failure, Row, attempt, opened, shown
from tests.drivers.world import ACCOUNT, DATABASE, MANY, World
from tests.flavour import MYSQL


@pytest.fixture
def clients(adapter: Adapter, world: World) -> Any:
    """A connection to the mesh and one to the plain server."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(opened(adapter, endpoint, DATABASE)) for endpoint in (world.mesh, world.plain))


def insert_into(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


def assert_same_answer(ours: Answer, theirs: Answer, types: Sequence[str] = ()) -> None:
    """Names, types and values as the driver tells them; ``types``: the columns' types, for the message."""
    assert ours.columns == theirs.columns
    assert_same_values(ours.rows, theirs.rows, types)


def assert_same_values(ours: Sequence[Row], theirs: Sequence[Row], types: Sequence[str] = ()) -> None:
    assert len(ours) == len(theirs)
    wrong = {
        (types[n] if types else n): (shown(mine), shown(other))
        for row, expected in zip(ours, theirs, strict=True)
        for n, (mine, other) in enumerate(zip(row, expected, strict=True))
        if shown(mine) != shown(other)
    }
    assert wrong == {}


def columns_without(unable: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns of ``kinds`` but for these types."""
    return "id", *(n for n, kind in zip(kinds.NAMES, kinds.COLUMN_TYPES, strict=True) if kind not in unable)


def types_of(names: Sequence[str]) -> list[str]:
    known = dict(zip(kinds.NAMES, kinds.COLUMN_TYPES, strict=True))
    return [known.get(name, "BIGINT") for name in names]


def test_every_column_type_both_ways(
    adapter: Adapter, clients: tuple[Client, Client], world: World, place: str
) -> None:
    mesh, plain = clients
    table = f"kinds{place}"
    world.clear("kinds")
    names = columns_without(adapter.unable)
    chosen = ", ".join(names) if adapter.unable else "*"
    source = plain.execute(f"SELECT {chosen} FROM kinds_source ORDER BY id").rows
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    for row in source:
        mesh.execute(insert, row)
        plain.execute(insert, row)
    assert_same_values(world.stored(table), world.expected(table))
    assert min(world.shares(table)) > 0
    for sql in (f"SELECT {chosen} FROM {table} ORDER BY id", f"SELECT {chosen} FROM {table} WHERE id = 3"):
        assert_same_answer(mesh.execute(sql), plain.execute(sql), types_of(names))


def test_prepared_every_column_type_both_ways(
    adapter: Adapter, clients: tuple[Client, Client], world: World, place: str
) -> None:
    mesh, plain = clients
    table = f"kinds{place}"
    world.clear("kinds")
    names = columns_without(adapter.unable_prepared)
    chosen = ", ".join(names) if adapter.unable_prepared else "*"
    [source] = plain.execute_prepared(f"SELECT {chosen} FROM kinds_source ORDER BY id", [()])
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    plain.execute_prepared(insert, source.rows)
    mesh.execute_prepared(insert, source.rows)
    assert_same_values(world.stored(table), world.expected(table))
    assert min(world.shares(table)) > 0
    for condition in ("id > ? ORDER BY id", "id = ?"):
        sql = f"SELECT {chosen} FROM {table} WHERE {condition}"
        for ours, theirs in zip(*(client.execute_prepared(sql, [(0,), (3,), (4,)]) for client in clients), strict=True):
            assert_same_answer(ours, theirs, types_of(names))


def test_prepared_statements_find_rows_by_key_and_by_value(
    clients: tuple[Client, Client], world: World, place: str
) -> None:
    table = f"account{place}"
    fill(clients, world, place)
    for sql, parameters in (
        (f"SELECT owner FROM {table} WHERE id = ?", [(n,) for n in (1, 2, 3, 99)]),
        (f"SELECT id, balance FROM {table} WHERE owner = ? ORDER BY id", [("owner 1",), ("nobody",), ("owner 2",)]),
        (f"SELECT COUNT(*), SUM(balance), MAX(owner) FROM {table} WHERE balance > ?", [(0,), (150,), (10**6,)]),
        (f"SELECT id FROM {table} WHERE id IN (?, ?) ORDER BY id DESC", [(1, 2), (3, 4)]),
    ):
        ours, theirs = (client.execute_prepared(sql, parameters) for client in clients)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same_values(mine.rows, other.rows)
    for client in clients:
        client.execute_prepared(f"UPDATE {table} SET balance = balance + ? WHERE id = ?", [(5, 1), (7, 2)])
        client.execute_prepared(f"DELETE FROM {table} WHERE owner = ?", [("owner 1",)])
    assert world.stored(table) == world.expected(table)


def test_tls(adapter: Adapter, world: World, place: str) -> None:
    world.clear("account")
    table = f"account{place}"
    with opened(adapter, world.mesh, DATABASE, tls=True) as client:
        assert client.tls_version() in ("TLSv1.2", "TLSv1.3")
        for n in range(1, 9):
            client.execute(insert_into(table, 3), (n, f"öwner {n}", n))
        rows = client.execute(f"SELECT id FROM {table} ORDER BY id").rows
    assert [int(row[0]) for row in rows] == list(range(1, 9))
    assert world.stored(table) == [(n, f"öwner {n}", n) for n in range(1, 9)]
    with opened(adapter, world.mesh, DATABASE) as client:
        assert client.tls_version() is None


def fill(clients: tuple[Client, Client], world: World, place: str) -> None:
    world.clear("account")
    for client in clients:
        client.execute_many(insert_into(f"account{place}", 3), [(n, f"owner {n % 3}", n * 10) for n in range(1, 21)])


def test_many_rows_in_one_call_go_where_they_belong(clients: tuple[Client, Client], world: World, place: str) -> None:
    fill(clients, world, place)
    table = f"account{place}"
    assert world.stored(table) == world.expected(table)
    assert world.shares(table) == ([20] if place else [5, 5, 5, 5])


def test_affected_rows_are_counted_as_by_one_server(clients: tuple[Client, Client], world: World, place: str) -> None:
    fill(clients, world, place)
    table = f"account{place}"
    for sql in (
        f"UPDATE {table} SET balance = 30 WHERE id < 9",
        f"UPDATE {table} SET balance = 1 WHERE id = 4",
        f"INSERT INTO {table} VALUES (21, 'x', 1), (22, 'y', 2), (23, 'z', 3)",
        f"REPLACE INTO {table} VALUES (21, 'x', 2), (24, 'z', 3)",
        f"DELETE FROM {table} WHERE owner = 'owner 1'",
        f"DELETE FROM {table} WHERE id = 77",
    ):
        ours, theirs = (client.execute(sql) for client in clients)
        assert (ours.affected, ours.insert_id) == (theirs.affected, theirs.insert_id), sql
    assert world.stored(table) == world.expected(table)


def test_transactions(clients: tuple[Client, Client], world: World, place: str) -> None:
    fill(clients, world, place)
    mesh = clients[0]
    table = f"account{place}"
    before = world.stored(table)

    def change() -> None:
        mesh.execute(f"UPDATE {table} SET balance = balance - ? WHERE id = ?", (3, 1))
        mesh.execute(f"UPDATE {table} SET balance = balance + ? WHERE id = ?", (3, 2))
        mesh.execute(f"DELETE FROM {table} WHERE balance > 150")
        mesh.execute(insert_into(table, 3), (100, "new", 0))
        [[count]] = mesh.execute(f"SELECT COUNT(*) FROM {table}").rows
        assert int(count) == 16

    mesh.begin()
    change()
    assert world.stored(table) == before
    mesh.rollback()
    assert world.stored(table) == before
    mesh.begin()
    change()
    mesh.commit()
    after = {row[0]: row[2] for row in world.stored(table)}
    assert after == {1: 7, 2: 23, 100: 0} | {n: n * 10 for n in range(3, 16)}


def test_a_transaction_of_a_client_that_leaves_is_rolled_back(adapter: Adapter, world: World, place: str) -> None:
    table = f"account{place}"
    with opened(adapter, world.mesh, DATABASE) as mesh, opened(adapter, world.plain, DATABASE) as plain:
        fill((mesh, plain), world, place)
        mesh.begin()
        mesh.execute(f"UPDATE {table} SET balance = 0")
    assert world.stored(table) == world.expected(table)


def test_errors_have_the_servers_number_and_state(
    adapter: Adapter, clients: tuple[Client, Client], world: World, place: str
) -> None:
    fill(clients, world, place)
    table = f"account{place}"
    expected = {
        f"INSERT INTO {table} VALUES (3, 'again', 1)": 1062,
        f"INSERT INTO {table} VALUES (97, NULL, 1)": 1048,
        f"INSERT INTO {table} VALUES (97, 'x')": 1136,
        f"INSERT INTO {table} VALUES (97, REPEAT('x', 41), 1)": 1406,
        f"INSERT INTO {table} VALUES (97, 'x', 'abc')": 1366,
        f"INSERT INTO {table} VALUES (97, 'x', 1e12)": 1264,
        f"INSERT INTO {table} (id, balance) VALUES (97, 1)": 1364,
        f"SELECT nothing FROM {table}": 1054,
        f"SELECT * FROM {table} WHERE nothing = 1": 1054,
        f"UPDATE {table} SET nothing = 1": 1054,
        f"SELEC * FROM {table}": 1064,
        f"SELECT * FROM {table} WHERE": 1064,
        f"SELECT COUNT(*, 1) FROM {table}": 1064,
        "SELECT * FROM nowhere": 1146,
        "INSERT INTO nowhere VALUES (1)": 1146,
        f"CREATE TABLE {table} (id INT)": 1050,
        "SELECT no_such_function(1)": 1305,
        "SET SESSION no_such_variable = 1": 1193,
        "SET SESSION sql_mode = 'nonsense'": 1231,
        "USE nowhere": 1049,
        f"SELECT (SELECT id FROM {table} WHERE id IN (4, 8)) FROM {table} WHERE id = 4": 1242,
    }
    wrong: dict[str, tuple[Failure, Failure]] = {}
    for sql, errno in expected.items():
        ours, theirs = (attempt(adapter, client, sql) for client in clients)
        assert theirs.errno in (errno, 1044), sql
        if ours != theirs:
            wrong[sql] = ours, theirs
    assert wrong == {}
    assert world.stored(table) == world.expected(table)


def test_a_login_that_fails_has_the_servers_number(adapter: Adapter, world: World) -> None:
    for account, database in (
        (Account("app", "wrong"), DATABASE),
        (Account("nobody", ""), DATABASE),
        (ACCOUNT, "nowhere"),
    ):
        ours = login_failure(adapter, world.mesh, account, database)
        if MYSQL and adapter.name.startswith("connector"):  # MySQL would ask it for TLS first
            assert ours.errno == (1049 if database == "nowhere" else 1045)
            continue
        theirs = login_failure(adapter, world.plain, account, database)
        assert ours == theirs or (database, theirs.errno) == ("nowhere", 1044)


def login_failure(adapter: Adapter, endpoint: Any, account: Account, database: str) -> Failure:
    known = endpoint.account
    endpoint.account = account
    try:
        adapter.connect(endpoint, database, False).close()
    except Exception as error:
        failure = adapter.failure(error)
        if failure is None:
            raise
        return failure
    finally:
        endpoint.account = known
    raise AssertionError("no error")


def test_rows_of_twenty_mebibytes(adapter: Adapter, clients: tuple[Client, Client], world: World, place: str) -> None:
    mesh, _ = clients
    table = f"paper{place}"
    world.clear("paper")
    body = (bytes(range(256)) * (adapter.biggest // 256 + 1))[: adapter.biggest]
    mesh.execute(insert_into(table, 2), (2, body))
    mesh.execute(insert_into(table, 2), (1, b"small"))
    assert world.shares(table) == ([2] if place else [0, 1, 1, 0])
    stored = world.stored(table, "id, LENGTH(body), SHA2(body, 256)")
    assert stored == [(n, len(each), hashlib.sha256(each).hexdigest()) for n, each in ((1, b"small"), (2, body))]
    [[small], [big]] = mesh.execute(f"SELECT body FROM {table} ORDER BY id").rows
    assert (bytes(small), bytes(big)) == (b"small", body)
    world.clear("paper")


def test_a_hundred_thousand_rows_are_streamed(clients: tuple[Client, Client], place: str) -> None:
    mesh, _ = clients
    count = total = last = 0
    for row in mesh.stream(f"SELECT id, label, amount FROM many{place} ORDER BY id"):
        number = int(row[0])
        count += 1
        total += number
        assert number > last
        last = number
    assert (count, total) == (MANY, MANY * (MANY + 1) // 2)
