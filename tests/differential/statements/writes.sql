-- Writes, scenario by scenario; afterwards the shards together must hold what the plain server holds.
-- scenario: one row by key
INSERT INTO item (id, grp, name) VALUES (1000, 1, 'new');
INSERT INTO item (id, grp, name) VALUES (1001, NULL, NULL), (1002, 2, 'b'), (1003, 3, 'c'), (1008, 3, 'c');
INSERT INTO item SET id = 1010, grp = 5, price = 1.005;
INSERT item (id) VALUE (1011);
INSERT INTO diff.item (id, name) VALUES (1012, 'it''s; -- no comment');
INSERT INTO `item` (`id`, `name`) VALUES (1013, "double");
INSERT INTO item (name, id) VALUES ('key last', 1014);
INSERT INTO item (id, price, born, seen) VALUES (1015, 1+1, DATE '2020-02-29', '2020-02-29 10:11:12.5');
INSERT INTO item (id, name) VALUES ('1016', 'text key'), (1017.0, 'decimal key'), (1.018e3, 'double key');
INSERT INTO item (id, name) VALUES (-1000, 'negative'), (- 1001, 'also');
INSERT INTO item (id, raw, big) VALUES (1019, x'00ff', 18446744073709551615);
INSERT INTO item (id, name, note) VALUES (1020, 'smile 😀', REPEAT('x', 5000));
INSERT INTO item VALUES (1021, 1, 'all', 'all', 1, 1, 1, '2020-01-01', '2020-01-01', '2020-01-01', '1:00', 'small', 'a', 'r', 2001, 1, 'n');
SELECT COUNT(*), SUM(grp) FROM item;
-- scenario: keys that are dates
INSERT INTO event (id, day, what) VALUES (900, DATE '2021-05-05', 'a'), (901, '2022-05-05', 'b');
INSERT INTO event VALUES (902, TIMESTAMP'2023-01-31 10:11:12', 'cut to its day');
INSERT INTO visit (id, at) VALUES (900, TIMESTAMP'2024-02-29 10:11:12.5'), (901, DATE'2023-01-01');
SELECT id, day FROM event WHERE day IN ('2021-05-05', '2022-05-05', '2023-01-31') AND id >= 900 ORDER BY id;
SELECT id, at FROM visit WHERE at = '2024-02-29 10:11:12.5' AND id >= 900 ORDER BY id;
-- scenario: rows that one server refuses
INSERT INTO item (id, name) VALUES (5, 'duplicate');
INSERT INTO item (id, name) VALUES (2000, 'a'), (5, 'duplicate'), (2001, 'b');
INSERT INTO item (id, name) VALUES (2002, 'a'), (2003, 'b'), (2002, 'twice');
INSERT INTO item (id, grp) VALUES (2004, 'no number');
INSERT INTO item (id, grp) VALUES (2005, 99999999999);
INSERT INTO item (id, born) VALUES (2006, '2020-02-31');
INSERT INTO item (id, kind) VALUES (2007, 'huge');
INSERT INTO item (id, nothing) VALUES (2008, 1);
INSERT INTO item (id, grp) VALUES (2009);
INSERT INTO item (id, grp) VALUES (2010, 1), (2011);
INSERT INTO part (item_id, part_id) VALUES (3000, 1);
INSERT INTO part (item_id, part_id, qty) VALUES (NULL, 1, 1);
INSERT INTO item (id) VALUES ('abc');
INSERT INTO item (id) VALUES (9223372036854775808);
INSERT INTO item (id, id) VALUES (1, 2);
SELECT COUNT(*) FROM item;
-- scenario: keys as their columns store them
INSERT INTO person (name, age) VALUES ('AB', 1);
INSERT INTO person (name, age) VALUES ('ab  ', 1);
INSERT INTO person (name, age) VALUES ('New', 1), ('Newer', 2), (77, 3), ('yet another name', 4);
INSERT INTO person (name) VALUES ('defaults');
INSERT INTO person VALUES ('all', 3, NULL);
INSERT INTO person (name, age) VALUES ('a name that is much too long for it', 1);
SELECT name, age FROM person WHERE name = 'NEW';
SELECT name, age FROM person WHERE name = 'newer  ';
SELECT name, age FROM person WHERE name = '77';
UPDATE person SET age = age + 10 WHERE name = 'AB';
UPDATE person SET age = age + 10 WHERE name = 'new ';
DELETE FROM person WHERE name = 'NEWER';
DELETE FROM person WHERE name = '77';
INSERT INTO token (code, uses) VALUES ('AB', 1), ('ab ', 2);
INSERT INTO token (code, uses) VALUES ('aab', 1), ('AAB', 2), ('b1', 3), ('é', 4);
INSERT INTO token (code, uses) VALUES (12, 1), ('012', 2);
UPDATE token SET uses = 100 WHERE code = 'AAB ';
-- wording: which of several rows fails first
UPDATE token SET uses = 100 WHERE code = 12;
DELETE FROM token WHERE code = 'é';
-- refused: the value of the sharding key column 'day' (date)
INSERT INTO event (id, day) VALUES (100, '2021-03-04'), (101, '2022-03-04'), (102, 20230304), (103, '24-03-04');
INSERT INTO event (id, day) VALUES (104, '2021-03-04 23:59:59');
-- refused: the value of the sharding key column 'at' (datetime)
INSERT INTO visit (id, at) VALUES (100, '2023-05-06 07:08:09.9994'), (101, '2023-07-06'), (102, 20240102030405);
INSERT INTO huge (k) VALUES (2), (9223372036854775806), (9223372036854775809), (18446744073709551614), ('18446744073709551613');
INSERT INTO huge (k) VALUES (-1);
INSERT INTO huge (k) VALUES (18446744073709551616);
INSERT INTO loose (n, v) VALUES (NULL, 100), (5, 101), ('6', 102), (-7, 103), (2.5, 104);
INSERT INTO loose (v) VALUES (105);
-- refused: this kind of literal as the value of the sharding key column 'amount' (decimal)
INSERT INTO money (amount, id) VALUES (5, 100), (5.005, 101), ('7.5', 102), (-10, 103), (99.5, 104), (1e2, 105), (-0.001, 106);
INSERT INTO pair (a, b, v) VALUES (100, 'x', 1), (100, 'y', 2), (101, 'x', 3), ('102', 'z ', 4);
INSERT INTO ledger (owner, yr, amount) VALUES (100, 2020, 1), (100, 2021, 2), (101, 2020, 3), (101, 2021, 4.55555);
-- scenario: other forms of INSERT
INSERT IGNORE INTO item (id, name) VALUES (5, 'ignored'), (4000, 'new');
INSERT IGNORE INTO item (id, grp) VALUES (4001, 'no number'), (4002, 1);
INSERT IGNORE INTO part (item_id, part_id, qty) VALUES (4000, 1, NULL);
REPLACE INTO item (id, name) VALUES (5, 'replaced');
REPLACE INTO item (id, name) VALUES (6, 'replaced'), (4003, 'new'), (7, 'replaced');
REPLACE INTO item SET id = 8, name = 'replaced';
REPLACE INTO person (name, age) VALUES ('BOB', 99);
INSERT INTO item (id, grp) VALUES (5, 100) ON DUPLICATE KEY UPDATE grp = 100;
INSERT INTO item (id, grp) VALUES (5, 100) ON DUPLICATE KEY UPDATE grp = 100;
INSERT INTO item (id, grp) VALUES (6, 1), (4004, 2), (7, 3) ON DUPLICATE KEY UPDATE grp = VALUES(grp) + 100;
-- refused: ON DUPLICATE KEY UPDATE of the sharding key column 'id'
INSERT INTO item (id, grp) VALUES (4005, 1) ON DUPLICATE KEY UPDATE id = 4006;
INSERT INTO person (name, age) VALUES ('ab', 1) ON DUPLICATE KEY UPDATE age = age + 1000;
INSERT LOW_PRIORITY INTO item (id) VALUES (4007);
INSERT DELAYED INTO item (id) VALUES (4008);
INSERT HIGH_PRIORITY INTO item (id) VALUES (4009);
INSERT INTO item () VALUES ();
INSERT INTO item (id, name) VALUES (4010, DEFAULT), (4011, DEFAULT(name));
INSERT INTO item (id, stamp) VALUES (4012, NULL);
INSERT INTO item (id, name) SELECT 4013, 'selected';
-- refused: its rows are on several data nodes, and INSERT … SELECT would read or write several data nodes
INSERT INTO item (id, name) SELECT id + 5000, name FROM item WHERE id = 5;
INSERT INTO item (id, name) VALUES (4014, 'x') RETURNING id, name;
INSERT INTO item (id, name) VALUES (4038, 'h'), (4031, 'a'), (4034, 'd'), (4030, 'z'), (4035, 'e') RETURNING name, id, grp, id + 1 AS next;
INSERT INTO item (id, name) VALUES (4039, 'h'), (4031, 'again'), (4040, 'd') RETURNING id;
INSERT INTO item (id, name) VALUES (4041, UPPER('h')), (4042, 'b') RETURNING *;
-- refused: RETURNING from several data nodes, of rows that may be duplicates
INSERT IGNORE INTO item (id, name) VALUES (4043, 'h'), (4031, 'again') RETURNING id;
-- refused: RETURNING from several data nodes, of rows that may be duplicates
REPLACE INTO item (id, name) VALUES (4044, 'h'), (4031, 'again') RETURNING id;
-- refused: a subquery among the values of an INSERT
INSERT INTO item (id, name) VALUES (4015, (SELECT name FROM region WHERE id = 1));
-- refused: an expression as the value of the sharding key column 'id'
INSERT INTO item (id, name) VALUES (4000 + 16, 'sum');
-- refused: an expression as the value of the sharding key column 'id'
INSERT INTO item (id, name) VALUES (ABS(-4017), 'call');
INSERT INTO item (id, grp, name) VALUES (4018, 1, CONCAT('a', 'b')), (4019, 2, UPPER('c'));
INSERT INTO item (id, grp) VALUES (4020, 4), (4021, grp);
INSERT INTO item (id, seen) VALUES (4022, CURDATE() - INTERVAL 1 DAY);
INSERT INTO item (id, name) VALUES (4023, DATABASE());
-- scenario: UPDATE by key and over several data nodes
UPDATE item SET name = 'u' WHERE id = 5;
UPDATE item SET name = 'u' WHERE id = 5;
UPDATE item SET grp = grp + 1, price = price * 1.1 WHERE id IN (5, 6, 7, 8);
UPDATE item SET grp = grp + 1 WHERE id BETWEEN 20 AND 40;
UPDATE item SET price = NULL WHERE grp = 3;
UPDATE item SET note = CONCAT(IFNULL(note, ''), '!');
UPDATE item SET name = 'nobody' WHERE id = 99999;
UPDATE item SET name = 'x' WHERE FALSE;
UPDATE item AS i SET i.name = 'alias' WHERE i.id = 9;
UPDATE item i SET name = 'alias', code = UPPER(i.code) WHERE i.grp = 5;
UPDATE diff.item SET diff.item.name = 'qualified' WHERE diff.item.id = 10;
UPDATE item SET grp = 7, name = grp WHERE id = 11;
UPDATE item SET id = id WHERE id = 12;
UPDATE item SET id = 12 WHERE id = 12;
-- refused: an UPDATE of the sharding key column 'id': its rows may belong to another data node
UPDATE item SET id = 70000 WHERE id = 12;
UPDATE item SET grp = 'no number' WHERE id = 13;
UPDATE item SET grp = 'no number' WHERE id BETWEEN 13 AND 30;
UPDATE item SET nothing = 1 WHERE id = 13;
UPDATE item SET price = 99999999999 WHERE grp = 2;
UPDATE IGNORE item SET grp = 'no number' WHERE id = 14;
UPDATE LOW_PRIORITY item SET grp = 3 WHERE id = 14;
UPDATE item SET grp = 55 WHERE id = 15 LIMIT 1;
UPDATE item SET grp = 55 WHERE id = 15 ORDER BY name LIMIT 1;
-- refused: LIMIT over several data nodes
UPDATE item SET grp = 55 ORDER BY id LIMIT 3;
-- refused: LIMIT over several data nodes
UPDATE item SET grp = 56 WHERE grp = 55 LIMIT 1000;
UPDATE item SET seen = '2024-01-01' WHERE id = '16';
UPDATE item SET grp = 5 WHERE id = '17abc';
UPDATE item SET grp = (SELECT MAX(id) FROM region) WHERE id = 18;
UPDATE item SET grp = 1 WHERE grp IN (SELECT id FROM region WHERE name = 'east');
UPDATE item JOIN region ON region.id = item.grp SET item.name = region.name WHERE item.id = 19;
UPDATE item i, part p SET i.grp = p.qty WHERE i.id = p.item_id AND i.id = 14;
UPDATE part SET qty = qty + 1;
UPDATE part SET part_id = part_id + 1000 WHERE item_id = 14;
UPDATE part SET item_id = 15 WHERE item_id = 14;
INSERT INTO part (part_id, item_id, qty) VALUES (90001, 14, 1), (90002, 22, 1), (90003, 15, 1);
UPDATE part SET part_id = 90001, item_id = 14, qty = 2 WHERE part_id = 90001;
UPDATE part SET item_id = 14, qty = 2 WHERE part_id = 90001;
UPDATE part SET item_id = 22, qty = qty + 1 WHERE part_id IN (90001, 90002);
UPDATE part SET item_id = 14 WHERE part_id = 987654;
UPDATE part SET item_id = 14 WHERE part_id = 987654 AND item_id = 15;
-- refused: an UPDATE of the sharding key column 'item_id': its rows may belong to another data node
UPDATE part SET item_id = 15, qty = 7 WHERE part_id IN (90001, 90003);
UPDATE item SET id = 2000 WHERE id = 9992;
UPDATE loose SET v = v + 1 WHERE n IS NULL;
UPDATE loose SET v = 0 WHERE n = 3 OR v > 40;
-- refused: an UPDATE of the sharding key column 'n': its rows may belong to another data node
UPDATE loose SET n = NULL WHERE v = 5;
UPDATE huge SET tag = 'top' WHERE k > 9223372036854775808;
UPDATE money SET id = id + 100 WHERE amount BETWEEN -10 AND 5;
UPDATE event SET what = 'changed' WHERE day BETWEEN '2021-01-01' AND '2022-12-31';
UPDATE pair SET v = -1 WHERE a = 2 AND b = 'y';
UPDATE pair SET v = -2 WHERE b = 'Z';
UPDATE ledger SET amount = amount / 3 WHERE owner = 4;
UPDATE ledger SET amount = ROUND(amount, 1) WHERE yr = 2022;
UPDATE person SET mail = CONCAT(name, '@x') WHERE age > 5;
UPDATE person SET mail = NULL WHERE name IN ('ab', 'BOB', 'nobody');
UPDATE token SET uses = uses + 1 WHERE code LIKE 'a%';
UPDATE region SET name = UPPER(name) WHERE id < 3;
UPDATE diary SET line = 'changed' WHERE grp = 2;
UPDATE memo SET body = 'changed';
-- scenario: DELETE by key and over several data nodes
DELETE FROM item WHERE id = 5;
DELETE FROM item WHERE id = 5;
DELETE FROM item WHERE id IN (6, 7, 8, 99999);
DELETE FROM item WHERE id BETWEEN 20 AND 30;
DELETE FROM item WHERE grp = 2 AND kind = 'small';
DELETE FROM item WHERE name = 'AB  ';
DELETE FROM item WHERE id = '9';
DELETE FROM item WHERE id = '10abc';
DELETE LOW_PRIORITY FROM item WHERE id = 11;
DELETE QUICK FROM item WHERE id = 12;
DELETE IGNORE FROM item WHERE id = 13;
DELETE FROM item WHERE id = 14 LIMIT 1;
DELETE FROM item WHERE id = 15 ORDER BY name LIMIT 1;
-- refused: LIMIT over several data nodes
DELETE FROM item ORDER BY id LIMIT 2;
-- refused: LIMIT over several data nodes
DELETE FROM item WHERE grp = 1 LIMIT 1000;
DELETE FROM diff.item WHERE id = 16;
DELETE FROM item WHERE nothing = 1;
DELETE FROM item WHERE grp IN (SELECT id FROM region WHERE name = 'west');
DELETE i FROM item i JOIN region r ON r.id = i.grp WHERE i.id = 17;
-- refused: two tables named 'item' in one FROM
DELETE FROM item USING item JOIN part ON part.item_id = item.id WHERE item.id = 21;
DELETE FROM item WHERE id = 18 RETURNING id;
DELETE FROM part WHERE item_id > 100;
DELETE FROM part WHERE qty > 7;
DELETE FROM loose WHERE n IS NULL;
DELETE FROM loose WHERE n = 3;
DELETE FROM huge WHERE k >= 9223372036854775808;
DELETE FROM money WHERE amount < 0;
DELETE FROM event WHERE day < '2020-01-01';
DELETE FROM visit WHERE at BETWEEN '2023-01-01' AND '2023-06-30';
DELETE FROM pair WHERE a = 1 AND b = 'x';
DELETE FROM pair WHERE a = 2;
DELETE FROM ledger WHERE yr = 2021;
DELETE FROM ledger WHERE owner = 3 AND yr = 2022;
DELETE FROM person WHERE name = 'aB';
DELETE FROM person WHERE name > 'e';
DELETE FROM token WHERE code = 'Ab';
DELETE FROM region WHERE id = 4;
DELETE FROM diary WHERE grp = 1;
DELETE FROM memo WHERE body IS NULL;
DELETE FROM item;
DELETE FROM token;
-- scenario: broadcast tables are written once for all
INSERT INTO region (id, name) VALUES (10, 'new'), (11, 'newer');
INSERT INTO region (id, name) VALUES (1, 'duplicate');
UPDATE region SET name = 'n' WHERE id = 10;
UPDATE region SET name = CONCAT(name, '!');
-- refused: LIMIT in a write to a broadcast table: its copies would differ
DELETE FROM region WHERE id > 3 ORDER BY id LIMIT 1;
REPLACE INTO region (id, name) VALUES (1, 'replaced');
INSERT INTO region (id, name) VALUES (2, 'x') ON DUPLICATE KEY UPDATE name = 'y';
SELECT * FROM region ORDER BY id;
DELETE FROM region;
SELECT COUNT(*) FROM region;
-- scenario: a single table and its AUTO_INCREMENT
INSERT INTO diary (line) VALUES ('auto');
SELECT LAST_INSERT_ID();
INSERT INTO diary (line) VALUES ('auto'), ('auto');
SELECT LAST_INSERT_ID();
INSERT INTO diary (id, line) VALUES (100, 'given');
SELECT LAST_INSERT_ID();
INSERT INTO diary (id, line) VALUES (NULL, 'null'), (0, 'zero');
SELECT LAST_INSERT_ID(), LAST_INSERT_ID() + 1;
UPDATE diary SET grp = LAST_INSERT_ID() WHERE id = 1;
SELECT ROW_COUNT();
DELETE FROM diary WHERE id = LAST_INSERT_ID();
INSERT INTO diary (id, line) VALUES (100 + 103, 'calculated');
SELECT LAST_INSERT_ID();
INSERT INTO diary (id, line) SELECT 302, 'given';
SELECT LAST_INSERT_ID();
INSERT INTO diary (id, line) SELECT NULL, 'made';
SELECT LAST_INSERT_ID();
SET @id = NULL;
INSERT INTO diary (id, line) VALUES (@id, 'made');
SELECT LAST_INSERT_ID();
INSERT INTO diary (line) SELECT 'selected';
INSERT INTO diary (line, grp) SELECT line, grp FROM diary WHERE id < 3;
SELECT MAX(id) FROM diary;
INSERT INTO memo VALUES (3, 'three'), (4, NULL);
INSERT INTO memo VALUES (3, 'again');
SELECT * FROM memo ORDER BY id;
-- scenario: a transaction that is committed
BEGIN;
INSERT INTO item (id, grp) VALUES (6000, 1), (6001, 2), (6002, 3);
UPDATE item SET grp = 10 WHERE id IN (6000, 6001, 6002);
SELECT SUM(grp) FROM item WHERE id >= 6000 AND id < 7000;
SELECT id, grp FROM item WHERE id = 6001;
DELETE FROM item WHERE id = 6002;
SELECT COUNT(*) FROM item;
COMMIT;
SELECT COUNT(*) FROM item;
-- scenario: a transaction that is rolled back
START TRANSACTION;
INSERT INTO item (id, grp) VALUES (6100, 1), (6101, 2), (6102, 3);
UPDATE part SET qty = 0;
DELETE FROM loose;
SELECT COUNT(*) FROM loose;
INSERT INTO item (id) VALUES (5);
SELECT COUNT(*) FROM item;
ROLLBACK;
SELECT COUNT(*), SUM(v) FROM loose;
SELECT COUNT(*) FROM item;
-- scenario: autocommit off, savepoints
SET autocommit = 0;
INSERT INTO item (id) VALUES (6200);
SAVEPOINT a;
INSERT INTO item (id) VALUES (6201), (6202);
ROLLBACK TO SAVEPOINT a;
SELECT COUNT(*) FROM item WHERE id >= 6200 AND id < 6300;
RELEASE SAVEPOINT a;
COMMIT;
SET autocommit = 1;
SELECT COUNT(*) FROM item WHERE id >= 6200 AND id < 6300;
-- scenario: without strict mode values are bent to fit
SET sql_mode = '';
INSERT INTO item (id, grp) VALUES (6300, 'no number'), (6301, 99999999999);
INSERT INTO item (id, born) VALUES (6302, '2020-02-31');
INSERT INTO item (id, kind) VALUES (6303, 'huge');
INSERT INTO item (id) VALUES ('6304abc');
INSERT INTO person (name) VALUES ('a name that is much too long for it');
INSERT INTO part (item_id, part_id) VALUES (6305, 1);
INSERT INTO money (amount, id) VALUES (99999999, 300);
INSERT INTO huge (k) VALUES (-1);
UPDATE item SET grp = 'x' WHERE id BETWEEN 1 AND 9;
SELECT id, grp, born, kind FROM item WHERE id >= 6300 AND id < 6310 ORDER BY id;
-- scenario: TRUNCATE
TRUNCATE TABLE loose;
SELECT COUNT(*) FROM loose;
TRUNCATE part;
SELECT COUNT(*) FROM part;
TRUNCATE TABLE diary;
INSERT INTO diary (line) VALUES ('first');
