-- Joins of bound, broadcast, single and unrelated tables.
SELECT i.id, p.part_id FROM item i JOIN part p ON p.item_id = i.id ORDER BY i.id, p.part_id;
SELECT i.id, p.part_id, p.qty FROM item i, part p WHERE p.item_id = i.id AND i.grp = 2 ORDER BY i.id, p.part_id;
SELECT i.id, p.part_id FROM item i LEFT JOIN part p ON p.item_id = i.id ORDER BY i.id, p.part_id LIMIT 40;
SELECT i.id, p.part_id FROM item i LEFT JOIN part p ON p.item_id = i.id AND p.qty > 5 WHERE i.grp < 4 ORDER BY 1, 2;
SELECT p.part_id, i.name FROM part p RIGHT JOIN item i ON p.item_id = i.id WHERE i.id < 50 ORDER BY i.id, p.part_id;
SELECT i.id FROM item i JOIN part p ON i.id = p.item_id WHERE i.id = 14;
SELECT i.id, p.part_id FROM item i JOIN part p ON i.id = p.item_id WHERE p.item_id = 14 ORDER BY 2;
SELECT i.id, p.part_id FROM item i JOIN part p ON i.id = p.item_id WHERE i.id IN (7, 14, 21) ORDER BY 1, 2;
SELECT i.id, p.part_id FROM item i INNER JOIN part p ON i.id = p.item_id AND i.id = 14 ORDER BY 2;
SELECT item.id, part.part_id FROM item JOIN part ON item.id = part.item_id WHERE item.grp = 3 ORDER BY 1, 2;
SELECT * FROM item i JOIN part p ON p.item_id = i.id WHERE i.id = 21 ORDER BY p.part_id;
SELECT i.*, p.qty FROM item i JOIN part p ON p.item_id = i.id ORDER BY i.id, p.part_id LIMIT 20;
SELECT i.id, j.id FROM item i JOIN item j ON j.id = i.id WHERE i.grp = 1 ORDER BY i.id;
SELECT i.id FROM item i STRAIGHT_JOIN part p ON p.item_id = i.id WHERE i.grp = 3 ORDER BY i.id, p.part_id;
SELECT i.id FROM item i WHERE EXISTS (SELECT 1 FROM part p WHERE p.item_id = i.id AND p.qty > 7) ORDER BY i.id;
-- refused: its rows are on several data nodes, and 'i' and 'part' are not joined on their sharding keys as binding tables
SELECT i.id FROM item i WHERE i.id IN (SELECT item_id FROM part WHERE item_id = 14);
SELECT i.id, (SELECT SUM(qty) FROM part p WHERE p.item_id = i.id) AS q FROM item i ORDER BY i.id;
SELECT i.id, r.name FROM item i JOIN region r ON r.id = i.grp ORDER BY i.id;
SELECT i.id, r.name FROM item i LEFT JOIN region r ON r.id = i.grp ORDER BY r.name, i.id;
SELECT i.id, r.name FROM region r JOIN item i ON r.id = i.grp ORDER BY i.id DESC LIMIT 10;
SELECT r.id, COUNT(i.id) FROM region r JOIN item i ON r.id = i.grp GROUP BY r.id ORDER BY r.id;
SELECT i.id, p.part_id, r.name FROM item i JOIN part p ON p.item_id = i.id JOIN region r ON r.id = i.grp ORDER BY 1, 2;
SELECT r.name, d.line FROM region r JOIN diary d ON d.grp = r.id ORDER BY d.id;
SELECT r.name, m.body FROM region r JOIN memo m ON m.id = r.id ORDER BY r.id;
SELECT a.name, b.name FROM region a CROSS JOIN region b WHERE a.id < b.id ORDER BY a.id, b.id;
SELECT d.id, e.id FROM diary d JOIN diary e ON e.grp = d.grp WHERE d.id < e.id ORDER BY 1, 2;
SELECT i.id FROM item i JOIN region r USING (id) ORDER BY i.id;
SELECT id FROM item NATURAL JOIN region ORDER BY id;
SELECT r.name, i.id FROM region r LEFT JOIN item i ON r.id = i.grp AND i.id = 3 ORDER BY r.id;
SELECT i.id, d.line FROM item i JOIN diary d ON d.grp = i.grp WHERE i.id = 3 ORDER BY d.id;
-- refused: its rows are on several data nodes, and 'i' and 'p' are not joined on their sharding keys as binding tables
SELECT i.id, p.name FROM item i JOIN person p ON p.age = i.id ORDER BY i.id;
-- refused: its rows are on several data nodes, and 'i' and 'q' are not joined on their sharding keys as binding tables
SELECT i.id, q.part_id FROM item i JOIN part q ON q.part_id = i.grp ORDER BY 1, 2;
-- refused: its rows are on several data nodes, and 'i' and 'e' are not joined on their sharding keys as binding tables
SELECT i.id, e.day FROM item i JOIN event e ON e.id = i.grp ORDER BY 1, 2;
SELECT i.id FROM item i LEFT JOIN part p ON p.item_id = i.id WHERE p.part_id IS NULL ORDER BY i.id;
SELECT i.id FROM item i WHERE i.grp NOT IN (SELECT id FROM region) ORDER BY i.id;
SELECT i.id FROM item i WHERE i.grp = (SELECT MAX(id) FROM region) ORDER BY i.id;
SELECT x.id, x.c FROM (SELECT i.id, COUNT(*) AS c FROM item i JOIN part p ON p.item_id = i.id WHERE i.id = 14 GROUP BY i.id) x;
SELECT i.id, p.part_id FROM item i JOIN part p ON p.item_id = i.id AND p.part_id = i.grp ORDER BY 1, 2;
SELECT DISTINCT i.grp, p.qty FROM item i JOIN part p ON p.item_id = i.id ORDER BY i.grp, p.qty;
SELECT COUNT(*) FROM item i JOIN part p ON p.item_id = i.id;
SELECT a.owner, b.yr FROM ledger a JOIN ledger b ON a.owner = b.owner AND a.yr = b.yr WHERE a.owner = 3 ORDER BY 2;
SELECT a.b, b.v FROM pair a JOIN pair b ON a.a = b.a AND a.b = b.b ORDER BY a.a, a.b;
-- columns are called as the client's text calls them, whatever the tables are called
SELECT id, (SELECT COUNT(*) FROM part WHERE part.item_id = item.id) FROM item ORDER BY id;
SELECT diff.item.id, diff.item.id + 1, (SELECT name FROM region WHERE region.id = item.grp) FROM diff.item ORDER BY id;
SELECT diff.item.id + 1, (SELECT MAX(qty) FROM part WHERE item_id = 5) FROM item WHERE id = 5;
SELECT * FROM (SELECT (SELECT MAX(qty) FROM part WHERE item_id = 5), item.id FROM item WHERE id = 5) x;
