"""The statements around a write, what is refused, what is locked, and the undo records that come out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbmesh.errors import NotSupported
from dbmesh.plan.model import Write
from dbmesh.saga import gates
from dbmesh.saga.images import Row, key_index
from dbmesh.saga.lock_keys import lock_keys
from dbmesh.saga.script import reverse_script
from dbmesh.saga.undo import Numbers, decode_image, encode_image, pairs_of, undo_records
from dbmesh.saga.values import Value
from dbmesh.saga.writes import recording
from dbmesh.schema import Column, Index, Table

ACCOUNT = Table(
    "account_1",
    (
        Column("id", "int"),
        Column("owner", "varchar", charset="utf8mb4", pad=b"\x20"),
        Column("balance", "decimal"),
        Column("changed", "timestamp", on_update=True),
        Column("twice", "decimal", generated=True),
    ),
    primary_key=("id",),
    unique=(Index("PRIMARY", ("id",)), Index("owner", ("owner",))),
)
UPDATE = Write(
    "U",
    "account_1",
    "`account_1` AS `a`",
    "UPDATE `account_1` AS `a` SET balance = balance - 1",
    where="a.id > 5 -- note",
    order_by="id",
    limit="3",
    set_columns=("balance",),
)


def row(id_: str, balance: str) -> Row:
    values = {"id": Value("num", id_), "balance": Value("num", balance), "changed": Value("ts", "2026-01-01 00:00:00")}
    return Row(values, {"id": id_})


def test_an_update_is_pinned_to_its_snapshot() -> None:
    record = recording(UPDATE, ACCOUNT)
    assert record.touched == ("balance", "changed")
    assert record.snapshot(100) == (
        "SELECT `id`, `balance`, UNIX_TIMESTAMP(`changed`), `id`, @@sql_safe_updates FROM `account_1` AS `a`"
        " WHERE (a.id > 5 -- note\n) ORDER BY id\n LIMIT 3\n FOR UPDATE"
    )
    rows = [row("6", "1.00"), row("7", "2.00")]
    assert record.pinned(rows) == f"{UPDATE.head}\nWHERE `id` IN (6, 7) ORDER BY id\n"
    assert record.pinned([]) == f"{UPDATE.head}\nWHERE 0 ORDER BY id\n"
    assert record.after(rows).endswith("WHERE `id` IN (6, 7) LIMIT 18446744073709551615 FOR UPDATE NOWAIT")


def test_a_composite_key_is_pinned_row_by_row() -> None:
    table = replace(ACCOUNT, primary_key=("id", "owner"))
    record = recording(UPDATE, table)
    values = {"id": Value("num", "1"), "owner": Value("text:utf8mb4", "ë")}
    rows = [Row(values, {"id": "1", "owner": "x"})] * 2
    one = "(`id` = 1 AND `owner` = _utf8mb4 x'C3AB')"
    assert record.rows_condition(rows) == f"{one} OR {one}"


def test_a_row_with_a_new_key_is_found_by_it_and_goes_back_to_the_old_one() -> None:
    table = replace(ACCOUNT, primary_key=("id", "owner"))
    write = replace(UPDATE, set_columns=("ID", "balance"), set_values=("9", "balance + 1"))
    gates.check(write, table)
    record = recording(write, table)
    values = {**row("6", "1.00").values, "owner": Value("text:utf8mb4", "a")}
    old = Row(values, {"id": "6", "owner": "A"})
    new = Row(values | {"id": Value("num", "9"), "balance": Value("num", "2.00")}, {"id": "9", "owner": "A"})
    assert "WHERE (`ID` = 9 AND `owner` = 'a') LIMIT" in record.after([old]).replace("`id` = 9", "`ID` = 9")
    (undo,) = undo_records(record, "shop", pairs_of(record, [old], [new]), Numbers(0, 1, 1))
    assert undo.row_condition == "`id` = 9 AND `owner`='a'"
    assert undo.old_condition == "`id` = 6 AND `owner`='a'"
    assert undo.reverse_sql.startswith("UPDATE `shop`.`account_1` SET `id`=6, `balance`=1.00")
    assert {key.text for key in lock_keys("shop", "t", record.locked, [old, new])} >= {"PRIMARY(6,a)", "PRIMARY(9,a)"}


def test_only_rows_that_changed_get_an_undo_record() -> None:
    record = recording(UPDATE, ACCOUNT)
    before, after = [row("6", "1.00"), row("7", "2.00")], [row("7", "2.00"), row("6", "0.00")]
    (undo,) = undo_records(
        record, "shop", pairs_of(record, before, after), Numbers(seq=4, bseq=2, stmt_no=1, original="UPDATE …")
    )
    assert (undo.seq, undo.bseq, undo.op, undo.original) == (5, 2, "U", "UPDATE …")
    assert undo.reverse_sql == (
        "UPDATE `shop`.`account_1` SET `balance`=1.00, `changed`='2026-01-01 00:00:00' WHERE `id` = 6"
        " AND `balance`<=>0.00 AND `changed`<=>'2026-01-01 00:00:00' LIMIT 1"
    )


def test_a_checksum_covers_what_the_compensation_relies_on() -> None:
    record = recording(UPDATE, ACCOUNT)
    (undo,) = undo_records(record, "shop", pairs_of(record, [row("6", "1")], [row("6", "2")]), Numbers(0, 1, 1))
    assert undo.crc == replace(undo, original="other", stmt_no=9).crc
    for change in ({"reverse_sql": "DELETE"}, {"table": "t"}, {"before": None}, {"key": {}}):
        assert undo.crc != replace(undo, **change).crc  # type: ignore[arg-type]


def test_images_survive_their_json() -> None:
    image = {"ü": Value("text:utf8mb4", 'a"\\\n☃'), "n": Value("num", None)}
    assert decode_image(encode_image(image)) == image
    assert (encode_image(image) or "").isascii()


def test_an_insert_is_undone_by_its_key_and_a_delete_by_all_stored_columns() -> None:
    stored = ("id", "owner", "balance", "changed")
    values = {name: Value("num", "1") for name in stored}
    insert = recording(Write("I", "account_1", "`account_1`", "INSERT …"), ACCOUNT)
    delete = recording(Write("D", "account_1", "`account_1`", "DELETE FROM `account_1`"), ACCOUNT)
    assert insert.touched == delete.touched == stored
    whole = Row(values, {"id": "1", "owner": "AA"})
    (undo,) = undo_records(insert, "shop", pairs_of(insert, [], [whole]), Numbers(0, 1, 1))
    assert undo.reverse_sql == "DELETE FROM `shop`.`account_1` WHERE `id` = 1 LIMIT 1"
    (undo,) = undo_records(delete, "shop", pairs_of(delete, [whole], []), Numbers(0, 1, 1))
    assert undo.reverse_sql == (
        "INSERT INTO `shop`.`account_1` (`id`, `owner`, `balance`, `changed`) VALUES (1, 1, 1, 1)"
    )


def test_locks_are_the_key_and_every_unique_tuple_without_null() -> None:
    indexes = (Index("PRIMARY", ("id",)), Index("u", ("a", "b")))
    values = {name: Value("num", "1") for name in ("id", "a", "b")}

    def keys(**weights: str | None) -> set[str]:
        return {key.text for key in lock_keys("shop", "t", indexes, [Row(values, weights)])}

    assert keys(id="1", a="1", b="2") == {"PRIMARY(1)", "u(1,1)"}
    assert keys(id="1", a=None, b="2") == {"PRIMARY(1)"}


def test_parts_of_a_lock_key_cannot_be_confused() -> None:
    index = (Index("u", ("a", "b")),)
    one = lock_keys("s", "t", index, [Row({}, {"a": "1", "b": "23"})])
    other = lock_keys("s", "t", index, [Row({}, {"a": "12", "b": "3"})])
    assert one.isdisjoint(other)


def test_an_update_locks_only_the_unique_tuples_that_it_can_change() -> None:
    assert [index.name for index in recording(UPDATE, ACCOUNT).locked] == ["PRIMARY"]
    owner = replace(UPDATE, set_columns=("OWNER",))
    assert [index.name for index in recording(owner, ACCOUNT).locked] == ["PRIMARY", "owner"]


def test_without_a_primary_key_the_smallest_unique_not_null_key_names_a_row() -> None:
    columns = (Column("a", "int", nullable=False), Column("b", "int", nullable=False), Column("c", "int"))
    unique = (Index("ab", ("a", "b")), Index("c", ("c",)), Index("b", ("b",)))
    assert key_index(Table("t", columns, (), unique)) == Index("b", ("b",))
    assert key_index(Table("t", columns, (), unique[1:2])).columns == ()


@pytest.mark.parametrize(
    ("write", "table", "reason"),
    [
        ({"op": "X"}, {}, "this form"),
        ({"set_columns": ("ID",), "set_values": ("id + 1",)}, {}, "key column ID"),
        ({"set_columns": ("ID",), "set_values": ("7",), "ignore": True}, {}, "key column ID"),
        ({"set_columns": ("alias.x",)}, {}, "not known"),
        ({}, {"primary_key": (), "unique": ()}, "no primary or unique not-null key"),
        ({}, {"engine": "MEMORY"}, "not transactional"),
        ({}, {"triggers": ("tr",)}, r"triggers \(tr\)"),
        ({}, {"cascades": ("fk",)}, r"foreign keys \(fk\)"),
        ({}, {"columns": (*ACCOUNT.columns, Column("odd", "hologram"))}, "hologram"),
    ],
)
def test_what_could_not_be_compensated_is_refused(write: dict[str, Any], table: dict[str, Any], reason: str) -> None:
    gates.check(UPDATE, ACCOUNT)
    with pytest.raises(NotSupported, match=reason):
        gates.check(replace(UPDATE, **write), replace(ACCOUNT, **table))


def test_the_reverse_script_is_commented_and_ends_the_branch() -> None:
    record = recording(UPDATE, ACCOUNT)
    numbers = Numbers(0, 3, 1, original="UPDATE account\n SET balance = 0")
    undo = undo_records(record, "shop", pairs_of(record, [row("6", "1")], [row("6", "2")]), numbers)
    lines = reverse_script("dm-1", "ds_1", "shop", undo, "`_dbmesh`.`branch`", "`_dbmesh`.`row_lock`")
    assert lines[5] == "BEGIN;"
    assert lines[9:12] == [
        "-- dm-1  ds_1  seq 1  U  shop.account_1  `id` = 6  from: UPDATE account SET balance = 0",
        "-- guard: the row must be {balance: 2, changed: '2026-01-01 00:00:00'}",
        "SET @guard = (SELECT COUNT(*) = 1 FROM `shop`.`account_1` WHERE `id` = 6 AND `balance` <=> 2"
        " AND UNIX_TIMESTAMP(`changed`) <=> 1767225600 FOR UPDATE);",
    ]
    assert lines[13] == f"{undo[0].reverse_sql};"
    assert lines[-1] == "COMMIT;"
    assert sum("SET state='COMPENSATED'" in line for line in lines) == 1
