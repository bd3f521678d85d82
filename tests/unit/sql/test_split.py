"""Texts of several statements, parted as a server parts them."""

from __future__ import annotations

import pytest

from dbmesh.sql.split import split

BODY = """CREATE DEFINER=`a`@`%` PROCEDURE p(x INT)
BEGIN
  DECLARE y INT DEFAULT IF(x > 1, 2, 3);
  IF x THEN SET y = 1; ELSEIF y THEN SET y = CASE x WHEN 1 THEN 2 END; ELSE SELECT REPEAT('a', 3); END IF;
  here: LOOP SET y = y + 1; LEAVE here; END LOOP here;
  REPEAT SET y = 1; UNTIL y END REPEAT;
  WHILE y DO SET y = 0; END WHILE;
  CASE y WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE;
END"""
TRIGGER = "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.x = IF(NEW.x, 1, 2)"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; ", ["SELECT 1"]),
        ("SELECT 1;;\n;", ["SELECT 1"]),
        ("", [""]),
        (";", [""]),
        ("SELECT 1; SELECT 2", ["SELECT 1", " SELECT 2"]),
        ("SELECT 1;; SELECT 2", ["SELECT 1", "", " SELECT 2"]),
        ("SELECT ';', \";\", `;` /* ; */ -- ;\n # ;\n; DO 1", ["SELECT ';', \";\", `;` /* ; */ -- ;\n # ;\n", " DO 1"]),
        ("SELECT 'a\\';b'; SELECT 'it''s;'", ["SELECT 'a\\';b'", " SELECT 'it''s;'"]),
        ("SELECT @`a;b`; SELECT 1", ["SELECT @`a;b`", " SELECT 1"]),
        ("SELECT 'open; SELECT 2", ["SELECT 'open; SELECT 2"]),
        (f"SELECT 1; {BODY}; SELECT 2", ["SELECT 1", f" {BODY}", " SELECT 2"]),
        (f"{BODY};", [BODY]),
        (f"{TRIGGER}; SELECT 2", [TRIGGER, " SELECT 2"]),
        ("CREATE PROCEDURE IF NOT EXISTS p() IF 1 THEN DO 1; END IF; DO 2",
         ["CREATE PROCEDURE IF NOT EXISTS p() IF 1 THEN DO 1; END IF", " DO 2"]),
        ("DROP PROCEDURE IF EXISTS p; CREATE TABLE t (a INT); BEGIN; COMMIT",
         ["DROP PROCEDURE IF EXISTS p", " CREATE TABLE t (a INT)", " BEGIN", " COMMIT"]),
        ("SELECT 1; -- done", ["SELECT 1", " -- done"]),
    ],
)  # fmt: skip
def test_a_text_is_parted_where_a_server_parts_it(text: str, parts: list[str]) -> None:
    assert split(text) == parts
