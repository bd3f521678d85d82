"""One generation of rules with all that was built from it. A reload makes the next one; running work keeps its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.backend.cluster import Cluster, Lender
from dbmesh.plan.cache import PlanCache
from dbmesh.plan.model import RouteUnit
from dbmesh.rules.model import MeshRules
from dbmesh.transaction.deadlocks import Deadlocks


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """``rules`` never change; ``cluster`` holds the connections to their data sources.

    ``lender``: whom a statement on one data node takes its connection from, the cluster or a session's own.
    """

    rules: MeshRules
    cluster: Cluster
    catalog: ServerCatalog
    plans: PlanCache
    lender: Lender
    deadlocks: Deadlocks

    @classmethod
    def of(cls, rules: MeshRules, deadlocks: Deadlocks, before: Generation | None = None) -> Generation:
        """Connections are kept when the data sources and pools are the same as before; plans and metadata never are."""
        same = before is not None and _reaches(before.rules) == _reaches(rules)
        if before is not None and same:
            cluster = before.cluster
            cluster.adopt(rules)
        else:
            cluster = Cluster(rules)
        return cls(rules, cluster, ServerCatalog(cluster, rules), PlanCache(), cluster, deadlocks)

    def forget(self, units: Iterable[RouteUnit]) -> None:
        """After DDL: what is known of these tables, and what was planned with it."""
        for unit in units:
            self.catalog.invalidate(unit.data_source, unit.table)
        self.plans.clear()


def _reaches(rules: MeshRules) -> object:
    return rules.data_sources, rules.pools
