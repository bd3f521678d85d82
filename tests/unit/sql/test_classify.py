"""Kinds of statements by their leading words."""

from __future__ import annotations

import pytest

from dbmesh.sql.classify import StatementKind, after_words, classify, explained

KINDS = {
    " /* x */ ((select 1) union select 2)": "SELECT",
    "-- a\nshow tables": "SHOW",
    "show mesh pools": "SHOW_MESH",
    "reload mesh rules": "RELOAD_MESH",
    "EXPLAIN FORMAT=MESH select 1": "EXPLAIN_MESH",
    "explain format = mesh delete from t": "EXPLAIN_MESH",
    "explain format=json select 1": "EXPLAIN",
    "explain select 1": "EXPLAIN",
    "analyze select 1": "EXPLAIN",
    "analyze table t": "TABLE_MAINTENANCE",
    "desc t": "DESCRIBE",
    "explain t": "DESCRIBE",
    "begin": "BEGIN",
    "begin work": "BEGIN",
    "begin not atomic select 1; end": "COMPOUND",
    "start transaction read only": "BEGIN",
    "start slave": "ADMIN",
    "rollback": "ROLLBACK",
    "rollback work to savepoint a": "ROLLBACK_TO",
    "rollback and chain": "ROLLBACK",
    "release savepoint a": "RELEASE",
    "create or replace algorithm=merge definer=`a`@`b` sql security invoker view v as select 1": "DDL_CREATE_VIEW",
    "create unique index i on t(a)": "DDL_CREATE_INDEX",
    "create temporary table t (a int)": "CREATE_TEMPORARY",
    "create or replace temporary table t (a int)": "CREATE_TEMPORARY",
    "drop temporary table if exists t": "DROP_TEMPORARY",
    "create table temporary (a int)": "DDL_CREATE_TABLE",
    "drop table if exists t": "DDL_DROP_TABLE",
    "rename table a to b": "DDL_RENAME_TABLE",
    "truncate t": "DDL_TRUNCATE",
    "drop database x": "DDL_DATABASE",
    "create trigger x before insert on t for each row set a=1": "DDL_OTHER",
    "drop prepare s": "DEALLOCATE",
    "create user a": "ACCOUNT",
    "lock tables t read": "LOCK",
    "lock instance for backup": "LOCK_INSTANCE",
    "unlock tables": "UNLOCK",
    "": "EMPTY",
    "  ; ": "EMPTY",
    "/* only a comment */": "EMPTY",
    "{x}": "UNKNOWN",
    "123": "UNKNOWN",
}


@pytest.mark.parametrize(("text", "kind"), KINDS.items())
def test_leading_words_tell_the_kind(text: str, kind: str) -> None:
    assert classify(text) is StatementKind[kind]


def test_the_explained_statement_is_what_follows() -> None:
    assert explained("EXPLAIN /* x */ FORMAT = MESH  select 1") == "select 1"


def test_words_are_counted_over_comments() -> None:
    text = "SHOW /* all */ MESH rules"
    assert text[after_words(text, 2) :] == " rules"
