"""What may be compiled: modules that are there, and have no coroutines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import dbmesh

ROOT = Path(__file__).parents[2]


def hot_modules() -> list[str]:
    for statement in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "HOT":
            return list(ast.literal_eval(statement.value))
    raise AssertionError("setup.py names no HOT modules")


@pytest.mark.parametrize("module", hot_modules())
def test_a_compiled_module_has_no_coroutines(module: str) -> None:
    source = Path(dbmesh.__file__).parent / f"{module}.py"
    coroutines = ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith
    assert not [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, coroutines)]


def test_the_build_is_told_by_the_modules_that_are_loaded() -> None:
    from dbmesh.protocol import tracker

    assert dbmesh.build() == ("pure Python" if tracker.__file__.endswith(".py") else "compiled")
