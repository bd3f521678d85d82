-- Rows of several data nodes. ORDER BY is total unless a line says by what it orders.
SELECT * FROM item;
SELECT id FROM item;
SELECT id, grp, name FROM item WHERE grp = 3;
SELECT id AS number, price * 2 AS twice FROM item WHERE price > 100;
SELECT item.id, item.* FROM item WHERE id BETWEEN 5 AND 40;
SELECT i.id, i.name FROM item AS i WHERE i.name IS NULL;
SELECT i.id, `i`.`name` FROM item i WHERE i.name LIKE 'a%';
SELECT id FROM diff.item WHERE code = 'ab';
SELECT diff.item.id FROM diff.item WHERE diff.item.grp > 6;
SELECT ID, Grp FROM item WHERE GRP = 2;
SELECT id, CONCAT(name, '-', code) FROM item WHERE name IS NOT NULL AND code IS NOT NULL;
SELECT id+1, -id, id DIV 2, id % 5, id / 4 FROM item WHERE id < 60;
SELECT 1, 'x', NULL, 1.5, 2e0 FROM item WHERE id < 3;
SELECT id, IF(price > 1000, 'dear', 'cheap') FROM item;
SELECT id, CASE WHEN grp < 3 THEN 'low' WHEN grp < 6 THEN 'mid' ELSE 'high' END AS level FROM item;
SELECT id, COALESCE(name, code, 'none') FROM item;
SELECT id, UPPER(name), LENGTH(note), SUBSTRING(note, 1, 5) FROM item;
SELECT id, YEAR(born), MONTH(seen), DATE(seen), HOUR(dur) FROM item;
SELECT id, DATE_ADD(born, INTERVAL 1 MONTH), DATEDIFF(seen, born) FROM item;
SELECT id, HEX(raw), bit_count(big), big FROM item;
SELECT id, kind, kind+0, flags, flags+0 FROM item;
SELECT id, price FROM item WHERE price IN (1, 2, 3.5, NULL);
SELECT id FROM item WHERE NOT (grp = 1 OR grp = 2);
SELECT id FROM item WHERE (grp, kind) = (1, 'small');
SELECT id FROM item WHERE grp IN (SELECT 1);
SELECT id FROM item WHERE name = 'AB';
SELECT id FROM item WHERE name = 'ab   ';
SELECT id FROM item WHERE code = 'ab   ';
SELECT id FROM item WHERE BINARY name = 'Ab';
SELECT id FROM item WHERE name REGEXP '^a';
SELECT id FROM item WHERE note LIKE '%\_%';
SELECT id FROM item WHERE born BETWEEN '2020-01-01' AND '2021-12-31';
SELECT id FROM item WHERE seen >= '2022-06-01 12:00:00';
SELECT id FROM item WHERE dur < '00:00:00';
SELECT id FROM item WHERE raw = x'00' OR raw = '';
SELECT id FROM item WHERE yr = 2005;
SELECT id FROM item WHERE big >= 9223372036854775808;
SELECT id FROM item WHERE ratio > 0 AND weight < 1;
SELECT id FROM item WHERE ISNULL(price);
SELECT id FROM item WHERE grp <=> NULL;
SELECT id FROM item WHERE FALSE;
SELECT id, name FROM item WHERE id = 1 AND id = 2;
SELECT id FROM item ORDER BY id;
SELECT id, name FROM item ORDER BY id DESC;
SELECT id FROM item ORDER BY id LIMIT 5;
SELECT id FROM item ORDER BY id LIMIT 5 OFFSET 7;
SELECT id FROM item ORDER BY id LIMIT 7, 5;
SELECT id FROM item ORDER BY id DESC LIMIT 0;
SELECT id FROM item ORDER BY id LIMIT 1000 OFFSET 175;
SELECT id FROM item ORDER BY id LIMIT 18446744073709551615 OFFSET 170;
SELECT * FROM item ORDER BY id;
SELECT *, id FROM item ORDER BY id LIMIT 9;
SELECT item.*, grp AS g FROM item ORDER BY g, id;
SELECT id, grp FROM item ORDER BY grp, id;
SELECT id, grp FROM item ORDER BY 2, 1;
SELECT id, grp FROM item ORDER BY 2 DESC, 1 DESC LIMIT 20;
SELECT id, grp AS id2 FROM item ORDER BY id2 DESC, id;
SELECT id FROM item ORDER BY grp, id;
SELECT id FROM item ORDER BY grp DESC, price, id DESC;
SELECT id FROM item ORDER BY price, id;
SELECT id FROM item ORDER BY price DESC, id LIMIT 11;
SELECT id FROM item ORDER BY ratio, id;
SELECT id FROM item ORDER BY ratio DESC, id;
SELECT id FROM item ORDER BY weight, id;
SELECT id FROM item ORDER BY weight DESC, id DESC;
SELECT id FROM item ORDER BY name, id;
SELECT id FROM item ORDER BY name DESC, id;
SELECT id FROM item ORDER BY name, code DESC, id LIMIT 50;
SELECT id FROM item ORDER BY code, id;
SELECT id FROM item ORDER BY code DESC, id DESC LIMIT 30;
SELECT id FROM item ORDER BY note, id;
SELECT id FROM item ORDER BY note DESC, id;
SELECT id FROM item ORDER BY born, id;
SELECT id FROM item ORDER BY born DESC, id LIMIT 15;
SELECT id FROM item ORDER BY seen, id;
SELECT id FROM item ORDER BY seen DESC, id;
SELECT id FROM item ORDER BY stamp, id;
SELECT id FROM item ORDER BY stamp DESC, id;
SELECT id FROM item ORDER BY dur, id;
SELECT id FROM item ORDER BY dur DESC, id;
SELECT id FROM item ORDER BY kind, id;
SELECT id FROM item ORDER BY kind DESC, id;
SELECT id FROM item ORDER BY flags, id;
SELECT id FROM item ORDER BY raw, id;
SELECT id FROM item ORDER BY raw DESC, id;
SELECT id FROM item ORDER BY yr, id;
SELECT id FROM item ORDER BY big, id;
SELECT id FROM item ORDER BY big DESC, id;
SELECT id FROM item ORDER BY -grp, id;
SELECT id FROM item ORDER BY grp IS NULL, grp, id;
SELECT id FROM item ORDER BY ABS(id - 50), id;
SELECT id FROM item ORDER BY LOWER(name), id;
SELECT id FROM item ORDER BY LENGTH(note), id;
SELECT id FROM item ORDER BY CONCAT(code, name), id;
SELECT id FROM item ORDER BY name COLLATE utf8mb4_bin, id;
SELECT id FROM item ORDER BY BINARY name, id;
SELECT id FROM item ORDER BY price + ratio, id;
SELECT id FROM item ORDER BY price / 3, id;
SELECT id FROM item ORDER BY FIELD(kind, 'large', 'small'), id;
SELECT id FROM item ORDER BY CASE WHEN grp = 3 THEN 0 ELSE 1 END, id;
SELECT id, price * 2 AS twice FROM item ORDER BY twice, id;
SELECT id, name AS label FROM item ORDER BY label, id;
SELECT id AS 'the id' FROM item ORDER BY `the id`;
SELECT 1 FROM item ORDER BY 'a constant';
-- by: 1
SELECT id, grp FROM item ORDER BY grp;
-- by: 1
SELECT id, price FROM item ORDER BY price DESC;
-- by: 1
SELECT id, born FROM item WHERE grp < 5 ORDER BY born;
-- by: 1
-- from: SELECT id, grp FROM item
SELECT id, grp FROM item ORDER BY grp LIMIT 20;
-- by: 1
-- from: SELECT id, kind FROM item
SELECT id, kind FROM item ORDER BY kind DESC LIMIT 13 OFFSET 4;
-- from: SELECT id FROM item
SELECT id FROM item LIMIT 10;
-- from: SELECT id FROM item
SELECT id FROM item LIMIT 10 OFFSET 100;
-- from: SELECT * FROM item WHERE grp = 2
SELECT * FROM item WHERE grp = 2 LIMIT 3;
SELECT id FROM item LIMIT 0;
SELECT id FROM item ORDER BY NULL;
SELECT DISTINCT grp FROM item;
SELECT DISTINCT grp FROM item ORDER BY grp;
SELECT DISTINCT grp FROM item ORDER BY grp DESC LIMIT 3;
SELECT DISTINCT grp FROM item ORDER BY grp LIMIT 2 OFFSET 3;
SELECT DISTINCT grp, kind FROM item ORDER BY kind, grp DESC;
SELECT DISTINCT code FROM item ORDER BY code;
-- fold: 0
SELECT DISTINCT name FROM item;
-- fold: 0
SELECT DISTINCT name, grp FROM item;
SELECT DISTINCT price FROM item;
SELECT DISTINCT weight FROM item;
SELECT DISTINCT ratio IS NULL FROM item;
SELECT DISTINCT born FROM item ORDER BY born DESC;
SELECT DISTINCT dur FROM item;
SELECT DISTINCT kind FROM item;
SELECT DISTINCT flags, yr FROM item;
SELECT DISTINCT raw FROM item ORDER BY raw;
SELECT DISTINCT stamp FROM item ORDER BY stamp;
SELECT DISTINCT id % 3 FROM item;
SELECT DISTINCT id % 3 AS m FROM item ORDER BY m;
SELECT DISTINCT 1 FROM item;
SELECT DISTINCT n FROM loose ORDER BY n;
SELECT DISTINCT * FROM loose ORDER BY n, v;
SELECT DISTINCTROW grp FROM item;
SELECT ALL grp FROM item;
SELECT SQL_NO_CACHE id FROM item WHERE grp = 4;
SELECT /* a comment */ id FROM item -- another
WHERE grp = 4 # and one more
ORDER BY id;
SELECT id FROM item /*!50000 WHERE grp = 5 */ ORDER BY id;
SELECT id FROM item WHERE grp = 1 /*!99999 AND id < 0 */ ORDER BY id;
SELECT id FROM item WHERE grp = 1 /*M!100000 AND id < 50 */ ORDER BY id;
SELECT id FROM item FORCE INDEX (grp) WHERE grp = 5 ORDER BY id;
SELECT id FROM item USE INDEX () WHERE grp = 5 ORDER BY id;
SELECT id FROM item WHERE grp = 5 ORDER BY id FOR UPDATE;
SELECT id FROM item WHERE grp = 5 ORDER BY id LOCK IN SHARE MODE;
SELECT name, age FROM person ORDER BY age;
SELECT name FROM person ORDER BY name;
SELECT name FROM person ORDER BY name DESC LIMIT 4;
SELECT code, uses FROM token ORDER BY code;
SELECT id, day FROM event ORDER BY day;
SELECT id, day, what FROM event ORDER BY what DESC, id LIMIT 8;
SELECT id, at FROM visit ORDER BY at;
SELECT k FROM huge ORDER BY k;
SELECT k FROM huge ORDER BY k DESC LIMIT 5;
SELECT tag, k FROM huge ORDER BY tag, k DESC;
SELECT n, v FROM loose ORDER BY n, v;
SELECT n, v FROM loose WHERE n IS NULL ORDER BY v;
SELECT amount, id FROM money ORDER BY amount DESC, id;
SELECT * FROM pair ORDER BY b, a;
SELECT * FROM pair ORDER BY a DESC, b DESC LIMIT 5;
SELECT * FROM ledger ORDER BY owner, yr;
SELECT * FROM ledger ORDER BY amount, owner, yr LIMIT 12;
SELECT * FROM region ORDER BY id;
SELECT * FROM diary ORDER BY id;
SELECT * FROM memo ORDER BY id;
SELECT grp, line FROM diary WHERE grp > 1 ORDER BY line DESC LIMIT 3;
SELECT id, (SELECT 1) FROM item WHERE id < 20;
SELECT id FROM item WHERE EXISTS (SELECT 1 FROM region WHERE region.id = item.grp) ORDER BY id;
SELECT id, (SELECT name FROM region r WHERE r.id = item.grp) AS r FROM item ORDER BY id;
SELECT id FROM item WHERE grp IN (SELECT id FROM region WHERE name LIKE 'n%') ORDER BY id;
SELECT part_id, (SELECT name FROM region WHERE region.id = part.qty) AS r FROM part ORDER BY item_id, part_id;
SELECT 'it''s' AS q, "double ""q""" AS d, 'back\\slash' AS b, id FROM item WHERE id = 3;
SELECT id FROM item WHERE name = 'x''y' ORDER BY id;
SELECT id FROM item WHERE name = "x'y" ORDER BY id;
SELECT id FROM item WHERE name = 'x\'y' ORDER BY id;
SELECT id FROM item WHERE name LIKE '50\%' ORDER BY id;
SELECT id FROM item WHERE name IN ('ab', 'zoe', 'strasse') ORDER BY id;
SELECT id FROM item WHERE id > 100 AND (grp = 1 OR name = 'ab') ORDER BY id;
SELECT id FROM item WHERE id NOT IN (1, 2, 3) AND id < 12 ORDER BY id;
SELECT id FROM item WHERE id <> 5 AND id < 9 ORDER BY id;
SELECT id FROM item WHERE id IS NULL;
SELECT id FROM item WHERE id IS NOT NULL AND id < 4 ORDER BY id;
SELECT id FROM item WHERE id = 4 OR grp = 2 ORDER BY id;
SELECT id FROM item WHERE id + 0 = 4;
SELECT id FROM item WHERE id = 2 + 2;
SELECT id FROM item WHERE id = grp ORDER BY id;
SELECT id FROM item WHERE id = (SELECT 4);
SELECT id FROM item WHERE -id = 4;
SELECT id FROM item WHERE id = -4;
SELECT id FROM item WHERE id = - 4;
SELECT id FROM item WHERE id = +4;
-- refused: '--' that is not a comment
SELECT id FROM item WHERE id = --4;
SELECT id FROM item WHERE 4 = id;
SELECT id FROM item WHERE id = 4 XOR grp = 2 ORDER BY id;
SELECT id FROM item WHERE !(id > 3) ORDER BY id;
SELECT id FROM item WHERE id = 4 && grp IS NOT NULL;
SELECT id FROM item WHERE id = 4 || id = 9 ORDER BY id;
SELECT id AS a, id AS b FROM item WHERE id < 10 ORDER BY a;
SELECT id, grp id FROM item WHERE id < 10 LIMIT 100;
SELECT id x FROM item HAVING x < 20 ORDER BY x;
SELECT id, name FROM item WHERE (id, grp) IN ((1, 1), (2, 2), (3, 3)) ORDER BY id;
-- refused: a set operation or a SELECT in parentheses over several data nodes
(SELECT id FROM item WHERE id < 5 ORDER BY id);
-- refused: its rows are on several data nodes, and the sharded table 'item' is read in a set operation
SELECT id FROM item WHERE grp = 1 UNION ALL SELECT id FROM item WHERE grp = 2;
-- refused: its rows are on several data nodes, and the sharded table 'item' is read in a set operation
SELECT grp FROM item WHERE grp = 1 UNION SELECT grp FROM item WHERE grp < 4;
-- refused: its rows are on several data nodes, and the sharded table 'item' is read in a set operation
SELECT id FROM item WHERE id = 1 UNION SELECT id FROM item WHERE id = 2;
-- refused: a window function over several data nodes
SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS r FROM item ORDER BY id;
-- refused: its rows are on several data nodes, and the sharded table 'item' is read in a derived table
SELECT id FROM (SELECT id, grp FROM item) AS d WHERE grp = 2 ORDER BY id;
-- refused: its rows are on several data nodes, and the sharded table 'item' is read in a derived table
SELECT x.id FROM (SELECT id FROM item WHERE id < 30) AS x ORDER BY x.id;
-- refused: its rows are on several data nodes, and the sharded table 'item' is read in a common table expression
WITH few AS (SELECT id FROM item WHERE id < 30) SELECT id FROM few ORDER BY id;
-- refused: RAND() on several data nodes: each would give a value of its own
SELECT RAND() < 2 FROM item WHERE id < 5;
SELECT id, NOW() > '2020-01-01' FROM item WHERE id < 5 ORDER BY id;
SELECT id, DATABASE() FROM item WHERE id < 5 ORDER BY id;
SELECT id FROM item WHERE born < CURDATE() ORDER BY id;
SELECT id, CONNECTION_ID() > 0 FROM item WHERE id < 5 ORDER BY id;
-- refused: SQL_CALC_FOUND_ROWS
SELECT SQL_CALC_FOUND_ROWS id FROM item ORDER BY id LIMIT 3;
SELECT id INTO @x FROM item WHERE id = 3;
-- wording: its name is quoted
TABLE region;
VALUES (1, 2), (3, 4);
-- TIMESTAMP
SELECT id, stamp FROM item ORDER BY stamp, id;
SELECT id, stamp FROM item ORDER BY stamp DESC, id LIMIT 10 OFFSET 5;
SELECT DISTINCT stamp FROM item ORDER BY stamp;
