"""Two shards with accounts, rule files for the command line, and ``dbmesh tx``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dbmesh.cli import main
from dbmesh.sandbox import Server
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, rules_of, run, update

TABLE = "CREATE TABLE account (id INT PRIMARY KEY, balance DECIMAL(10,2) NOT NULL, note VARCHAR(20))"


@asynccontextmanager
async def accounts(
    servers: tuple[Server, Server], make_schema: MakeSchema, folder: Path, name: str = "tx"
) -> AsyncIterator[World]:
    """Rule files in ``folder``; tables account in the schemas tx_0 and tx_1 with the rows 1 and 2 each."""
    sources = {f"ds_{n}": (server, make_schema(server, f"{name}_{n}")) for n, server in enumerate(servers)}
    for server, _ in sources.values():
        server.script(["DROP DATABASE IF EXISTS _sagas"])
    world = World(sources, rules_of(sources, lease=25.0))
    world.everywhere(TABLE, "INSERT INTO account VALUES (1, 100, 'a'), (2, 200, 'it''s')")
    write_rules(folder, sources)
    try:
        yield world
    finally:
        await world.close()


def write_rules(folder: Path, sources: dict[str, tuple[Server, str]]) -> None:
    """Rule files for the world's data sources."""
    found = {
        name: {
            "host": server.host,
            "port": server.port,
            "schema": schema,
            "user": server.account.user,
            "password": server.account.password,
        }
        for name, (server, schema) in sources.items()
    }
    mesh = {
        "listeners": ["127.0.0.1:0"],
        "users": {"app": {"password": "app", "databases": ["shop"]}},
        "transaction": {"log": "ds_0", "schema": "_sagas", "lease": 30, "sweep": 0.5},
    }
    database = {"database": "shop", "data_sources": found, "default_data_source": "ds_0", "tables": {}}
    (folder / "mesh.yaml").write_text(yaml.safe_dump(mesh))
    (folder / "shop.yaml").write_text(yaml.safe_dump(database))


def end_lease(world: World, seconds: float = 0) -> None:
    world.script(f"UPDATE _sagas.proxy SET lease_until = NOW(6) + INTERVAL {seconds} SECOND")


async def tx(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, messages of ``dbmesh tx``. In a thread of this process: it has an event loop of its own."""
    command = ["tx", *arguments, "--rules", str(folder)]
    result = await asyncio.to_thread(CliRunner().invoke, main, command, catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


async def listed(folder: Path) -> list[dict[str, Any]]:
    code, out, err = await tx(folder, "list", "--json")
    assert (code, err) == (0, "")
    found: list[dict[str, Any]] = json.loads(out)
    return found


async def parked(world: World) -> str:
    """A parked transaction: row 1 was changed by others, row 2 was not; its gtrid."""
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "account", "balance = balance + 1", "id IN (1, 2)"))
    world.script("UPDATE account SET balance = 7 WHERE id = 1")
    with pytest.raises(Exception, match="parked"):
        await saga.rollback()
    return saga.gtrid
