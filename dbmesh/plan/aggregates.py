"""The aggregate calls of a SELECT, found in its tokens."""

from __future__ import annotations

from typing import NamedTuple

from dbmesh.errors import NotSupported
from dbmesh.plan.outline import Outline, inner_queries
from dbmesh.sql.functions import AGGREGATES, OTHER_AGGREGATES
from dbmesh.sql.layout import Span, calls, closing


class AggregateCall(NamedTuple):
    """``span``: name to closing parenthesis; ``arguments``: what is between, without DISTINCT."""

    name: str
    span: Span
    arguments: Span
    distinct: bool


def aggregate_calls(outline: Outline, span: Span) -> list[AggregateCall]:
    """The calls within ``span``, subqueries left out. Raises NotSupported for aggregates that cannot be merged."""
    inner = inner_queries(outline.tokens, span)
    return [
        _call(outline, at)
        for at in calls(outline.tokens, span)
        if outline.tokens[at].upper in AGGREGATES and not any(query.first <= at < query.last for query in inner)
    ]


def _call(outline: Outline, at: int) -> AggregateCall:
    tokens = outline.tokens
    name = tokens[at].upper
    if name in OTHER_AGGREGATES:
        raise NotSupported(f"{name}() over several data nodes", "restrict the statement to one sharding key")
    end = closing(tokens, at + 1)
    if end is None:
        raise NotSupported("a parenthesis without its end")
    first = at + 2
    distinct = tokens[first].upper == "DISTINCT"
    if distinct or tokens[first].upper == "ALL":
        first += 1
    if any(token.upper in AGGREGATES and tokens[n + 1].text == "(" for n, token in enumerate(tokens[first:end], first)):
        raise NotSupported("an aggregate within an aggregate")
    return AggregateCall(name, Span(at, end + 1), Span(first, end), distinct and name not in ("MIN", "MAX"))
