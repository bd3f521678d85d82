# autocommit off
SELECT @@autocommit
SET autocommit=0
SELECT @@autocommit
SELECT 1
INSERT INTO person VALUES (1,'a',1,'a')
SELECT @@in_transaction
SET autocommit=1
SELECT @@in_transaction
ROLLBACK
SELECT COUNT(*) FROM person

# diagnostics functions
BEGIN
SELECT @@in_transaction
INSERT INTO person VALUES (1,'a',1,'a'),(2,'b',2,'b')
SELECT ROW_COUNT()
SELECT ROW_COUNT()
SELECT FOUND_ROWS()
SELECT * FROM person ORDER BY id
SELECT FOUND_ROWS()
UPDATE person SET age=9
SELECT ROW_COUNT()
DO 1
SELECT ROW_COUNT()
SELECT FOUND_ROWS()
ROLLBACK
SELECT ROW_COUNT()

# read only
START TRANSACTION READ ONLY
INSERT INTO person VALUES (1,'a',1,'a')
INSERT INTO person VALUES (1,'a',1,'a'),(2,'b',2,'b')
SHOW WARNINGS
COMMIT
INSERT INTO person VALUES (1,'a',1,'a')

# start transaction
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY
SELECT COUNT(*) FROM person
COMMIT
START TRANSACTION READ WRITE, WITH CONSISTENT SNAPSHOT
COMMIT
BEGIN WORK
COMMIT WORK
COMMIT foo
ROLLBACK foo

# isolation
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
BEGIN
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
COMMIT
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SELECT @@tx_isolation
SELECT @@tx_isolation
SET SESSION tx_isolation=DEFAULT
SELECT @@tx_isolation
SET SESSION TRANSACTION READ ONLY
SELECT @@tx_read_only
INSERT INTO person VALUES (1,'a',1,'a')
BEGIN
INSERT INTO person VALUES (1,'a',1,'a')
ROLLBACK
SET SESSION TRANSACTION READ WRITE
INSERT INTO person VALUES (1,'a',1,'a')

# set transaction
SET TRANSACTION READ ONLY
INSERT INTO person VALUES (1,'a',1,'a')
INSERT INTO person VALUES (2,'a',1,'b')
SET TRANSACTION READ ONLY
SELECT 1
SELECT COUNT(*) FROM person
INSERT INTO person VALUES (3,'a',1,'c')
SET TRANSACTION READ ONLY
BEGIN
INSERT INTO person VALUES (4,'a',1,'d')
COMMIT
INSERT INTO person VALUES (5,'a',1,'e')

# savepoints
BEGIN
SAVEPOINT a
INSERT INTO person VALUES (1,'a',1,'a')
SAVEPOINT b
INSERT INTO person VALUES (2,'b',1,'b')
SAVEPOINT A
INSERT INTO person VALUES (3,'c',1,'c')
ROLLBACK TO b
SELECT id FROM person ORDER BY id
ROLLBACK TO a
RELEASE SAVEPOINT B
RELEASE SAVEPOINT b
ROLLBACK TO SAVEPOINT b
ROLLBACK WORK TO x
RELEASE SAVEPOINT `a b`
COMMIT
ROLLBACK TO a
SAVEPOINT q
ROLLBACK TO q
RELEASE SAVEPOINT q

# a savepoint moved
BEGIN
SAVEPOINT a
INSERT INTO person VALUES (1,'a',1,'a')
SAVEPOINT b
SAVEPOINT a
INSERT INTO person VALUES (2,'b',1,'b')
ROLLBACK TO a
SELECT id FROM person ORDER BY id
ROLLBACK TO b
SELECT id FROM person ORDER BY id
RELEASE SAVEPOINT b
ROLLBACK TO a
COMMIT
SELECT id FROM person ORDER BY id

# implicit commits
BEGIN
INSERT INTO person VALUES (1,'a',1,'a')
BEGIN
ROLLBACK
SELECT COUNT(*) FROM person
BEGIN
INSERT INTO person VALUES (2,'b',1,'b')
SET autocommit=1
ROLLBACK
SELECT COUNT(*) FROM person
SET autocommit=0
INSERT INTO person VALUES (2,'b',1,'b')
SET autocommit=0
SET autocommit=1
ROLLBACK
SELECT COUNT(*) FROM person

