"""docs/operations.md: every command of its walk-through, run in order, says what stands there.

``DBMESH_WRITE=1`` writes the outputs into the document instead of comparing them.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.errors import CommitFailed
from dbmesh.sandbox import Server
from tests.conftest import MakeSchema
from tests.integration.saga_world import World, run, update
from tests.integration.tx_world import accounts, tx

DOCUMENT = Path(__file__).parents[2] / "docs/operations.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_GTRID = re.compile(r"dm-[0-9A-HJKMNP-TV-Z]{26}-[0-9a-z]{6}|GTRID")
_VARYING = (
    (_GTRID, "GTRID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+"), "TIME"),
    (re.compile(r"\S+@\S+"), "WHO"),
    (re.compile(r"(MariaDB|MySQL) [\w.+~-]+|version [\w.+]+"), "VERSION"),
    (re.compile(r"\b\d+s\b"), "AGE"),
    (re.compile(r"(cli-)?\b[0-9a-z]{6} (\(gone\)|on \S+,)|^owner .*$|^deadline .*$", re.MULTILINE), "MESH"),
    (re.compile(r"[ \t]+"), " "),
)


@pytest.fixture
async def world(servers: tuple[Server, Server], make_schema: MakeSchema, tmp_path: Path) -> AsyncIterator[World]:
    async with accounts(servers, make_schema, tmp_path, "bank") as world:
        world.everywhere("DELETE FROM account")
        world.script("INSERT INTO account VALUES (1, 1000, 'Ann')")
        world.script("INSERT INTO account VALUES (2, 1000, 'Ben')", data_source="ds_1")
        yield world


async def transfer(world: World, commit: bool) -> str:
    """300.00 from 1 to 2, committed, or parked in its ROLLBACK because of 1.00 from somebody else; its gtrid."""
    proxy = await world.proxy()
    saga, client = world.saga(proxy), world.client()
    for name, number, sign in (("ds_0", 1, "-"), ("ds_1", 2, "+")):
        await run(saga, client, update(name, "account", f"balance = balance {sign} 300.00", f"id = {number}"))
    if commit:
        await saga.commit()
    else:
        world.script("UPDATE account SET balance = balance + 1 WHERE id = 2", data_source="ds_1")
        with pytest.raises(CommitFailed, match="is parked, a row was changed by others"):
            await saga.rollback()
    await proxy.stop()
    world.proxies.remove(proxy)
    return saga.gtrid


async def output(world: World, folder: Path, command: str, gtrid: str) -> str:
    """What the command of the document prints, on both streams; its exit code is as the document says."""
    text, _, code = command.partition("  # exit code ")
    words = shlex.split(_GTRID.sub(gtrid, text))
    if words[0] == "mariadb":
        number = words[1].removeprefix("bank_")
        world.script(words[3], data_source=f"ds_{number}")
        return ""
    assert words[:2] == ["dbmesh", "tx"]
    found, out, err = await tx(folder, *words[2:])
    assert found == int(code or 0), f"{command}: {out} {err}"
    return "\n".join(line.rstrip() for line in (out + err).splitlines())


async def played(world: World, folder: Path, text: str) -> str:
    """The document with what its commands say now."""
    gtrid = await transfer(world, commit=False)
    for block in _BLOCK.findall(text):
        commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        told = []
        for command in commands:
            if command.startswith("dbmesh tx undo") and "--dry-run" in command:
                gtrid = await transfer(world, commit=True)
            if command.startswith("dbmesh tx reverse-sql"):
                gtrid = await transfer(world, commit=False)
            told.append(f"$ {_GTRID.sub(gtrid, command)}\n{await output(world, folder, command, gtrid)}".strip())
        text = text.replace(block, "\n\n".join(told) + "\n", 1)
    return text


def alike(text: str) -> list[str]:
    """The commands and outputs without what differs from run to run."""
    found = "\n".join(_BLOCK.findall(text))
    for pattern, name in _VARYING:
        found = pattern.sub(name, found)
    return [line.strip() for line in found.splitlines() if line.strip()]


async def test_the_walk_through_says_what_the_commands_say(world: World, tmp_path: Path) -> None:
    written = DOCUMENT.read_text()
    now = await played(world, tmp_path, written)
    if os.environ.get("DBMESH_WRITE"):
        DOCUMENT.write_text(now)
    assert len(alike(now)) > 60
    assert alike(written) == alike(now)
