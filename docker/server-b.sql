-- The data sources of server B in sharding-rules/shop.yaml, and the mesh's own schema.
CREATE DATABASE shop_2;
CREATE DATABASE shop_3;
CREATE DATABASE _dbmesh;
GRANT ALL ON shop_2.* TO 'dbmesh'@'%';
GRANT ALL ON shop_3.* TO 'dbmesh'@'%';
GRANT ALL ON _dbmesh.* TO 'dbmesh'@'%';
-- To find who blocks a transaction that is being undone.
GRANT SELECT ON performance_schema.data_lock_waits TO 'dbmesh'@'%';
GRANT SELECT ON performance_schema.threads TO 'dbmesh'@'%';
