"""LOAD DATA LOCAL INFILE: each record of the client's file on the node that its sharding key says."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from tests.flavour import MYSQL
from tests.integration.conftest import Town
from tests.integration.schema_world import SchemaWorld

ROWS = {
    "loan": "SELECT reader_id, book_id, since FROM loan ORDER BY reader_id, book_id",
    "book": "SELECT id, shelf, title, price, kind, HEX(notes) FROM book ORDER BY shelf, id",
    "genre": "SELECT id, name FROM genre ORDER BY id",
    "staff": "SELECT id, name FROM staff ORDER BY id",
}
LOAD = "LOAD DATA LOCAL INFILE 'PATH' "


@pytest.fixture
def sides(lending: SchemaWorld) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """The mesh and the plain server, the tables empty on both."""
    pair = lending.both(local_infile=True)
    for connection in pair:
        with connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            for table in ROWS:
                cursor.execute(f"DELETE FROM {table}")
    yield pair
    for connection in pair:
        connection.close()


def load(connection: Connection[Any], sql: str, path: Path) -> tuple[Any, ...]:
    """Affected rows, info string, warnings, LAST_INSERT_ID; or the error."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql.replace("PATH", str(path)))
        except pymysql.MySQLError as error:
            return error.args
        result: Any = cursor._result  # type: ignore[attr-defined]
        return result.affected_rows, result.message[1:], result.warning_count, result.insert_id


