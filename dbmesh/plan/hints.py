"""What a client asks of the mesh in a comment: ``/*+ dbmesh(shard=ds_1, budget=64MiB) */`` or ``/* dbmesh: … */``.

A hint is blanked before anything else reads the text: the servers never see it, and every place in the text stays true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dbmesh.errors import NotSupported
from dbmesh.plan.model import Hints, Scope
from dbmesh.route.router import RouteTemplate
from dbmesh.rules.model import LogicalDatabase
from dbmesh.sql.tokens import TokenKind, tokens

_OPTIMIZER = re.compile(r"\bdbmesh\s*\(([^()]*)\)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*\s*dbmesh\s*:(.*)\*/", re.IGNORECASE | re.DOTALL)
_EMPTY = re.compile(r"/\*\+?\s*\*/")
_SIZE = re.compile(r"(\d+)\s*(|kib|mib|gib)", re.IGNORECASE)
_UNITS = {"": 0, "kib": 10, "mib": 20, "gib": 30}


@dataclass(frozen=True, slots=True)
class Hinted:
    """``text`` without its hints, as long as before."""

    text: str
    hints: Hints


def take_hints(text: str) -> Hinted:
    """Raises NotSupported for a hint that the mesh does not know."""
    if "dbmesh" not in text.lower():
        return Hinted(text, Hints())
    said: list[str] = []
    for token in tokens(text):
        if token.kind is not TokenKind.COMMENT:
            continue
        left = token.text
        if found := _COMMENT.fullmatch(left):
            said.append(found[1])
            left = " " * len(left)
        elif left.startswith("/*+"):
            said += [match[1] for match in _OPTIMIZER.finditer(left)]
            left = _OPTIMIZER.sub(lambda match: " " * len(match[0]), left)
            left = " " * len(left) if _EMPTY.fullmatch(left) else left
        text = text[: token.start] + left + text[token.end :]
    return Hinted(text, _read(said))


def _read(said: list[str]) -> Hints:
    hints = Hints()
    for item in filter(None, (part.strip() for one in said for part in one.split(","))):
        name, _, value = (part.strip() for part in item.partition("="))
        if name.lower() == "shard" and value:
            hints = replace(hints, shard=value.strip("'\"`"))
        elif name.lower() == "budget" and (size := _SIZE.fullmatch(value)):
            hints = replace(hints, budget=int(size[1]) << _UNITS[size[2].lower()])
        elif name.lower() in ("shard", "budget"):
            raise NotSupported(f"the hint '{item}'", "write shard=DATA_SOURCE, budget=64MiB")
        else:
            raise NotSupported(f"a hint '{name}' is not known", "known are shard and budget")
    return hints


def hinted_source(scope: Scope) -> str:
    """The data source that a statement without tables is to ask, '' for any."""
    if scope.hints.shard and scope.database is not None:
        _check_known(scope.hints.shard, scope.database)
        return scope.hints.shard
    return ""


def on_shard(route: RouteTemplate, scope: Scope) -> RouteTemplate:
    """The route on the hinted data source alone: the statement speaks of its rows only."""
    shard = scope.hints.shard
    if not shard:
        return route
    for target in route.targets:
        _check_known(shard, target.database)
        if all(node.data_source != shard for node in target.rule.nodes):
            raise NotSupported(f"the hint names '{shard}', where '{target.rule.name}' has no data node")
    return replace(route, only=shard)


def _check_known(shard: str, database: LogicalDatabase) -> None:
    if shard not in database.data_sources:
        known = ", ".join(database.data_sources)
        raise NotSupported(f"the hint names '{shard}', no data source of '{database.name}'", f"there are {known}")
