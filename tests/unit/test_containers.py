"""No container engine runs in our tests: here is checked that Dockerfile and docker-compose.yml fit the project."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dbmesh.cli import main
from dbmesh.rules.loader import load

ROOT = Path(__file__).parents[2]
SERVICE_KEYS = {
    "build", "command", "depends_on", "environment", "healthcheck", "image", "ports", "stop_grace_period", "volumes"
}  # fmt: skip


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_services_are_two_mysql_servers_and_the_mesh(compose: dict[str, Any]) -> None:
    assert set(compose) <= {"services", "volumes", "x-mysql"}
    services = compose["services"]
    assert sorted(services) == ["mesh", "mysql-a", "mysql-b"]
    assert all(set(service) <= SERVICE_KEYS for service in services.values())
    assert {services[name]["image"] for name in ("mysql-a", "mysql-b")} == {"mysql:8.4"}
    assert set(services["mesh"]["depends_on"]) == {"mysql-a", "mysql-b"}
    assert all("healthcheck" in services[name] for name in services["mesh"]["depends_on"])


def test_what_is_mounted_exists_and_named_volumes_are_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]


def test_the_mesh_gets_every_address_that_the_rules_ask_for(compose: dict[str, Any]) -> None:
    asked = re.findall(r"\$\{(DBMESH_SERVER_\w+)", (ROOT / "sharding-rules" / "shop.yaml").read_text())
    given = compose["services"]["mesh"]["environment"]
    assert set(given) == set(asked)
    sources = load(ROOT / "sharding-rules", {name: _expanded(value) for name, value in given.items()}).data_sources
    assert {source.host for source in sources.values()} == {"mysql-a", "mysql-b"}
    assert {source.password for source in sources.values()} == {b"dbmesh"}


def test_the_init_scripts_create_the_schemas_of_the_rules(compose: dict[str, Any]) -> None:
    given = {k: _expanded(v) for k, v in compose["services"]["mesh"]["environment"].items()}
    rules = load(ROOT / "sharding-rules", given)
    for host in ("mysql-a", "mysql-b"):
        script = (ROOT / "docker" / f"{host.replace('mysql', 'server')}.sql").read_text()
        wanted = {source.schema for source in rules.data_sources.values() if source.host == host}
        wanted.add(rules.transaction.schema)
        assert set(re.findall(r"CREATE DATABASE (\w+);", script)) == wanted
        assert set(re.findall(r"GRANT ALL ON (\w+)\.\* TO 'dbmesh'@'%';", script)) == wanted


def test_the_commands_exist(compose: dict[str, Any], dockerfile: list[list[str]]) -> None:
    instructions = dict(line for line in dockerfile if line[0] in ("ENTRYPOINT", "CMD"))
    assert instructions["ENTRYPOINT"] == '["dbmesh"]'
    default = yaml.safe_load(instructions["CMD"])
    assert compose["services"]["mesh"]["command"] == default
    told = CliRunner().invoke(main, [default[0], "--help"]).output
    assert all(option in told for option in default if option.startswith("--"))


def test_the_port_is_the_one_that_the_image_exposes(compose: dict[str, Any], dockerfile: list[list[str]]) -> None:
    exposed = next(value for instruction, value in dockerfile if instruction == "EXPOSE")
    assert [port.split(":")[-1] for port in compose["services"]["mesh"]["ports"]] == [exposed]
    assert compose["services"]["mesh"]["command"][-1].endswith(f":{exposed}")


def test_what_the_image_copies_exists_and_is_not_ignored(dockerfile: list[list[str]]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for instruction, value in dockerfile:
        if instruction == "COPY" and not value.startswith("--from"):
            for source in shlex.split(value)[:-1]:
                assert f"!{source.removeprefix('./')}" in ignored
                assert (ROOT / source).exists() or source == "README.md"


def test_the_mesh_does_not_run_as_root(dockerfile: list[list[str]]) -> None:
    assert [value for instruction, value in dockerfile if instruction == "USER"] == ["dbmesh"]


def _expanded(value: str) -> str:
    """``${NAME:-default}`` without that variable."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