def rows(connection: Connection[Any], sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def csv(count: int, line: str = "{0},{1},2020-01-{2:02d}\n") -> bytes:
    return "".join(line.format(n, n % 3, n % 28 + 1) for n in range(count)).encode()


CASES = {
    "tabs": ("INTO TABLE loan", csv(500, "{0}\t{1}\t2020-01-{2:02d}\n")),
    "csv": ("INTO TABLE loan FIELDS TERMINATED BY ','", csv(500)),
    "header": (
        "INTO TABLE loan FIELDS TERMINATED BY ',' IGNORE 1 LINES (reader_id, book_id, since)",
        b"reader,book,since\n" + csv(50),
    ),
    "quotes": (
        "INTO TABLE loan COLUMNS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n'",
        csv(50, '"{0}",{1},"2020-01-{2:02d}"\r\n'),
    ),
    "long separators": (
        "INTO TABLE loan FIELDS TERMINATED BY '||' LINES STARTING BY '>>' TERMINATED BY '<<\\n'",
        csv(50, "junk>>{0}||{1}||2020-01-{2:02d}<<\n"),
    ),
    "other order and SET": (
        "INTO TABLE loan FIELDS TERMINATED BY ',' (@day, reader_id, @b) SET since = @day, book_id = @b + 1",
        csv(50, "2020-01-{2:02d},{0},{1}\n"),
    ),
    "replace": ("REPLACE INTO TABLE loan FIELDS TERMINATED BY ','", csv(50) * 2),
    "ignore": ("IGNORE INTO TABLE loan FIELDS TERMINATED BY ','", csv(50) * 2),
    "duplicates": ("INTO TABLE loan FIELDS TERMINATED BY ','", csv(3) * 3),
    "empty file": ("INTO TABLE loan", b""),
    "short, long and wrong records": (
        "INTO TABLE loan FIELDS TERMINATED BY ','",
        b"1,1\n2,2,bad\n3,3,2020-01-01,more,and more\n4,4,\\N\n5,x,2020-01-01\n6,6,2020-01-01",
    ),
    "keys that are no numbers": ("INTO TABLE loan", b"x1\t1\n 7\t1\n8.5\t1\n9x\t1\n\t1\n\\N\t2\n-3\t1\n"),
    "escapes": (
        "INTO TABLE book (id, shelf, title, notes)",
        b"1\t1\ta\\tb\\nc\\\\\tx\\0y\n2\t2\t\\N\t\\N\n3\t3\tN\tNULL\n4\t\\4\tl\\\nm\tz\n5\t-5\t\t\n",
    ),
    "quotes of all kinds": (
        "INTO TABLE book FIELDS TERMINATED BY ',' ENCLOSED BY '\"' (id, shelf, title, notes)",
        b'1,"1","a ""b"" c","line\nline"\n2,2,NULL,"NULL"\n3,"3","x"y",z"\n4,4,"a,b","\\"c"\n5,5,"open,\n',
    ),
    "a quote is its own escape": (
        "INTO TABLE book FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '\"' (id, shelf, title, notes)",
        b'1,1,"a ""b""",x\n2,"2",c\\,"d,e"\n',
    ),
    "no escape": (
        "INTO TABLE book FIELDS TERMINATED BY ',' ESCAPED BY '' (id, shelf, title, notes)",
        b"1,1,a\\,b\n2,2,\\N,c\n",
    ),
    "hexadecimal separators": ("INTO TABLE loan FIELDS TERMINATED BY 0x2c LINES TERMINATED BY X'0A'", csv(20)),
    "character set": (
        "INTO TABLE book CHARACTER SET latin1 (id, shelf, title, notes)",
        "".join(f"{n}\t{n % 9}\tt\u00eft\u00e9l {n}\t\u00fc\n" for n in range(200)).encode("latin1"),
    ),
    "utf8": (
        "INTO TABLE book CHARACTER SET utf8mb4 (id, shelf, title)",
        "".join(f"{n}\t{n % 9}\t\u4e66\U0001f4d6 {n}\n" for n in range(200)).encode(),
    ),
    "broadcast": ("INTO TABLE genre", b"5\tpoems\n6\tplays\n6\tplays\n"),
    "single": ("INTO TABLE staff (name)", b"Ann\nBob\n"),
    "an unknown column": ("INTO TABLE loan (reader_id, nosuch)", b"1\t1\n"),
    "an unknown table": ("INTO TABLE nosuch", b"1\t1\n"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_a_file_is_loaded_as_by_one_server(
    sides: tuple[Connection[Any], Connection[Any]], tmp_path: Path, case: str, charset: str
) -> None:
    clause, data = CASES[case]
    path = tmp_path / "rows.txt"
    path.write_bytes(data)
    for connection in sides:
        connection.set_character_set(charset)
    mesh, plain = sides
    told = [load(connection, LOAD + clause, path) for connection in sides]
    if case == "single":  # its numbers have gone on since the table was emptied
        told = [(*answer[:3],) for answer in told]
        assert [name for _, name in rows(mesh, ROWS["staff"])] == [name for _, name in rows(plain, ROWS["staff"])]
    else:
        for sql in ROWS.values():
            assert rows(mesh, sql) == rows(plain, sql)
    assert told[0] == told[1]


@pytest.mark.parametrize("seed", range(12))
def test_files_of_any_bytes_are_parted_as_by_one_server(
    sides: tuple[Connection[Any], Connection[Any]], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    marks = chance.choice(["", " FIELDS TERMINATED BY ','", " FIELDS TERMINATED BY ',' ENCLOSED BY '\"'",
                           " FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '\"'",
                           " FIELDS TERMINATED BY '' ENCLOSED BY '\"' LINES TERMINATED BY ','",
                           " FIELDS TERMINATED BY ',' LINES STARTING BY 'a' TERMINATED BY ',n'"])  # fmt: skip
    parts = [b",", b'"', b"\\", b"\n", b"\t", b"a", b"N", b"NULL", b"1", b",n", b'""', b'","', b"\\N"]
    path = tmp_path / "rows.txt"
    path.write_bytes(b"".join(b"%d,%d\t" % (n, n) + b"".join(chance.choices(parts, k=9)) + b"\n" for n in range(60)))
    told = [load(side, f"{LOAD} IGNORE INTO TABLE book{marks} (shelf, id, title, notes)", path) for side in sides]
    if told[0][0] == 1235:  # what looks least like a number is refused as a key
        assert rows(sides[0], ROWS["book"]) == []
        return
    assert told[0] == told[1]
    assert rows(sides[0], ROWS["book"]) == rows(sides[1], ROWS["book"])


def test_user_variables_are_those_of_the_last_record(
    sides: tuple[Connection[Any], Connection[Any]], tmp_path: Path
) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(csv(20))
    for connection in sides:
        load(
            connection, LOAD + "INTO TABLE loan FIELDS TERMINATED BY ',' (reader_id, @b, @`a day`) SET book_id=@b", path
        )
    for _ in range(4):  # whichever connection serves
        assert rows(sides[0], "SELECT @b, @`a day`") == rows(sides[1], "SELECT @b, @`a day`") == [("1", "2020-01-20")]


def test_rows_land_where_their_keys_point(lending: SchemaWorld, tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(csv(40))
    with closing(lending.connect(local_infile=True)) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM loan")
        load(connection, LOAD + "INTO TABLE loan FIELDS TERMINATED BY ','", path)
    for number, server in enumerate(lending.servers):
        found = server.rows("SELECT reader_id FROM loan", database=f"lending_{number}")
        assert sorted(key for (key,) in found) == list(range(number, 40, 2))


@pytest.mark.parametrize("text", ["ROLLBACK", "COMMIT"])
def test_a_file_is_part_of_the_transaction(
    sides: tuple[Connection[Any], Connection[Any]], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(csv(30))
    for connection in sides:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO loan (reader_id, book_id) VALUES (1000, 1)")
            assert load(connection, LOAD + "INTO TABLE loan FIELDS TERMINATED BY ','", path)[0] == 30
            cursor.execute(text)
    found = rows(sides[0], ROWS["loan"])
    assert found == rows(sides[1], ROWS["loan"])
    assert len(found) == (31 if text == "COMMIT" else 0)


def test_an_error_on_one_shard_undoes_the_file_on_all(
    sides: tuple[Connection[Any], Connection[Any]], tmp_path: Path
) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(csv(30, "{0},{1},2020-01-{2:02d}\n") + b"31,1,bad\n")
    for connection in sides:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO loan (reader_id, book_id) VALUES (1000, 1), (1001, 1)")
            answer = load(connection, LOAD + "REPLACE INTO TABLE loan FIELDS TERMINATED BY ','", path)
            assert answer[0] == 1292
            cursor.execute("COMMIT")
    found = rows(sides[0], ROWS["loan"])
    assert found == rows(sides[1], ROWS["loan"])
    assert len(found) == 2


REFUSED = {
    "server-side": ("LOAD DATA INFILE '/etc/hostname' INTO TABLE loan", b""),
    "XML": ("LOAD XML LOCAL INFILE 'PATH' INTO TABLE loan", b""),
    "fixed rows": (LOAD + "INTO TABLE loan FIELDS TERMINATED BY '' ENCLOSED BY ''", b"1 1\n"),
    "the key from a variable": (LOAD + "INTO TABLE loan (@a, book_id) SET reader_id = @a", b"1\t1\n"),
    "no key": (LOAD + "INTO TABLE loan (book_id)", b"1\n"),
    "a record without its key": (LOAD + "INTO TABLE loan (book_id, reader_id)", b"1\t1\n2\n" + b"3\t3\n" * 9),
    "another function on each shard": (LOAD + "INTO TABLE loan (reader_id, book_id) SET since = f(1)", b"1\t1\n"),
    "a subquery": (LOAD + "INTO TABLE loan (reader_id) SET book_id = (SELECT 1)", b"1\n"),
    "gbk": (LOAD + "INTO TABLE loan CHARACTER SET gbk", b"1\t1\n"),
    "a partition": (LOAD + "INTO TABLE loan PARTITION (p0)", b"1\t1\n"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_not_be_right_is_refused_and_changes_nothing(
    sides: tuple[Connection[Any], Connection[Any]], tmp_path: Path, case: str
) -> None:
    sql, data = REFUSED[case]
    path = tmp_path / "rows.txt"
    path.write_bytes(data)
    assert load(sides[0], sql, path)[0] == 1235
    assert rows(sides[0], ROWS["loan"]) == []


def test_generated_keys_stand_in_for_a_column_that_the_file_leaves_out(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"".join(b"note %d\n" % n for n in range(100)))
    with closing(town.connect(local_infile=True)) as connection:
        affected, info, warnings, last_id = load(connection, LOAD + "INTO TABLE note (body)", path)
        assert (affected, warnings) == (100, 0)
        assert b"ecords: 100" in info
        found = rows(connection, "SELECT note_id, body FROM note ORDER BY note_id")
        assert [body for _, body in found] == [f"note {n}" for n in range(100)]
        assert last_id == found[0][0]
        assert rows(connection, "SELECT LAST_INSERT_ID()") == [(last_id,)]
    assert all(town.shards("SELECT * FROM note"))


def test_who_may_not_write_may_not_load(lending: SchemaWorld, tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(csv(1))
    with closing(lending.connect("reader", local_infile=True)) as connection:
        assert load(connection, LOAD + "INTO TABLE loan FIELDS TERMINATED BY ','", path)[0] == 1142
        assert load(connection, LOAD + "INTO TABLE attic.box", path)[0] == 1044
    with closing(lending.connect()) as connection:
        assert load(connection, LOAD + "INTO TABLE loan", path)[0] == (3948 if MYSQL else 4166)


def test_a_base_transaction_does_not_load(lending: SchemaWorld, tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(csv(1))
    with closing(lending.connect(local_infile=True)) as connection, connection.cursor() as cursor:
        cursor.execute("SET dbmesh_transaction = 'base'")
        assert load(connection, LOAD + "INTO TABLE loan FIELDS TERMINATED BY ','", path)[0] == 1235


def test_a_client_that_leaves_in_the_middle_of_its_file_changes_nothing(lending: SchemaWorld) -> None:
    with closing(lending.connect()) as other:
        with other.cursor() as cursor:
            cursor.execute("DELETE FROM loan")
        for table in ("loan", "attic.box"):
            connection = lending.connect(local_infile=True)
            connection._execute_command(3, f"LOAD DATA LOCAL INFILE 'x' INTO TABLE {table}")  # type: ignore[attr-defined]
            assert connection._read_packet().get_all_data() == b"\xfbx"  # type: ignore[attr-defined]
            connection.write_packet(b"1\t1\t2020-01-01\n")  # type: ignore[attr-defined]
            connection._force_close()  # type: ignore[attr-defined]
        assert rows(other, ROWS["loan"]) == []
        _until(
            lambda: rows(other, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND = 'Query'") == [(1,)]
        )


def test_kill_query_waits_for_the_file_and_the_connection_lives(lending: SchemaWorld) -> None:
    with closing(lending.connect(local_infile=True)) as connection, closing(lending.connect()) as killer:
        for table in ("loan", "attic.box"):
            connection._execute_command(3, f"LOAD DATA LOCAL INFILE 'x' INTO TABLE {table}")  # type: ignore[attr-defined]
            assert connection._read_packet().get_all_data() == b"\xfbx"  # type: ignore[attr-defined]
            connection.write_packet(b"1\t1\t2020-01-01\n")  # type: ignore[attr-defined]
            with killer.cursor() as cursor:
                cursor.execute(f"KILL QUERY {connection.thread_id()}")
            connection.write_packet(b"2\t2\t2020-01-01\n")  # type: ignore[attr-defined]
            connection.write_packet(b"")  # type: ignore[attr-defined]
            with pytest.raises(pymysql.MySQLError) as raised:
                connection._read_packet()  # type: ignore[attr-defined]
            assert raised.value.args[0] == 1317
            assert rows(connection, f"SELECT COUNT(*) FROM {table} WHERE 1 = 0") == [(0,)]


def test_a_file_that_is_sent_slowly_holds_nobody_up(lending: SchemaWorld) -> None:
    with closing(lending.connect(local_infile=True)) as slow, closing(lending.connect(local_infile=True)) as other:
        slow._execute_command(3, "LOAD DATA LOCAL INFILE 'x' INTO TABLE loan")  # type: ignore[attr-defined]
        slow._read_packet()  # type: ignore[attr-defined]
        sender = threading.Thread(target=_send_slowly, args=(slow,))
        sender.start()
        assert rows(other, "SELECT 1") == [(1,)]
        sender.join()
        slow._read_packet()  # type: ignore[attr-defined]


def _send_slowly(connection: Connection[Any]) -> None:
    for byte in b"900\t1\t2020-01-01\n901\t1\t2020-01-01\n":
        connection.write_packet(bytes((byte,)))  # type: ignore[attr-defined]
    connection.write_packet(b"")  # type: ignore[attr-defined]


def _until(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)