# errors in a transaction
BEGIN
INSERT INTO person VALUES (1,'a',1,'a')
INSERT INTO person VALUES (1,'a',1,'a')
SHOW WARNINGS
SHOW ERRORS
SHOW COUNT(*) WARNINGS
SHOW COUNT(*) ERRORS
SELECT @@warning_count
SELECT @@error_count
SELECT @@warning_count, @@error_count
INSERT INTO person VALUES (2,'a',1,'b')
COMMIT
SELECT COUNT(*) FROM person

# warnings
SELECT 1/0
SHOW WARNINGS
SHOW COUNT(*) WARNINGS
SELECT @@warning_count
SELECT 1/0 FROM person
INSERT INTO person VALUES (1,'a',1,'a'),(2,'b',2,'b'),(3,'c',3,'c')
SELECT id, 1/0 FROM person ORDER BY id
SHOW WARNINGS
SHOW COUNT(*) WARNINGS
SHOW WARNINGS LIMIT 1
SHOW WARNINGS LIMIT 1,1
SHOW WARNINGS
SHOW ERRORS LIMIT 1
SELECT nosuch
SHOW ERRORS
SHOW WARNINGS
SELECT 1
SHOW WARNINGS

# insert ids
INSERT INTO diary(line) VALUES ('x'),('y')
SELECT LAST_INSERT_ID()
SELECT @@last_insert_id
SELECT @@identity
INSERT INTO person VALUES (1,'a',1,'a')
SELECT LAST_INSERT_ID()
UPDATE diary SET line='q'
SELECT LAST_INSERT_ID()
SET LAST_INSERT_ID=55
SELECT LAST_INSERT_ID()
SELECT @@last_insert_id
SET @@identity=7
SELECT LAST_INSERT_ID(), @@identity
INSERT INTO diary(line) VALUES (NULL)
SELECT LAST_INSERT_ID()=0
TRUNCATE diary
SELECT LAST_INSERT_ID()=0

# user variables
SET @a=1,@b=@a+1
SET @d=(SELECT COUNT(*) FROM person)
SELECT @d
SET @e='x''y\\z'
SELECT @e
SET @f=NULL
SELECT @f
SET @g=1.50
SELECT @g, @g/3
SET @h=1e0
SELECT @h, @h/3
SET @i=x'4142'
SELECT @i
SELECT 1
SET @l=TRUE
SELECT @l
SET @m:=3
SELECT @m
SET @n=DEFAULT
SELECT 1
SET @o=@@sql_mode
SELECT @o
SET @p=CURDATE()
SELECT @p=CURDATE()
SET @q=CONCAT('ä','ß')
SELECT @q
SET @r=0x41
SELECT @r,@r+0
SET @s=b'101'
SELECT @s+0
SET @t=-5
SELECT @t
SELECT @a+@t FROM person
SELECT COUNT(*) FROM person WHERE age>@t

# character sets
SET NAMES latin1
SELECT @@character_set_client,@@character_set_connection,@@character_set_results,@@collation_connection
SET @x='é'
SELECT HEX(@x)
SET @y=CONCAT('Ã','¤')
SELECT HEX(@y)
SET NAMES utf8mb4 COLLATE utf8mb4_bin
SELECT @@collation_connection
SELECT HEX(@y)
SET character_set_results=NULL
SELECT @@character_set_results
SET CHARACTER SET utf8
SELECT @@character_set_client,@@character_set_connection,@@character_set_results,@@collation_connection
SET NAMES nosuch
SET NAMES default
SELECT @@character_set_client,@@collation_connection
SET NAMES 'utf8' COLLATE 'latin1_bin'
SET collation_connection=latin1_bin
SELECT @@character_set_connection

# sql_mode
SET sql_mode='STRICT_ALL_TABLES'
SELECT @@sql_mode
SET sql_mode=''
INSERT INTO person VALUES ('1x',REPEAT('a',50),1,'a')
SHOW WARNINGS
SELECT LENGTH(name) FROM person
SET sql_mode=DEFAULT
SELECT @@sql_mode
SET sql_mode='NOSUCH'
SET nosuch=1
SELECT @@nosuch
SET max_sort_length=1,nosuch=2
SELECT @@max_sort_length
SET max_sort_length=DEFAULT
SELECT @@max_sort_length

