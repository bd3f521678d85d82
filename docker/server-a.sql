-- The data sources of server A in sharding-rules/shop.yaml, and the mesh's own schema.
CREATE DATABASE shop_0;
CREATE DATABASE shop_1;
CREATE DATABASE _dbmesh;
GRANT ALL ON shop_0.* TO 'dbmesh'@'%';
GRANT ALL ON shop_1.* TO 'dbmesh'@'%';
GRANT ALL ON _dbmesh.* TO 'dbmesh'@'%';
-- To find who blocks a transaction that is being undone.
GRANT SELECT ON performance_schema.data_lock_waits TO 'dbmesh'@'%';
GRANT SELECT ON performance_schema.threads TO 'dbmesh'@'%';
