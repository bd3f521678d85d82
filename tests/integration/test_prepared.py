"""Prepared statements over shards, in raw packets: values, routes, errors, cursors, transactions."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from dbmesh.protocol import Capability, Command, FieldType, Status
from dbmesh.protocol.binary import RowCodec
from tests.binary_client import (
    NULL,
    Answer,
    BinaryClient,
    Refused,
    blob,
    decimal,
    double,
    execute_payload,
    integer,
    text,
)
from tests.flavour import MYSQL
from tests.integration.conftest import Town

Rows = list[list[bytes | None]]


@pytest.fixture(params=[0, Capability.DEPRECATE_EOF], ids=["eof", "deprecate_eof"])
def client(town: Town, request: pytest.FixtureRequest) -> Iterator[BinaryClient]:
    with BinaryClient(town.mesh.port, "app", "secret", "town", request.param) as client:
        yield client


@pytest.fixture
def persons(town: Town, execute: Callable[..., object]) -> Town:
    values = ", ".join(f"({id}, 'n{id}', {id % 5}, NULL)" for id in range(20))
    execute(f"INSERT INTO person (id, name, age, mail) VALUES {values}")
    return town


def rows(answer: Answer) -> Rows:
    codec = RowCodec(answer.columns)
    return [codec.decode(row) for row in answer.rows]


def test_a_value_decides_the_shard_and_the_placeholder_stays(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT id, name FROM person WHERE id = ?")
    assert [column.name for column in statement.columns] == [b"id", b"name"]
    assert len(statement.parameters) == 1
    for id in (3, 4, 5, 6, 3, 4):
        assert rows(client.execute(statement.id, integer(id))) == [[b"%d" % id, b"n%d" % id]]
    assert rows(client.execute(statement.id, integer(-7))) == []
    assert rows(client.execute(statement.id, NULL)) == []
    assert rows(client.execute(statement.id, double(5.0))) == [[b"5", b"n5"]]
    assert rows(client.execute(statement.id, decimal("6"))) == [[b"6", b"n6"]]
    assert rows(client.execute(statement.id, text("7"))) == [[b"7", b"n7"]]


def test_types_of_the_last_time_hold_when_the_client_sends_none(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT name FROM person WHERE id = ?")
    assert rows(client.execute(statement.id, integer(3))) == [[b"n3"]]
    for id in range(4, 12):
        assert rows(client.execute(statement.id, integer(id), bound=False)) == [[b"n%d" % id]]


def test_rows_of_several_shards_are_merged_into_binary_rows(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT id, age + ? FROM person WHERE id >= ? ORDER BY id DESC LIMIT ?")
    answer = client.execute(statement.id, integer(10), integer(5), integer(4))
    assert rows(answer) == [[b"%d" % id, b"%d" % (id % 5 + 10)] for id in (19, 18, 17, 16)]
    assert [column.name for column in answer.columns] == [b"id", b"age + ?"]
    again = client.execute(statement.id, integer(-1), integer(17), integer(1))
    assert rows(again) == [[b"19", b"3"]]


def test_groups_are_merged(persons: Town, client: BinaryClient) -> None:
    sql = "SELECT age, COUNT(*), SUM(id) + ?, AVG(id) FROM person WHERE id < ? GROUP BY age ORDER BY age"
    statement = client.prepare(sql)
    answer = client.execute(statement.id, integer(1), integer(10))
    zeros = b"." + b"0" * 30 if MYSQL else b""  # it takes a parameter next to a DECIMAL for one with all its digits
    assert rows(answer) == [
        [b"%d" % age, b"2", b"%d%s" % (2 * age + 6, zeros), b"%.4f" % (age + 2.5)] for age in range(5)
    ]
    assert [column.name for column in answer.columns] == [column.name for column in statement.columns]


def test_rows_of_one_insert_go_where_their_values_say(town: Town, client: BinaryClient) -> None:
    sql = "INSERT INTO person (name, id, age, mail) VALUES (?, ?, ?, ?), (?, ?, -?, ?), ('x', ?, 1, ?)"
    statement = client.prepare(sql)
    answer = client.execute(
        statement.id,
        text("it's \\ ü"), integer(1), integer(-5), NULL,
        text("two"), integer(2), integer(7), text("m"),
        integer(8), NULL,
    )  # fmt: skip
    assert (answer.ok.affected, answer.ok.info) == (3, b"Records: 3  Duplicates: 0  Warnings: 0")
    assert town.persons() == {1: "it's \\ ü", 2: "two", 8: "x"}
    found = client.execute(client.prepare("SELECT id, age, mail FROM person ORDER BY id").id)
    assert rows(found) == [[b"1", b"-5", None], [b"2", b"-7", b"m"], [b"8", b"1", None]]


def test_an_error_of_the_statement_comes_when_it_is_prepared(client: BinaryClient) -> None:
    for sql, errno in (
        ("SELEC 1", 1064),
        ("SELECT nope FROM person WHERE id = ?", 1054),
        ("SELECT * FROM nowhere", 1146),
        ("SELECT id ? FROM person", 1064),
        ("", 1065),
        ("PREPARE a FROM 'SELECT 1'", 1295),
        ("SELECT 1; SELECT 2", 1064),
        ("SET @a = = 1", 1064),
    ):
        with pytest.raises(Refused) as refused:
            client.prepare(sql)
        assert refused.value.errno == errno, sql
    assert client.ping()


def test_what_cannot_be_answered_is_refused_when_it_is_executed(persons: Town, client: BinaryClient) -> None:
    sql = "SELECT a.id FROM person a JOIN person b ON a.age = b.age WHERE a.name > ? FOR UPDATE"
    statement = client.prepare(sql)
    with pytest.raises(Refused) as refused:
        client.execute(statement.id, text("n2"))
    assert refused.value.errno == 1235


def test_an_unknown_statement_is_1243_and_the_connection_lives(client: BinaryClient) -> None:
    for use in (lambda: client.execute(77), lambda: client.reset(77), lambda: client.fetch(77, 1)):
        with pytest.raises(Refused) as refused:
            use()
        assert refused.value.errno == 1243
    client.close(77)
    client.long_data(77, 0, b"x")
    statement = client.prepare("SELECT ?")
    client.close(statement.id)
    with pytest.raises(Refused, match=r"1243 .*mysqld_stmt_execute"):
        client.execute(statement.id, integer(1))
    assert client.ping()


def test_malformed_packets_get_an_error_and_the_connection_lives(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT ?, ? FROM person WHERE id = 3")
    whole = execute_payload(statement.id, [integer(1), text("some text")])
    for length in range(9, len(whole)):
        client.command(Command.STMT_EXECUTE, whole[:length])
        with pytest.raises(Refused) as refused:
            client.answer()
        assert refused.value.errno == 1210
    client.command(Command.STMT_EXECUTE, whole + b"more")
    with pytest.raises(Refused, match="1210"):
        client.answer()
    client.command(Command.STMT_EXECUTE, execute_payload(statement.id, [(0x77, b"1"), integer(1)]))
    with pytest.raises(Refused, match="1210"):
        client.answer()
    assert rows(client.execute(statement.id, integer(1), text("x"))) == [[b"1", b"x"]]


def test_a_parameter_without_a_type_is_1210(client: BinaryClient) -> None:
    statement = client.prepare("SELECT ?")
    with pytest.raises(Refused, match="1210"):
        client.execute(statement.id, integer(1), bound=False)


def test_long_data_comes_in_pieces_and_is_used_once(town: Town, client: BinaryClient) -> None:
    statement = client.prepare("INSERT INTO note (note_id, body) VALUES (?, ?)")
    for piece in (b"one, ", b"two, ", b"three"):
        client.long_data(statement.id, 1, piece)
    client.execute(statement.id, integer(1), (FieldType.BLOB, None))
    client.execute(statement.id, integer(2), text("plain"))
    client.long_data(statement.id, 1, b"forgotten")
    client.reset(statement.id)
    client.execute(statement.id, integer(3), text("after"))
    found = client.execute(client.prepare("SELECT body FROM note ORDER BY note_id").id)
    assert rows(found) == [[b"one, two, three"], [b"plain"], [b"after"]]


def test_a_value_of_many_megabytes_arrives_whole(town: Town, client: BinaryClient) -> None:
    value = bytes(range(256)) * 8192 * 3  # 6 MiB, in pieces to the server
    statement = client.prepare("SELECT SHA2(?, 256), LENGTH(?), ?")
    [row] = rows(client.execute(statement.id, blob(value), blob(value), integer(1)))
    assert row[1:] == [b"%d" % len(value), b"1"]


def test_generated_keys_are_told(town: Town, client: BinaryClient) -> None:
    statement = client.prepare("INSERT INTO note (body) VALUES (?)")
    first = client.execute(statement.id, text("a")).ok.last_insert_id
    second = client.execute(statement.id, text("b")).ok.last_insert_id
    assert second > first > 0
    asked = client.prepare("SELECT LAST_INSERT_ID()")
    assert rows(client.execute(asked.id)) == [[b"%d" % second]]


def test_a_cursor_gives_the_rows_piece_by_piece(persons: Town, client: BinaryClient) -> None:
    one = client.prepare("SELECT id FROM person WHERE id > ? ORDER BY id")
    other = client.prepare("SELECT id, name FROM person WHERE id = ?")
    opened = client.execute(one.id, integer(9), cursor=True)
    assert opened.rows == []
    assert opened.ok.status & Status.CURSOR_EXISTS
    client.execute(other.id, integer(3), cursor=True)
    codec, seen = RowCodec(opened.columns), []
    for count in (3, 0, 4, 2):
        got, end = client.fetch(one.id, count)
        seen += [codec.decode(row) for row in got]
        assert end.status & Status.CURSOR_EXISTS
        assert not end.status & Status.LAST_ROW_SENT
    [row], end = client.fetch(other.id, 1)
    assert RowCodec(other.columns).decode(row) == [b"3", b"n3"]
    got, end = client.fetch(one.id, 100)
    seen += [codec.decode(row) for row in got]
    assert seen == [[b"%d" % id] for id in range(10, 20)]
    assert end.status & Status.LAST_ROW_SENT
    with pytest.raises(Refused, match="1421"):
        client.fetch(one.id, 1)
    client.execute(one.id, integer(9), cursor=True)
    client.reset(one.id)
    with pytest.raises(Refused, match="1421"):
        client.fetch(one.id, 1)


def test_a_statement_without_rows_opens_no_cursor(town: Town, client: BinaryClient) -> None:
    statement = client.prepare("INSERT INTO person (id) VALUES (?)")
    assert client.execute(statement.id, integer(1), cursor=True).ok.affected == 1
    with pytest.raises(Refused, match="1421"):
        client.fetch(statement.id, 1)


def test_what_the_mesh_answers_itself_comes_in_binary(town: Town, client: BinaryClient) -> None:
    show = client.prepare("SHOW TABLES LIKE 'per%'")
    assert [column.name[:10] for column in show.columns] == [b"Tables_in_"]
    assert rows(client.execute(show.id)) == [[b"person"]]
    client.execute(client.prepare("SET @a = ?").id, integer(42))
    assert rows(client.execute(client.prepare("SELECT @a + 1").id)) == [[b"43"]]
    insert, back = (client.prepare(sql) for sql in ("INSERT INTO person (id) VALUES (?), (?)", "ROLLBACK"))
    begun = client.query("BEGIN") if MYSQL else client.execute(client.prepare("BEGIN").id)
    assert begun.ok.status & Status.IN_TRANS
    assert client.execute(insert.id, integer(1), integer(2)).ok.affected == 2
    assert rows(client.execute(client.prepare("SELECT COUNT(*) FROM person").id)) == [[b"2"]]
    client.execute(back.id)
    assert town.persons() == {}


def test_a_statement_belongs_to_the_database_it_was_prepared_in(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT COUNT(*), DATABASE() FROM person")
    client.query("USE information_schema")
    assert rows(client.execute(statement.id)) == [[b"20", b"town"]]
    assert rows(client.execute(client.prepare("SELECT DATABASE()").id)) == [[b"information_schema"]]


def test_ddl_in_between_is_noticed(town: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT * FROM person WHERE id = ?")
    client.execute(client.prepare("INSERT INTO person (id, name) VALUES (?, ?)").id, integer(1), text("a"))
    for _ in range(3):
        assert len(rows(client.execute(statement.id, integer(1)))[0]) == 4
    client.query("ALTER TABLE person ADD COLUMN more INT DEFAULT 9")
    try:
        for _ in range(3):
            assert rows(client.execute(statement.id, integer(1)))[0][4] == b"9"
    finally:
        client.query("ALTER TABLE person DROP COLUMN more")
    assert len(rows(client.execute(statement.id, integer(1)))[0]) == 4


def test_reset_connection_forgets_all_statements(client: BinaryClient) -> None:
    statement = client.prepare("SELECT 1")
    client.command(Command.RESET_CONNECTION)
    client.ok()
    with pytest.raises(Refused, match="1243"):
        client.execute(statement.id)


def test_many_statements_on_one_connection_do_not_pile_up_on_the_servers(persons: Town, client: BinaryClient) -> None:
    def kept() -> int:
        [row] = persons.servers[0].rows("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")
        return int(row[1])

    before = kept()
    for number in range(300):
        statement = client.prepare(f"SELECT id + {number} FROM person WHERE id = ?")
        assert rows(client.execute(statement.id, integer(2))) == [[b"%d" % (number + 2)]]
        client.close(statement.id)
    assert kept() - before < 300


def test_base_transactions_write_and_undo_by_prepared_statements(persons: Town, client: BinaryClient) -> None:
    client.query("SET dbmesh_transaction = 'base'")
    before = persons.persons()
    client.query("BEGIN")
    update = client.prepare("UPDATE person SET name = ?, age = -? WHERE id > ?")
    assert client.execute(update.id, text("it's"), integer(-3), integer(15)).ok.affected == 4
    insert = client.prepare("INSERT INTO person (id, name, age) VALUES (?, ?, ?), (?, ?, ?)")
    client.execute(insert.id, integer(100), text("a"), NULL, integer(101), text("b"), integer(-1))
    read = client.prepare("SELECT id, name, age FROM person WHERE id > ? ORDER BY id")
    assert rows(client.execute(read.id, integer(18))) == [
        [b"19", b"it's", b"3"], [b"100", b"a", None], [b"101", b"b", b"-1"],
    ]  # fmt: skip
    client.query("ROLLBACK")
    assert persons.persons() == before


def test_the_number_of_the_last_statement_may_be_left_out(client: BinaryClient) -> None:
    client.prepare("SELECT 5")
    client.command(Command.STMT_EXECUTE, struct.pack("<IBI", 0xFFFFFFFF, 0, 1))
    assert rows(client.answer()) == [[b"5"]]


def test_information_schema_is_asked_with_parameters(town: Town, client: BinaryClient) -> None:
    sql = "SELECT TABLE_NAME AS t FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME LIKE ?"
    statement = client.prepare(sql)
    assert [column.name for column in statement.columns] == [b"t"]
    assert rows(client.execute(statement.id, text("town"), text("p%"))) == [[b"person"]]
    assert rows(client.execute(statement.id, text("town"), text("n%"))) == [[b"note"]]


def test_a_server_that_has_lost_a_statement_prepares_it_anew(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT name FROM person WHERE id = ?")
    several = client.prepare("SELECT COUNT(*) FROM person WHERE id > ?")
    for _ in range(3):
        assert rows(client.execute(statement.id, integer(4))) == [[b"n4"]]
        assert rows(client.execute(several.id, integer(9))) == [[b"10"]]
    for server in persons.servers:
        for (id,) in server.rows("SELECT ID FROM information_schema.PROCESSLIST WHERE DB LIKE 'town\\_%'"):
            server.script([f"KILL {id}"])
    for id in (4, 5):
        assert rows(client.execute(statement.id, integer(id))) == [[b"n%d" % id]]
    assert rows(client.execute(several.id, integer(9))) == [[b"10"]]


def test_a_reload_of_the_rules_plans_anew(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT name FROM person WHERE id = ?")
    assert rows(client.execute(statement.id, integer(4))) == [[b"n4"]]
    with persons.connect("admin") as connection, connection.cursor() as cursor:
        cursor.execute("RELOAD MESH RULES")
    for id in (4, 5, 6):
        assert rows(client.execute(statement.id, integer(id))) == [[b"n%d" % id]]


def test_a_reader_may_prepare_what_reads_and_nothing_else(town: Town) -> None:
    with BinaryClient(town.mesh.port, "reader", "secret", "town") as client:
        client.execute(client.prepare("SELECT * FROM person WHERE id = ?").id, integer(1))
        with pytest.raises(Refused) as refused:
            client.prepare("DELETE FROM person WHERE id = ?")
        assert refused.value.errno in (1142, 1290)


def test_keys_come_as_numbers_of_any_width_and_beyond(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT name FROM person WHERE age >= ? AND id = ?")
    tiny, short = (FieldType.TINY, b"\x07"), (FieldType.SHORT, b"\x08\0")
    for _ in range(3):
        assert rows(client.execute(statement.id, integer(0), tiny)) == [[b"n7"]]
        assert rows(client.execute(statement.id, tiny, short)) == []
        assert rows(client.execute(statement.id, integer(0), integer(9))) == [[b"n9"]]
        assert rows(client.execute(statement.id, NULL, integer(9))) == []
        assert rows(client.execute(statement.id, integer(0), NULL)) == []
        assert rows(client.execute(statement.id, integer(0), integer(-1))) == []
        assert rows(client.execute(statement.id, integer(0), integer(2**64 - 1))) == []
        assert rows(client.execute(statement.id, double(0.5), integer(7))) == [[b"n7"]]


@pytest.mark.skipif(not MYSQL, reason="MariaDB compares with each value as it comes")
def test_a_statement_is_read_for_the_values_that_it_is_run_with(persons: Town, client: BinaryClient) -> None:
    sql = "SELECT id FROM person WHERE name = ? ORDER BY id"
    assert len(rows(client.execute(client.prepare(sql).id, integer(0)))) == 20
    statement = client.prepare(sql)
    assert rows(client.execute(statement.id, text("n7"))) == [[b"7"]]
    assert len(rows(client.execute(statement.id, NULL))) == 0
    assert rows(client.execute(statement.id, text("n8"))) == [[b"8"]]


@pytest.mark.skipif(not MYSQL, reason="to MariaDB a parameter in ORDER BY is a position")
def test_a_parameter_in_order_by_is_a_constant(persons: Town, client: BinaryClient) -> None:
    statement = client.prepare("SELECT id FROM person ORDER BY ?, id")
    for value in (integer(1), integer(9), text("id")):
        assert rows(client.execute(statement.id, value))[:3] == [[b"0"], [b"1"], [b"2"]]


@pytest.mark.skipif(not MYSQL, reason="MariaDB prepares these")
def test_what_mysql_does_not_prepare_is_not_prepared(client: BinaryClient) -> None:
    for sql in ("BEGIN", "SAVEPOINT a", "USE town", "SHOW WARNINGS", "LOCK TABLES person READ"):
        with pytest.raises(Refused) as refused:
            client.prepare(sql)
        assert refused.value.errno == 1295
