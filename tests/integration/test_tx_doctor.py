"""``dbmesh tx doctor`` and ``history``: what is wrong and what to do, what was done and why."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dbmesh.sandbox import Server
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, run, update
from tests.integration.tx_world import accounts, end_lease, parked, tx


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema, tmp_path: Path) -> AsyncIterator[World]:
    async with accounts(servers, make_schema, tmp_path) as world:
        yield world


async def findings(folder: Path) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and by level what is told with its advice."""
    code, out, _ = await tx(folder, "doctor", "--json")
    found: dict[str, list[str]] = {"ok": [], "warning": [], "mistake": []}
    for item in json.loads(out):
        found[item["level"]].append(f"{item['about']}: {item['what']} / {item['advice']}")
        assert item["level"] == "ok" or item["advice"]
    return code, found


def only(found: dict[str, list[str]], level: str, words: str) -> None:
    """Exactly one finding of the level, with these words in it."""
    assert len(found[level]) == 1, found
    assert words in found[level][0]


async def test_all_is_well_with_servers_tables_and_records(world: World, tmp_path: Path) -> None:
    code, found = await findings(tmp_path)
    assert (code, found["mistake"]) == (0, [])
    assert len([line for line in found["warning"] if "the mesh's tables are missing" in line]) == 2
    proxy = await world.proxy()
    saga = world.saga(proxy)
    await run(saga, world.client(), update("ds_0", "account", "balance = 1", "id = 1"))
    await saga.commit()
    code, found = await findings(tmp_path)
    assert code == 0
    assert [line for line in found["ok"] if "the mesh's tables are whole" in line]
    assert [line for line in found["ok"] if f"1 with a lease: {proxy.instance}" in line]
    assert not [line for line in found["warning"] if "tables" in line]
    assert (await tx(tmp_path, "doctor"))[1].count("\n") > 6


async def test_what_a_dead_mesh_and_a_changed_row_leave_is_told(world: World, tmp_path: Path) -> None:
    gtrid = await parked(world)
    only((await findings(tmp_path))[1], "mistake", f"dbmesh tx show {gtrid}")
    await tx(tmp_path, "skip", gtrid, "--branch", "ds_0", "--reason", "x")
    saga = world.saga(await world.proxy())
    await run(saga, world.client(), update("ds_0", "account", "balance = 1", "id = 2"))
    end_lease(world)
    code, found = await findings(tmp_path)
    assert code == 2
    only(found, "mistake", "no mesh has a lease, and there are transactions to be finished")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE _sagas.undo_record SET reverse_sql = 'DO 0'", "checksum is wrong"),
        ("DELETE FROM _sagas.g_tx", "that the coordinator log does not know"),
        ("UPDATE _sagas.g_tx SET state = 'ROLLED_BACK', ended_at = NOW(6)", "ROLLED_BACK, but its branch on ds_0"),
        ("ALTER TABLE _sagas.branch DROP COLUMN note", "lacks column note"),
        ("ALTER TABLE _sagas.row_lock DROP KEY db", "lacks an index on (db, tbl)"),
    ],
)
async def test_records_that_contradict_each_other_are_found(
    world: World, tmp_path: Path, damage: str, told: str
) -> None:
    saga = world.saga(await world.proxy())
    await run(saga, world.client(), update("ds_0", "account", "balance = 1", "id = 1"))
    world.script(damage)
    code, found = await findings(tmp_path)
    assert code == 2
    assert told in "\n".join(found["mistake"])
    saga.active = False
    world.script("DROP DATABASE _sagas")


async def test_a_server_that_does_not_answer_is_a_finding(world: World, tmp_path: Path) -> None:
    rules = tmp_path / "shop.yaml"
    world.proxies.append(await world.proxy())
    text = rules.read_text()
    port = str(world.sources["ds_1"][0].port)
    rules.write_text(text.replace(f"port: {port}", "port: 1"))
    code, found = await findings(tmp_path)
    assert code == 2
    only(found, "mistake", "ds_1: ")


async def test_what_was_done_by_hand_and_to_a_row_is_remembered(world: World, tmp_path: Path) -> None:
    gtrid = await parked(world)
    await tx(tmp_path, "skip", gtrid, "--branch", "ds_0", "--reason", "the customer said so")
    acts: list[dict[str, Any]] = json.loads((await tx(tmp_path, "history", "--json"))[1])
    assert [act["act"] for act in acts] == ["replayed", "replay", "mended", "mend"]
    assert acts[-1]["reason"] == "the customer said so"
    assert {act["gtrid"] for act in acts} == {gtrid}
    assert "the customer said so" in (await tx(tmp_path, "history", gtrid[:20]))[1]
    changes = json.loads((await tx(tmp_path, "history", "--table", "account", "--key", "2", "--json"))[1])
    assert [(row["gtrid"], row["state"], row["change"]) for row in changes] == [
        (gtrid, "SKIPPED", "balance 200.00 → 201.00")
    ]
    assert "balance + 1" in (await tx(tmp_path, "history", "--table", "account"))[1]
    assert (await tx(tmp_path, "history", "dm-nothing"))[0] == 4
