-- Mistakes: the mesh gives the server's own error number.
SELEC 1;
SELECT;
SELECT FROM item;
SELECT * FROM;
SELECT * FROM item WHERE;
SELECT (1;
SELECT 'open;
SELECT id FROM item ORDER BY;
SELECT id FROM item LIMIT -1;
SELECT id FROM item LIMIT 'x';
SELECT id FROM nothing;
SELECT id FROM nothing WHERE id = 1;
-- differs on mariadb: MySQL's number for an unknown database; MariaDB says that the table does not exist
SELECT id FROM nowhere.item;
SELECT nothing FROM item;
SELECT nothing FROM item WHERE id = 1;
SELECT id FROM item WHERE nothing = 1;
SELECT id FROM item WHERE id = 1 AND nothing = 1;
SELECT id FROM item ORDER BY nothing;
SELECT id FROM item GROUP BY nothing;
SELECT x.id FROM item;
SELECT x.id FROM item i WHERE i.id = 1;
SELECT id FROM item i JOIN part p ON p.item_id = i.id WHERE part_id = nothing AND i.id = 1;
SELECT item_id FROM part a JOIN part b ON a.item_id = b.item_id WHERE a.item_id = 7;
SELECT no_such_function(1);
SELECT ABS();
SELECT ABS(1, 2);
SELECT id, id FROM item WHERE id = 1 ORDER BY 3;
SELECT COUNT(*) FROM item WHERE COUNT(*) > 1;
SELECT SUM(COUNT(*)) FROM item;
SELECT id FROM item HAVING nothing > 1;
SELECT 1 UNION SELECT 1, 2;
SELECT (SELECT 1, 2);
SELECT (SELECT id FROM region);
SELECT 9223372036854775807 + 1;
SELECT CAST('x' AS nonsense);
SELECT id FROM item WHERE (id, grp) = (1);
SELECT 'a' COLLATE utf8mb4_nonsense;
SELECT _nonsense'a';
INSERT INTO nothing VALUES (1);
INSERT INTO item (nothing) VALUES (1);
INSERT INTO item (id) VALUES (1, 2);
INSERT INTO item VALUES (1);
INSERT INTO item (id) VALUES;
INSERT item;
UPDATE nothing SET a = 1;
UPDATE item SET nothing = 1;
UPDATE item SET WHERE id = 1;
UPDATE item;
DELETE FROM nothing;
DELETE item;
DELETE item WHERE id = 1;
UPDATE item SET;
SELECT id FROM item ORDER BY id LIMIT 1;
SELECT id FROM item ORDER BY id LIMIT 18446744073709551616;
DELETE FROM item WHERE nothing = 1;
TRUNCATE TABLE nothing;
DROP TABLE nothing;
ALTER TABLE nothing ADD COLUMN x INT;
CREATE TABLE item (id INT);
CREATE TABLE region (id INT);
DROP INDEX nothing ON item;
USE nowhere;
-- wording: the mesh's own parser begins at the whole clause
SET NAMES;
SET @@nothing = 1;
-- refused: SHOW speaks of one server
SHOW;
COMMIT NOW;
ROLLBACK NOW;
ROLLBACK TO SAVEPOINT nothing;
EXECUTE nothing;
-- refused: a procedure may touch any table
CALL nothing();
-- refused: this form of KILL
KILL 'x';
-- mistakes that no data node sees, because the mesh takes the statement apart or refuses it
SELECT grp, COUNT(*) FROM item GROUP BY grp HAVING id > 5;
SELECT MAX(id) FROM item HAVING grp > 5;
SELECT grp, COUNT(*) FROM item GROUP BY grp ORDER BY nothing + COUNT(*);
SELECT id FROM item ORDER BY 2;
SELECT id FROM item GROUP BY 5;
SELECT SUM(COUNT(*)) FROM item;
SELECT nofunc(id) FROM item;
SELECT ABS(1, 2) FROM item;
SELECT ABS() FROM item WHERE id = 5;
SELECT id,, grp FROM item;
SELECT FROM item;
-- refused: a table reference with PARTITION
SELECT id FROM item PARTITION (p0);
-- refused on mysql: ORDER BY an expression over the alias of an aggregate; MariaDB has an error of its own
SELECT id, SUM(price) m FROM item GROUP BY id ORDER BY m + 1;
SELECT id FROM item LIMIT -1;
SELECT id FROM item LIMIT '5';
-- the names in the servers' messages are the logical ones
UPDATE item SET grp = 'abc' WHERE id = 5;
UPDATE item SET grp = 'diff_0';
INSERT INTO item (id, grp) VALUES (100000, 'item_0');
SELECT CAST(id AS UNSIGNED) - 99 FROM item WHERE id = 5;
SELECT nofunc(id) FROM item WHERE id = 5;
SELECT item.nothing FROM item WHERE id = 5;
