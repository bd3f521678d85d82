-- The data sources of server B in sharding-rules/shop.yaml, and the mesh's own schema.
CREATE DATABASE shop_2;
CREATE DATABASE shop_3;
CREATE DATABASE _dbmesh;
GRANT ALL ON shop_2.* TO 'dbmesh'@'%';
GRANT ALL ON shop_3.* TO 'dbmesh'@'%';
GRANT ALL ON _dbmesh.* TO 'dbmesh'@'%';
