"""Rule files for a benchmark: one table over four data sources of one server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml

from dbmesh.sandbox import Account, Server

Transport = Literal["tcp", "unix"]
SHARDS = 4
DATABASE = "bench"
USER = Account("bench", "bench-secret")


def write_rules(folder: Path, server: Server, table: str, key: str, transport: Transport) -> Path:
    """A rule folder: ``table`` sharded by ``key`` modulo the number of data sources."""
    folder.mkdir()
    mesh = {
        "users": {USER.user: {"password": USER.password, "databases": "*", "grants": ["admin"]}},
        "pools": {"size": 32},
    }
    where = {"host": server.host, "port": server.port} if transport == "tcp" else {"socket": server.socket}
    account = where | {"user": server.account.user, "password": server.account.password}
    database = {
        "database": DATABASE,
        "data_sources": {f"ds_{i}": account | {"schema": schema(i)} for i in range(SHARDS)},
        "tables": {
            table: {
                "data_nodes": f"ds_{{0..{SHARDS - 1}}}.{table}",
                "sharding": {"algorithm": "mod", "column": key},
            }
        },
    }
    (folder / "mesh.yaml").write_text(yaml.safe_dump(mesh))
    (folder / f"{DATABASE}.yaml").write_text(yaml.safe_dump(database))
    return folder


def schema(shard: int) -> str:
    """The schema of one data source."""
    return f"bench_{shard}"


def split(server: Server, source: str, table: str, key: str) -> None:
    """Copy ``source.table`` into the data sources' schemas, each row to where the rules say."""
    for shard in range(SHARDS):
        target = schema(shard)
        server.script(
            [
                f"DROP DATABASE IF EXISTS `{target}`",
                f"CREATE DATABASE `{target}`",
                f"CREATE TABLE `{target}`.`{table}` LIKE `{source}`.`{table}`",
                f"INSERT INTO `{target}`.`{table}`"
                f" SELECT * FROM `{source}`.`{table}` WHERE `{key}` % {SHARDS} = {shard}",
            ]
        )
