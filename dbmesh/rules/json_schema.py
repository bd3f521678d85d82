"""JSON Schemas of the rule files for editors, made of the models that the loader validates with."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any, Literal

from pydantic import BaseModel

from dbmesh.rules.document import DatabaseFile, MeshFile

Kind = Literal["database", "mesh"]

KINDS: tuple[Kind, ...] = ("database", "mesh")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE: dict[str, Any] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}


def json_schema(kind: Kind) -> dict[str, Any]:
    """The schema of ``mesh.yaml`` or of a logical database's file."""
    model: type[BaseModel] = DatabaseFile if kind == "database" else MeshFile
    schema: dict[str, Any] = with_variables(model.model_json_schema(by_alias=True))
    return {"$schema": DIALECT, **schema}


def with_variables(schema: Any) -> Any:
    """The schema where numbers and truth values may also be ``${NAME}``."""
    if isinstance(schema, list):
        return [with_variables(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("integer", "number", "boolean"):
        limits = {key: schema[key] for key in schema if key not in ("title", "description", "default")}
        rest = {key: schema[key] for key in schema if key not in limits}
        return {"anyOf": [limits, VARIABLE], **rest}
    return {key: value if key == "examples" else with_variables(value) for key, value in schema.items()}


def text(kind: Kind) -> str:
    """The schema as a file holds it."""
    return json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"


def write(directory: pathlib.Path) -> list[pathlib.Path]:
    """Write both schemas as ``database.schema.json`` and ``mesh.schema.json``."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in KINDS:
        path = directory / f"{kind}.schema.json"
        path.write_text(text(kind), encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":  # python -m dbmesh.rules.json_schema sharding-rules/schema
    for written in write(pathlib.Path(sys.argv[1])):
        print(written)
