"""The random queries can tell: faults planted in the merge are found by them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dbmesh.sandbox import Sandbox
from dbmesh.sandbox.mesh import Mesh
from tests.differential.campaign import Campaign
from tests.differential.faulty import FAULTS
from tests.differential.world import ACCOUNT, World

_QUERIES = 250  # the first wrong answer ends it
_HERE = Path(__file__).resolve().parents[2]


class _FaultyMesh(Mesh):
    fault = ""

    def _command(self) -> list[str]:
        command: Sequence[str] = super()._command()
        at = command.index("serve")
        return [sys.executable, "-m", "tests.differential.faulty", self.fault, *command[at:]]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_merge_is_caught(sandbox: Sandbox, world: World, fault: str) -> None:
    folder = sandbox.folder / f"faulty_{list(FAULTS).index(fault)}"
    mesh = _FaultyMesh(folder, world.mesh.rules, ACCOUNT, {"PYTHONPATH": str(_HERE)})
    mesh.fault = fault
    mesh.start()
    try:
        campaign = Campaign(replace(world, mesh=mesh), shrinking=False)
        campaign.run([f"fault-{number}" for number in range(_QUERIES)], most=1)
    finally:
        mesh.close()
    assert any("rows" in found for found in campaign.wrong)
