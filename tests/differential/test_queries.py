"""Random SELECTs of every shape, the same ones in every run: no answer of the mesh differs from one server's."""

from __future__ import annotations

import os

import pytest

from tests.differential.campaign import Campaign
from tests.differential.every_kind import every_kind
from tests.differential.kinds import COLLATIONS, TYPES
from tests.differential.world import World

# DBMESH_SEED and DBMESH_STATEMENTS choose others, and more of them.
SEED = os.environ.get("DBMESH_SEED", "1")
QUERIES = int(os.environ.get("DBMESH_STATEMENTS", "400"))
THOROUGH = 5000  # from so many on, rare combinations are counted, too

_CLAUSES = (
    "JOIN", "LEFT JOIN", "RIGHT JOIN", "INNER JOIN", "STRAIGHT_JOIN", "CROSS JOIN", "NATURAL", "USING", "self join",
    "WHERE", "condition", "CASE", "EXISTS", "IN subquery", "row IN", "ANY ALL", "scalar subquery",
    "correlated subquery", "derived table", "WITH", "WITH RECURSIVE", "set operation", "UNION", "INTERSECT", "EXCEPT",
    "DISTINCT", "GROUP BY", "ROLLUP", "HAVING", "aggregates", "COUNT", "COUNT(DISTINCT)", "SUM", "AVG", "MIN", "MAX",
    "STDDEV", "BIT_XOR", "GROUP_CONCAT", "window", "ORDER BY", "LIMIT", "one shard",
)  # fmt: skip
_UNSORTED = ("JSON", "POINT", "BIT", "VECTOR")  # only shown and counted


@pytest.mark.timeout(7200)
def test_random_queries_are_answered_as_one_server_would(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    campaign = Campaign(world)
    campaign.run([f"{SEED}-{number}" for number in range(QUERIES)])
    if QUERIES >= THOROUGH:
        campaign.run_all(every_kind())
    with capsys.disabled():
        print(f"\n{campaign.summary()}")
    assert not campaign.wrong, "\n".join(campaign.wrong)
    assert campaign.refused.total() <= QUERIES // 50, campaign.refused
    least = max(1, min(50, QUERIES // 200))
    rare = {clause: campaign.clauses[clause] for clause in _CLAUSES if campaign.clauses[clause] < least}
    assert not rare, f"used less than {least} times"
    assert campaign.tiers["merge"] >= QUERIES * 0.3
    assert campaign.tiers["federate"] >= QUERIES * 0.3
    assert campaign.tiers["one node"] >= QUERIES * 0.01
    if QUERIES >= THOROUGH:
        kinds = [name for name in (*TYPES, *COLLATIONS) if not name.startswith(_UNSORTED)]
        missing = [f"{use} {name}" for name in kinds for use in ("join on", "group by", "sort by")
                   if not campaign.clauses[f"{use} {name}"]]  # fmt: skip
        assert not missing
