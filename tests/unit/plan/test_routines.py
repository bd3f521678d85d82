"""What the body of a stored program may name: its own database, which is left out of the text."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.plan.routines import own_names
from dbmesh.rewrite import splice
from dbmesh.sql.tokens import TokenKind, tokens


def edited(text: str) -> str:
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    return splice(text, (), own_names(found, "shop")).render((), (), lambda name: "")


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("CREATE PROCEDURE shop.p () SELECT o.id, i.n FROM shop.orders o JOIN items i ON i.o = o.id ORDER BY o.id DESC",
         "CREATE PROCEDURE p () SELECT o.id, i.n FROM orders o JOIN items i ON i.o = o.id ORDER BY o.id DESC"),
        ("CREATE TRIGGER r AFTER UPDATE ON `shop`.t FOR EACH ROW INSERT INTO log VALUES (OLD.a, NEW.a)",
         "CREATE TRIGGER r AFTER UPDATE ON t FOR EACH ROW INSERT INTO log VALUES (OLD.a, NEW.a)"),
        ("CALL shop.p(@a, 1.5)", "CALL p(@a, 1.5)"),
    ],
)  # fmt: skip
def test_the_own_databases_name_is_left_out(text: str, own: str) -> None:
    assert edited(text) == own


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN IF NEW.a > OLD.a THEN SET NEW.b = NEW.a, NEW.c = 1; ELSE DELETE FROM t WHERE t.x = NEW.a; END IF; END",
        "SELECT t.a, EXTRACT(YEAR FROM t.d), TRIM(LEADING 'x' FROM t.e) FROM t WHERE EXISTS (SELECT 1 FROM u) AND t.a",
        "SELECT * FROM t ORDER BY t.a DESC, t.b",
        "INSERT INTO t (a, b) SELECT s.a, s.b FROM s ON DUPLICATE KEY UPDATE t.a = s.a, t.b = VALUES(b)",
        "UPDATE t JOIN u ON u.a = t.a SET t.b = u.b, t.c = REPLACE(u.c, t.d, u.d) WHERE t.e LIKE u.e",
        "BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1; FETCH c INTO x, y; CALL p(x, t.y); END",
        "SELECT CASE WHEN t.a THEN t.b ELSE t.c END, IF(t.a, t.b, t.c) FROM (SELECT x.a FROM x) t GROUP BY t.a",
    ],
)
def test_columns_are_no_tables(body: str) -> None:
    assert edited(f"CREATE PROCEDURE p () {body}") == f"CREATE PROCEDURE p () {body}"


@pytest.mark.parametrize(
    "body",
    [
        "SELECT 1 FROM a, other.t",
        "SELECT 1 FROM a WHERE x IN (SELECT y FROM (other.t))",
        "SELECT 1 FROM a JOIN b ON a.x = b.x, other.t",
        "SELECT EXTRACT(YEAR FROM a.d) FROM other.t",
        "BEGIN IF 1 THEN INSERT other.t VALUES (1); END IF; END",
        "BEGIN WHILE 1 DO TRUNCATE other.t; END WHILE; END",
        "UPDATE a, other.t SET a.x = 1",
        "DELETE FROM a USING a, other.t",
        "BEGIN DESC other.t; END",
        "RENAME TABLE a TO other.a",
        "CREATE TABLE a LIKE other.a",
        "SET @x = other.f()",
        "CALL other.p()",
    ],
)
def test_another_schema_is_refused(body: str) -> None:
    with pytest.raises(NotSupported, match="other"):
        edited(f"CREATE PROCEDURE p () {body}")
