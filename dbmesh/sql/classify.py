"""What kind of statement a text is, by its leading words: before the parser, which misreads many kinds."""

from __future__ import annotations

import re
from enum import Enum


class StatementKind(Enum):
    """``SHOW_MESH``, ``EXPLAIN_MESH`` and ``RELOAD_MESH`` are DBMesh's own. DDL_* name what they act on, and commit."""

    EMPTY = "EMPTY"
    SELECT = "SELECT"
    WITH = "WITH"
    VALUES = "VALUES"
    TABLE = "TABLE"
    INSERT = "INSERT"
    REPLACE = "REPLACE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    DO = "DO"
    CALL = "CALL"
    HANDLER = "HANDLER"
    LOAD = "LOAD"
    SET = "SET"
    SHOW = "SHOW"
    SHOW_MESH = "SHOW MESH"
    RELOAD_MESH = "RELOAD MESH"
    USE = "USE"
    DESCRIBE = "DESCRIBE"
    EXPLAIN = "EXPLAIN"
    EXPLAIN_MESH = "EXPLAIN MESH"
    HELP = "HELP"
    BEGIN = "BEGIN"
    COMMIT = "COMMIT"
    ROLLBACK = "ROLLBACK"
    ROLLBACK_TO = "ROLLBACK TO SAVEPOINT"
    SAVEPOINT = "SAVEPOINT"
    RELEASE = "RELEASE SAVEPOINT"
    XA = "XA"
    LOCK = "LOCK TABLES"
    UNLOCK = "UNLOCK TABLES"
    LOCK_INSTANCE = "LOCK INSTANCE"
    PREPARE = "PREPARE"
    EXECUTE = "EXECUTE"
    DEALLOCATE = "DEALLOCATE PREPARE"
    KILL = "KILL"
    FLUSH = "FLUSH"
    GRANT = "GRANT"
    REVOKE = "REVOKE"
    ACCOUNT = "account management"
    ADMIN = "administration"
    CREATE_TEMPORARY = "CREATE TEMPORARY TABLE"
    DROP_TEMPORARY = "DROP TEMPORARY TABLE"
    DDL_CREATE_TABLE = "CREATE TABLE"
    DDL_ALTER_TABLE = "ALTER TABLE"
    DDL_DROP_TABLE = "DROP TABLE"
    DDL_TRUNCATE = "TRUNCATE TABLE"
    DDL_RENAME_TABLE = "RENAME TABLE"
    DDL_CREATE_INDEX = "CREATE INDEX"
    DDL_DROP_INDEX = "DROP INDEX"
    DDL_CREATE_VIEW = "CREATE VIEW"
    DDL_DROP_VIEW = "DROP VIEW"
    DDL_DATABASE = "DDL of a database"
    DDL_OTHER = "other DDL"
    TABLE_MAINTENANCE = "table maintenance"  # ANALYZE, CHECK, CHECKSUM, OPTIMIZE, REPAIR TABLE
    COMPOUND = "compound statement"
    UNKNOWN = "UNKNOWN"

    @property
    def is_ddl(self) -> bool:
        return self.name.startswith("DDL_")


_SKIPPED = r"(?:[\x00-\x20]|/\*.*?\*/|\#[^\n]*+|--(?=[\x00-\x20]|\Z)[^\n]*+)*+"
_LEADING = re.compile(rf"{_SKIPPED}(?:\({_SKIPPED})*+([A-Za-z_]*)", re.DOTALL)
_WORD = re.compile(rf"{_SKIPPED}([A-Za-z_]+|[=@]|`[^`]*+`|'[^']*+')?", re.DOTALL)

K = StatementKind
_BY_FIRST = {
    "SELECT": K.SELECT, "WITH": K.WITH, "VALUES": K.VALUES, "TABLE": K.TABLE, "INSERT": K.INSERT, "REPLACE": K.REPLACE,
    "UPDATE": K.UPDATE, "DELETE": K.DELETE, "DO": K.DO, "CALL": K.CALL, "HANDLER": K.HANDLER, "LOAD": K.LOAD,
    "SET": K.SET, "USE": K.USE, "HELP": K.HELP, "COMMIT": K.COMMIT,
    "SAVEPOINT": K.SAVEPOINT, "RELEASE": K.RELEASE, "XA": K.XA, "PREPARE": K.PREPARE, "EXECUTE": K.EXECUTE,
    "DEALLOCATE": K.DEALLOCATE, "KILL": K.KILL, "FLUSH": K.FLUSH, "GRANT": K.GRANT, "REVOKE": K.REVOKE,
    "TRUNCATE": K.DDL_TRUNCATE, "OPTIMIZE": K.TABLE_MAINTENANCE, "REPAIR": K.TABLE_MAINTENANCE,
    "CHECK": K.TABLE_MAINTENANCE, "CHECKSUM": K.TABLE_MAINTENANCE, "CACHE": K.TABLE_MAINTENANCE,
    "RESET": K.ADMIN, "PURGE": K.ADMIN, "CHANGE": K.ADMIN, "STOP": K.ADMIN, "INSTALL": K.ADMIN,
    "UNINSTALL": K.ADMIN, "SHUTDOWN": K.ADMIN, "RESTART": K.ADMIN, "BINLOG": K.ADMIN, "CLONE": K.ADMIN,
    "BACKUP": K.ADMIN, "IMPORT": K.ADMIN, "IF": K.COMPOUND, "CASE": K.COMPOUND, "LOOP": K.COMPOUND,
    "REPEAT": K.COMPOUND, "WHILE": K.COMPOUND, "DECLARE": K.COMPOUND, "SIGNAL": K.COMPOUND,
    "RESIGNAL": K.COMPOUND, "GET": K.COMPOUND,
}  # fmt: skip
_OF_TABLES = {"ALTER": K.DDL_ALTER_TABLE, "CREATE": K.DDL_CREATE_TABLE, "DROP": K.DDL_DROP_TABLE,
              "RENAME": K.DDL_RENAME_TABLE}  # fmt: skip
