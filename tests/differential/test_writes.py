"""Random writes of every shape, the same ones in every run: tables and answers stay those of one server."""

from __future__ import annotations

import os

import pytest

from tests.differential.world import World
from tests.differential.write_campaign import WriteCampaign

# DBMESH_SEED and DBMESH_WRITES choose others, and more of them.
SEED = os.environ.get("DBMESH_SEED", "1")
WRITES = int(os.environ.get("DBMESH_WRITES", "100"))
_CLAUSES = (
    "UPDATE", "DELETE", "LIMIT", "key", "subquery", "several tables", "several tables LEFT JOIN",
    "UPDATE of several tables", "DELETE of several tables", "INSERT … SELECT", "REPLACE … SELECT",
    "ON DUPLICATE KEY UPDATE",
)  # fmt: skip


@pytest.mark.timeout(7200)
def test_random_writes_do_what_one_server_does(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    campaign = WriteCampaign(world)
    campaign.run([f"w{SEED}-{number}" for number in range(WRITES)])
    with capsys.disabled():
        print(f"\n{campaign.summary()}")
    assert not campaign.wrong, "\n".join(campaign.wrong)
    assert campaign.refused.total() <= max(2, WRITES // 50), campaign.refused
    rare = {clause: campaign.clauses[clause] for clause in _CLAUSES if campaign.clauses[clause] < WRITES // 100}
    assert not rare, "hardly used"
    assert campaign.ways["staged"] >= WRITES * 0.3
    assert campaign.ways["each node"] >= WRITES * 0.1
