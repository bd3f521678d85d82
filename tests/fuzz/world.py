"""Rules and tables to talk about, and which input is for which target."""

from __future__ import annotations

from pathlib import Path

from dbmesh.sandbox import Sandbox, Server
from tests.fuzz.inputs import Inputs

_MESH = """
users:
  app: {password: secret, databases: [town]}
  native: {password_hash: '*14E65567ABDB5135D0CFD9A70B3032C179A49EE7', databases: [town]}
pools: {size: 8, wait_timeout: 3}
idle_timeout: 30
"""
_TOWN = """
database: town
data_sources:
  ds_0: {ADDRESS, schema: fuzz_0}
  ds_1: {ADDRESS, schema: fuzz_1}
tables:
  person: {data_nodes: 'ds_{0..1}.person', sharding: {column: id, algorithm: mod}}
broadcast_tables:
  street: {}
default_data_source: ds_0
"""


def make_world(sandbox: Sandbox, server: Server | None = None) -> Path:
    """Two data sources on one server; the folder of the rules."""
    server = server or sandbox.start("fuzz")
    for number in (0, 1):
        server.script([f"CREATE DATABASE fuzz_{number}"])
        server.script(
            [
                "CREATE TABLE person (id BIGINT PRIMARY KEY, name VARCHAR(40), age INT)",
                "CREATE TABLE street (id INT PRIMARY KEY, name VARCHAR(40))",
                f"INSERT INTO person VALUES ({number}, 'a', 1), ({number + 2}, 'b', NULL), ({number + 4}, 'ü', 3)",
                "INSERT INTO street VALUES (1, 'x'), (2, 'y')",
            ],
            f"fuzz_{number}",
        )
    account = server.account
    address = f"host: {server.host}, port: {server.port}, user: {account.user}, password: {account.password}"
    folder = sandbox.folder / "fuzz_rules"
    folder.mkdir()
    (folder / "mesh.yaml").write_text(_MESH)
    (folder / "town.yaml").write_text(_TOWN.replace("ADDRESS", address))
    return folder


def data_for(target: str, inputs: Inputs) -> bytes:
    match target:
        case "login":
            payloads = [inputs.login(), inputs.chance.randbytes(inputs.chance.choice((0, 1, 20, 32, 256)))]
            return inputs.packets(*payloads, inputs.change_user(), b"\x02", b"secret\0")
        case "framing":
            return inputs.packets(*(inputs.command() for _ in range(inputs.chance.randint(1, 6))))
        case "commands":
            return inputs.command()
        case "compression":
            return inputs.compressed()
        case "answers":
            return inputs.answer(inputs.chance.random() < 0.5)
        case _:
            return inputs.mutated(inputs.answer(True)[4:])