_OF_TEMPORARIES = {"CREATE": K.CREATE_TEMPORARY, "DROP": K.DROP_TEMPORARY}
_OF_INDEXES = {"CREATE": K.DDL_CREATE_INDEX, "DROP": K.DDL_DROP_INDEX}
_OF_VIEWS = {"CREATE": K.DDL_CREATE_VIEW, "DROP": K.DDL_DROP_VIEW}
_DDL_MODIFIERS = {"OR", "REPLACE", "TEMPORARY", "UNIQUE", "FULLTEXT", "SPATIAL", "ONLINE", "OFFLINE", "IGNORE",
                  "ALGORITHM", "=", "MERGE", "TEMPTABLE", "UNDEFINED",
                  "SQL", "SECURITY", "INVOKER", "DEFINER", "NO", "WAIT"}  # fmt: skip


def classify(text: str) -> StatementKind:
    """The kind of the statement that ``text`` begins with."""
    match = _LEADING.match(text)
    if match is None or not match[1]:
        return K.UNKNOWN if match is not None and match.end() < len(text) and text[match.end()] != ";" else K.EMPTY
    first = match[1].upper()
    kind = _BY_FIRST.get(first)
    if kind is not None:
        return kind
    decide = _DECIDERS.get(first)
    return decide(first, _words(text, match.end(), 24)) if decide else K.UNKNOWN


def after_words(text: str, count: int) -> int:
    """Where the text goes on behind its first ``count`` words ('=' counts as one), comments between them skipped."""
    at = 0
    for _ in range(count):
        match = _WORD.match(text, at)
        if match is None:
            break
        at = match.end()
    return at


def explained(text: str) -> str:
    """The statement within ``EXPLAIN FORMAT=MESH <statement>``."""
    return text[after_words(text, 4) :].strip()


def _words(text: str, at: int, limit: int) -> list[str]:
    words: list[str] = []
    while len(words) < limit and (match := _WORD.match(text, at)) and match[1]:
        words.append(match[1].upper())
        at = match.end()
    return words


def _explain(first: str, words: list[str]) -> StatementKind:
    if words[:3] == ["FORMAT", "=", "MESH"]:
        return K.EXPLAIN_MESH
    if not words:
        return K.DESCRIBE
    explains = {"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE", "FORMAT", "EXTENDED",
                "PARTITIONS", "ANALYZE", "FOR", "INTO"}  # fmt: skip
    return K.EXPLAIN if words[0] in explains else K.DESCRIBE


def _show(first: str, words: list[str]) -> StatementKind:
    return K.SHOW_MESH if words[:1] == ["MESH"] else K.SHOW


def _begin(first: str, words: list[str]) -> StatementKind:
    if first == "START":
        return K.BEGIN if words[:1] == ["TRANSACTION"] else K.ADMIN
    return K.BEGIN if not words or words[0] == "WORK" else K.COMPOUND


def _rollback(first: str, words: list[str]) -> StatementKind:
    rest = words[1:] if words[:1] == ["WORK"] else words
    return K.ROLLBACK_TO if rest[:1] == ["TO"] else K.ROLLBACK


def _lock(first: str, words: list[str]) -> StatementKind:
    if words[:1] == ["INSTANCE"]:
        return K.LOCK_INSTANCE
    return K.LOCK if first == "LOCK" else K.UNLOCK


def _reload(first: str, words: list[str]) -> StatementKind:
    return K.RELOAD_MESH if words[:1] == ["MESH"] else K.UNKNOWN


def _analyze(first: str, words: list[str]) -> StatementKind:
    maintains = {"TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"}
    return K.TABLE_MAINTENANCE if words and words[0] in maintains else K.EXPLAIN


def _ddl(first: str, words: list[str]) -> StatementKind:
    rest = iter(words)
    what = next((word for word in rest if word[0] not in "`'@" and word not in _DDL_MODIFIERS), "")
    if what in ("TABLE", "TABLES"):
        if first in _OF_TEMPORARIES and "TEMPORARY" in words[: words.index(what)]:
            return _OF_TEMPORARIES[first]
        return _OF_TABLES[first]
    if what == "INDEX" and first in _OF_INDEXES:
        return _OF_INDEXES[first]
    if what == "VIEW" and first in _OF_VIEWS:
        return _OF_VIEWS[first]
    if what in ("DATABASE", "SCHEMA"):
        return K.DDL_DATABASE
    if what == "PREPARE":
        return K.DEALLOCATE
    return K.ACCOUNT if what in ("USER", "ROLE") else K.DDL_OTHER


_DECIDERS = {
    "EXPLAIN": _explain, "DESCRIBE": _explain, "DESC": _explain, "SHOW": _show, "BEGIN": _begin, "START": _begin,
    "ROLLBACK": _rollback, "LOCK": _lock, "UNLOCK": _lock, "RELOAD": _reload, "ANALYZE": _analyze,
    "CREATE": _ddl, "ALTER": _ddl, "DROP": _ddl, "RENAME": _ddl,
}  # fmt: skip
