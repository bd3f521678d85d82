-- Aggregates, groups and what is calculated from them.
SELECT COUNT(*) FROM item;
SELECT COUNT(*), COUNT(grp), COUNT(name) FROM item;
SELECT COUNT(*) AS n FROM item WHERE grp = 3;
SELECT COUNT(*) FROM item WHERE FALSE;
SELECT COUNT(*), SUM(price), MIN(price), MAX(price), AVG(price) FROM item;
SELECT COUNT(*), SUM(price), MIN(price), MAX(price), AVG(price) FROM item WHERE grp = 99;
SELECT SUM(grp), AVG(grp), MIN(grp), MAX(grp) FROM item;
SELECT SUM(id), AVG(id) FROM item WHERE id < 1000;
SELECT SUM(big), AVG(big), MAX(big), MIN(big) FROM item;
SELECT SUM(ratio), AVG(ratio), MIN(ratio), MAX(ratio) FROM item;
SELECT SUM(weight), AVG(weight), MIN(weight), MAX(weight) FROM item;
SELECT SUM(yr), MIN(yr), MAX(yr) FROM item;
SELECT MIN(born), MAX(born), MIN(seen), MAX(seen), MIN(stamp), MAX(stamp) FROM item;
SELECT MIN(dur), MAX(dur) FROM item;
-- fold: 0, 1
SELECT MIN(name), MAX(name) FROM item;
SELECT MIN(code), MAX(code) FROM item;
SELECT MIN(kind), MAX(kind) FROM item;
SELECT MIN(flags), MAX(flags) FROM item;
SELECT MIN(raw), MAX(raw) FROM item;
SELECT BIT_AND(big), BIT_OR(big), BIT_XOR(big) FROM item;
SELECT BIT_AND(big), BIT_OR(big), BIT_XOR(big) FROM item WHERE grp = 99;
SELECT SUM(price * qty) FROM item JOIN part ON part.item_id = item.id;
SELECT SUM(IF(grp = 1, 1, 0)) AS ones, SUM(grp = 2) AS twos FROM item;
SELECT SUM(CASE WHEN kind = 'small' THEN price ELSE 0 END) FROM item;
SELECT COUNT(*) + 1 FROM item;
SELECT SUM(price) - SUM(grp) FROM item;
SELECT SUM(price) / COUNT(*) FROM item;
SELECT ROUND(AVG(price), 1) FROM item;
SELECT AVG(price) * 3, AVG(grp) * 3 FROM item;
SELECT MAX(id) - MIN(id) AS spread FROM item WHERE id < 1000;
SELECT CONCAT(MIN(born), ' to ', MAX(born)) FROM item;
SELECT CONCAT(COUNT(*), ' rows') AS text FROM item;
SELECT IFNULL(SUM(price), 0) FROM item WHERE grp = 99;
SELECT COALESCE(MAX(name), 'none') FROM item WHERE grp = 99;
SELECT SUM(ratio) + 1, -SUM(ratio) FROM item;
SELECT CAST(SUM(price) AS SIGNED) FROM item;
SELECT YEAR(MAX(born)), DATEDIFF(MAX(born), MIN(born)) FROM item;
SELECT HEX(MAX(raw)) FROM item;
SELECT UPPER(MAX(code)) FROM item;
SELECT MAX(code) = 'ab', MAX(code) > 'ab' FROM item;
SELECT 1 + 1, COUNT(*) FROM item;
SELECT 'x' AS c, COUNT(*), NULL FROM item;
SELECT COUNT(*) FROM item HAVING COUNT(*) > 5;
SELECT COUNT(*) FROM item HAVING COUNT(*) > 5000;
SELECT SUM(price) AS total FROM item HAVING total > 0;
SELECT 1 FROM item HAVING COUNT(*) > 5;
SELECT grp, COUNT(*) FROM item GROUP BY grp;
SELECT grp, COUNT(*) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, COUNT(*) FROM item GROUP BY grp ORDER BY grp DESC;
SELECT grp, COUNT(*) AS n FROM item GROUP BY grp ORDER BY n DESC, grp;
SELECT grp, COUNT(*) AS n FROM item GROUP BY grp ORDER BY COUNT(*), grp LIMIT 3;
SELECT grp, COUNT(*) FROM item GROUP BY grp ORDER BY grp LIMIT 2 OFFSET 2;
SELECT COUNT(*) FROM item GROUP BY grp;
SELECT grp FROM item GROUP BY grp;
SELECT grp FROM item GROUP BY grp ORDER BY SUM(price) DESC LIMIT 3;
SELECT grp, SUM(price), AVG(price), MIN(price), MAX(price), COUNT(price) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, AVG(grp), AVG(big), AVG(ratio) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, SUM(ratio) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, SUM(weight), MAX(weight) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, MIN(born), MAX(seen), MIN(dur) FROM item GROUP BY grp ORDER BY grp;
-- fold: 1, 2
SELECT grp, MIN(name), MAX(name) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, kind, COUNT(*) FROM item GROUP BY grp, kind;
SELECT grp, kind, COUNT(*) FROM item GROUP BY grp, kind ORDER BY kind DESC, grp;
SELECT kind, grp, COUNT(*) FROM item GROUP BY grp, kind ORDER BY COUNT(*) DESC, kind, grp LIMIT 7;
SELECT grp AS g, COUNT(*) AS n FROM item GROUP BY g ORDER BY g;
SELECT grp, COUNT(*) FROM item GROUP BY 1 ORDER BY 1;
SELECT id % 4 AS m, COUNT(*) FROM item GROUP BY id % 4 ORDER BY m;
SELECT id % 4, COUNT(*) FROM item GROUP BY 1 ORDER BY 2, 1;
SELECT COUNT(*) FROM item GROUP BY id % 4 ORDER BY 1;
SELECT YEAR(born) AS y, COUNT(*), SUM(price) FROM item GROUP BY YEAR(born) ORDER BY y;
SELECT DATE(seen) AS d, COUNT(*) FROM item GROUP BY d ORDER BY d LIMIT 10;
SELECT kind, COUNT(*) FROM item GROUP BY kind ORDER BY kind;
SELECT flags, COUNT(*) FROM item GROUP BY flags ORDER BY flags;
SELECT yr, COUNT(*) FROM item GROUP BY yr ORDER BY yr;
SELECT code, COUNT(*) FROM item GROUP BY code ORDER BY code;
-- fold: 0
SELECT name, COUNT(*) FROM item GROUP BY name;
-- fold: 0
SELECT name, COUNT(*), SUM(price) FROM item GROUP BY name ORDER BY name;
-- fold: 0
SELECT LOWER(name) AS l, COUNT(*) FROM item GROUP BY LOWER(name) ORDER BY l DESC;
SELECT raw, COUNT(*) FROM item GROUP BY raw ORDER BY raw;
SELECT weight, COUNT(*) FROM item GROUP BY weight ORDER BY weight;
SELECT price > 0 AS positive, COUNT(*) FROM item GROUP BY positive ORDER BY positive;
SELECT dur, COUNT(*) FROM item GROUP BY dur ORDER BY dur LIMIT 10;
SELECT stamp, COUNT(*) FROM item GROUP BY stamp ORDER BY stamp LIMIT 10;
SELECT grp, COUNT(*) FROM item GROUP BY grp HAVING COUNT(*) > 20 ORDER BY grp;
SELECT grp, COUNT(*) AS n FROM item GROUP BY grp HAVING n > 20 ORDER BY grp;
SELECT grp, SUM(price) AS s FROM item GROUP BY grp HAVING s > 1000 AND COUNT(*) < 30 ORDER BY s DESC;
SELECT grp FROM item GROUP BY grp HAVING MAX(price) > 4000 ORDER BY grp;
SELECT grp, COUNT(*) FROM item GROUP BY grp HAVING grp > 3 ORDER BY grp;
SELECT grp, COUNT(*) FROM item GROUP BY grp HAVING grp IS NULL;
SELECT grp, COUNT(*) FROM item GROUP BY grp HAVING AVG(price) BETWEEN 0 AND 2500 ORDER BY grp;
SELECT grp, SUM(price) / COUNT(*) AS mean FROM item GROUP BY grp ORDER BY mean DESC, grp LIMIT 4;
SELECT grp, ROUND(AVG(ratio), 2) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, MAX(price) - MIN(price) FROM item GROUP BY grp ORDER BY MAX(price) - MIN(price), grp;
SELECT grp * 10 AS g, COUNT(*) * 2 FROM item GROUP BY grp ORDER BY grp;
SELECT CONCAT('group ', grp) AS label, COUNT(*) FROM item GROUP BY grp ORDER BY grp;
SELECT IFNULL(grp, -1) AS g, COUNT(*) FROM item GROUP BY grp ORDER BY g;
SELECT grp, IF(COUNT(*) > 20, 'many', 'few') AS much FROM item GROUP BY grp ORDER BY grp;
SELECT COUNT(DISTINCT grp) FROM item;
SELECT COUNT(DISTINCT name) FROM item;
SELECT COUNT(DISTINCT code), COUNT(*) FROM item;
SELECT COUNT(DISTINCT grp, kind) FROM item;
SELECT SUM(DISTINCT grp), AVG(DISTINCT grp) FROM item;
SELECT MIN(DISTINCT grp), MAX(DISTINCT price) FROM item;
SELECT grp, COUNT(DISTINCT kind) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, COUNT(DISTINCT name), COUNT(*), SUM(price) FROM item GROUP BY grp ORDER BY grp;
SELECT grp, COUNT(DISTINCT kind) AS k FROM item GROUP BY grp ORDER BY k DESC, grp;
-- refused: aggregates with DISTINCT of different things over several data nodes
SELECT COUNT(DISTINCT grp), COUNT(DISTINCT kind) FROM item;
SELECT COUNT(DISTINCT n) FROM loose;
SELECT COUNT(DISTINCT k) FROM huge;
-- refused: DISTINCT together with GROUP BY over several data nodes
SELECT DISTINCT COUNT(*) FROM item GROUP BY grp;
-- refused: DISTINCT together with GROUP BY over several data nodes
SELECT DISTINCT grp > 4, COUNT(*) > 20 FROM item GROUP BY grp;
SELECT n, COUNT(*), SUM(v) FROM loose GROUP BY n ORDER BY n;
SELECT b, COUNT(*), SUM(v), AVG(v) FROM pair GROUP BY b ORDER BY b;
SELECT a, b, SUM(v) FROM pair GROUP BY a, b ORDER BY a, b;
SELECT owner, SUM(amount), AVG(amount) FROM ledger GROUP BY owner ORDER BY owner;
SELECT yr, SUM(amount), AVG(amount), COUNT(*) FROM ledger GROUP BY yr ORDER BY yr;
SELECT what, MIN(day), MAX(day), COUNT(*) FROM event GROUP BY what ORDER BY what;
SELECT YEAR(at), COUNT(*) FROM visit GROUP BY YEAR(at) ORDER BY 1;
SELECT tag, MAX(k), MIN(k), SUM(k) FROM huge GROUP BY tag ORDER BY tag;
SELECT amount > 0, SUM(amount), COUNT(*) FROM money GROUP BY amount > 0 ORDER BY 1;
SELECT age % 2 AS odd, COUNT(*), MAX(name) FROM person GROUP BY odd ORDER BY odd;
SELECT grp, COUNT(*) FROM diary GROUP BY grp ORDER BY grp;
SELECT item_id, SUM(qty) FROM part GROUP BY item_id ORDER BY item_id;
SELECT item_id, SUM(qty) AS s FROM part GROUP BY item_id ORDER BY s DESC, item_id LIMIT 5;
SELECT label, SUM(qty), COUNT(*) FROM part GROUP BY label ORDER BY label;
SELECT r.name, COUNT(*), SUM(i.price) FROM item i JOIN region r ON r.id = i.grp GROUP BY r.name ORDER BY r.name;
SELECT i.grp, SUM(p.qty) FROM item i JOIN part p ON p.item_id = i.id GROUP BY i.grp ORDER BY i.grp;
SELECT i.grp, COUNT(p.part_id), COUNT(*) FROM item i LEFT JOIN part p ON p.item_id = i.id GROUP BY i.grp ORDER BY i.grp;
-- refused: WITH ROLLUP over several data nodes
SELECT grp, COUNT(*) FROM item GROUP BY grp WITH ROLLUP;
-- refused: GROUP_CONCAT() over several data nodes
SELECT GROUP_CONCAT(id ORDER BY id) FROM item WHERE id < 10;
SELECT grp, GROUP_CONCAT(id) FROM item WHERE id = 5 GROUP BY grp;
-- refused: STDDEV() over several data nodes
SELECT STDDEV(price), VARIANCE(price) FROM item;
SELECT grp, ANY_VALUE(kind) IS NULL FROM item GROUP BY grp;
SELECT SUM(price), name FROM item WHERE id = 4;
SELECT MAX(id) FROM item WHERE grp = 3 ORDER BY 1;
SELECT SUM(price) FROM item LIMIT 1;
SELECT SUM(price) FROM item LIMIT 0;
SELECT COUNT(*) FROM item LIMIT 5 OFFSET 1;
SELECT COUNT(*) c, grp FROM item WHERE id BETWEEN 10 AND 120 AND price IS NOT NULL GROUP BY grp HAVING c > 3 ORDER BY c DESC, grp LIMIT 4;
SELECT SUM(price) OVER () FROM item WHERE id = 4;
-- refused: its rows are on several data nodes, and the sharded table 'item' is read in a derived table
SELECT COUNT(*) FROM (SELECT id FROM item WHERE grp = 1) AS d;
SELECT COUNT(*) FROM item WHERE price > (SELECT 100);
-- refused: its rows are on several data nodes, and 'item' and 'item' are not joined on their sharding keys as binding tables
SELECT COUNT(*) FROM item WHERE price > (SELECT AVG(price) FROM item);
-- TIMESTAMP
SELECT MIN(stamp), MAX(stamp), COUNT(DISTINCT stamp) FROM item;
SELECT grp, MAX(stamp) FROM item GROUP BY grp ORDER BY MAX(stamp), grp;
SELECT stamp, COUNT(*) FROM item GROUP BY stamp ORDER BY stamp;
SELECT MAX(stamp) + INTERVAL 1 DAY FROM item;
-- sums of quotients: a server calculates on with more digits than it shows
SELECT SUM(grp / 3), AVG(grp / 3) FROM item;
SELECT SUM(grp / 3) / COUNT(*), ROUND(AVG(price / 7), 3), SUM(price / 7) + 1 FROM item;
SELECT grp, SUM(price / 7), AVG(price / 7), SUM(price / 7) / COUNT(*) FROM item GROUP BY grp ORDER BY grp;
SELECT COUNT(*) FROM item HAVING SUM(grp / 3) > 1;
-- expressions over aggregates have the types of what the client wrote
SELECT IF(COUNT(*) > 2, MAX(stamp), NULL), CONCAT(MIN(note), 'x'), COALESCE(MAX(code), 'x'), IFNULL(MAX(raw), 'y') FROM item;
SELECT COALESCE(MAX(CAST(grp AS CHAR)), MIN(CAST(name AS BINARY))) FROM item;
SELECT MAX(weight) > 1, ROUND(MAX(weight), 2), MAX(weight) + 1 FROM item;
SELECT CONCAT(MAX(weight), ''), COALESCE(MAX(weight), 'x'), IF(COUNT(*) > 2, MIN(weight), NULL) FROM item;
SELECT weight, IFNULL(weight, COUNT(*)), CONCAT(weight, '-', COUNT(*)) FROM item GROUP BY weight ORDER BY weight;
-- refused: strings of different collations in an expression over aggregates
SELECT CONCAT(MAX(name), MAX(code)) FROM item;
-- what is not run cannot fail
SELECT grp, SUM(big - 18446744073709551615) FROM item GROUP BY grp ORDER BY 2 LIMIT 0;
