"""How long the mesh takes from its start to its first answer when the rules name many tables."""

from __future__ import annotations

import time
from pathlib import Path

import yaml

from benchmarks import shards
from dbmesh.sandbox import Mesh, Sandbox


def measure(tables: int) -> float:
    """Seconds; every table is a rule of its own, sharded over four data sources."""
    with Sandbox() as sandbox:
        server = sandbox.start("mysql")
        server.script([f"CREATE DATABASE `{shards.schema(shard)}`" for shard in range(shards.SHARDS)])
        rules = shards.write_rules(sandbox.folder / "rules_start", server, "t_0", "id", "unix")
        _multiply(rules / f"{shards.DATABASE}.yaml", tables)
        mesh = Mesh(sandbox.folder / "mesh_start", rules, shards.USER)
        try:
            began = time.monotonic()
            mesh.start(seconds=600.0)
            return time.monotonic() - began
        finally:
            mesh.close()


def _multiply(path: Path, tables: int) -> None:
    database = yaml.safe_load(path.read_text())
    rule = database["tables"].pop("t_0")
    for number in range(tables):
        nodes = f"ds_{{0..{shards.SHARDS - 1}}}.t_{number}"
        database["tables"][f"t_{number}"] = rule | {"data_nodes": nodes}
    path.write_text(yaml.dump(database, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))