# what drivers say at their start
SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout
SET character_set_results = NULL
SET autocommit=1
SELECT @@session.tx_read_only
SET sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES')
SELECT @@sql_mode
SET NAMES utf8mb4
SELECT @@version_comment LIMIT 1
SELECT VERSION()
select @@version_comment limit 1
SELECT DATABASE()=DATABASE()
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SELECT @@SQL_AUTO_IS_NULL
SET SQL_AUTO_IS_NULL = 0
SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1
SELECT CAST('test collated returns' AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS anon_1
SHOW VARIABLES LIKE 'sql_mode'
SHOW VARIABLES LIKE 'lower_case_table_names'
SELECT @@lower_case_table_names
SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL
SHOW SESSION VARIABLES WHERE Variable_name IN ('autocommit','sql_mode')
SET NAMES utf8mb4; 
SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment
SET autocommit=1, session_track_schema=1
SET sql_mode='NO_ENGINE_SUBSTITUTION,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO'
SHOW COLLATION WHERE Charset='utf8mb4' AND `Default`='Yes'
SHOW ENGINES
SHOW WARNINGS
SET wait_timeout=100
SELECT @@wait_timeout
SET net_read_timeout=200, net_write_timeout=200
SELECT @@session.autocommit
SET time_zone='+03:00'
SELECT @@time_zone, @@session.time_zone
SET SESSION group_concat_max_len=100000
SELECT @@group_concat_max_len
SET foreign_key_checks=0,unique_checks=0
SELECT @@foreign_key_checks,@@unique_checks
SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO'
SELECT @OLD_SQL_MODE=@@SQL_MODE
SET SQL_MODE=@OLD_SQL_MODE
SELECT @OLD_SQL_MODE=@@SQL_MODE
SET SQL_NOTES=0
SET timestamp=1000000
SELECT NOW(),UNIX_TIMESTAMP()
SET timestamp=DEFAULT
SELECT UNIX_TIMESTAMP()>1000000
SET SQL_SELECT_LIMIT=DEFAULT
SET SQL_SAFE_UPDATES=1
DELETE FROM person
SET SQL_SAFE_UPDATES=0
SET lock_wait_timeout=5
SET innodb_lock_wait_timeout=1
SELECT @@innodb_lock_wait_timeout
SET max_statement_time=1
SELECT SLEEP(3)
SELECT @@timestamp>5
SELECT @@autocommit,@@session.autocommit,@@tx_isolation
SELECT @@proxy_user
SELECT @@external_user
SELECT @@skip_replication

# small things
SET autocommit=ON
SET autocommit='off'
SELECT @@autocommit
SET autocommit=2
SET autocommit=TRUE
SET @@autocommit:=0
SELECT @@autocommit
SET AUTOCOMMIT=DEFAULT
SELECT @@autocommit
COMMIT AND CHAIN
SELECT @@in_transaction
ROLLBACK AND CHAIN
SELECT @@in_transaction
COMMIT AND NO CHAIN
SELECT @@in_transaction
COMMIT NO RELEASE
UNLOCK TABLES
-- x
/* x */
;
SELECT 1;
USE nosuch
SELECT DATABASE() IS NULL
DESCRIBE person
SHOW COLUMNS FROM person LIKE 'n%'
SHOW FULL COLUMNS FROM person
SHOW INDEX FROM person
SHOW KEYS FROM person WHERE Key_name='PRIMARY'
DESC person name
SELECT CONNECTION_ID()=CONNECTION_ID()
KILL 999999999
SELEC 1
SELECT * FROM person WHERE

# ddl commits
BEGIN
CREATE TABLE tmpx (a int primary key)
SELECT @@in_transaction
ROLLBACK
BEGIN
DROP TABLE tmpx
DROP TABLE IF EXISTS tmpx
INSERT INTO person VALUES (1,'a',1,'a')
TRUNCATE TABLE street
ROLLBACK
SELECT COUNT(*) FROM person
