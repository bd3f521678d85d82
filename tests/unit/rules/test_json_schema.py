from __future__ import annotations

import pathlib
import re

import pytest

from dbmesh.rules.json_schema import KINDS, VARIABLE, Kind, json_schema, text, write

SCHEMAS = pathlib.Path(__file__).parents[3] / "sharding-rules" / "schema"


@pytest.mark.parametrize("kind", KINDS)
def test_written_schema_is_up_to_date(kind: Kind) -> None:
    """Otherwise: python -m dbmesh.rules.json_schema sharding-rules/schema"""
    assert (SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8") == text(kind)


def test_schema_offers_each_algorithm_with_its_own_keys() -> None:
    parts = json_schema("database")["$defs"]
    assert parts["ModPart"]["additionalProperties"] is False
    assert set(parts["RangePart"]["properties"]) == {"column", "columns", "algorithm", "boundaries", "ranges"}
    assert "schema" in parts["DataSourcePart"]["properties"]


def test_numbers_may_be_variables() -> None:
    port = json_schema("database")["$defs"]["DataSourcePart"]["properties"]["port"]
    assert VARIABLE in port["anyOf"]
    assert re.search(VARIABLE["pattern"], "${PORT:-3306}")


def test_both_schemas_are_written(tmp_path: pathlib.Path) -> None:
    assert [path.name for path in write(tmp_path / "new")] == ["database.schema.json", "mesh.schema.json"]
