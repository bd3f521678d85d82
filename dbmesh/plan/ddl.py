"""DDL: the same statement for every data node of a table. Names are spliced by tokens: sqlglot knows too few forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dbmesh.errors import NotSupported, UnknownTable
from dbmesh.plan.alter import check_alter, renamed_to
from dbmesh.plan.insert_text import statement_tokens
from dbmesh.plan.model import Bound, Call, Plan, RouteKind, RouteUnit, Scope, TableName
from dbmesh.plan.references import resolve, table_edits, table_names
from dbmesh.plan.routines import plan_kept
from dbmesh.plan.write_text import answered_edits
from dbmesh.rewrite import Edit, TableSlot, Template, splice
from dbmesh.rules.model import BroadcastTable, DataNode, Grant, LogicalDatabase, ShardedTable, SingleTable, TableRule
from dbmesh.sql.blocks import find_blocks
from dbmesh.sql.classify import StatementKind, classify
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.layout import Span
from dbmesh.sql.statement import Unparsed, parse
from dbmesh.sql.tokens import Token

K = StatementKind
_BEFORE_NAME = frozenset(
    {"CREATE", "OR", "REPLACE", "TEMPORARY", "ALTER", "DROP", "TRUNCATE", "ONLINE", "OFFLINE", "IGNORE", "TABLE",
     "TABLES", "IF", "NOT", "EXISTS", "RENAME"}
)  # fmt: skip
_TEMPORARY = {K.CREATE_TEMPORARY: K.DDL_CREATE_TABLE, K.DROP_TEMPORARY: K.DDL_DROP_TABLE}


class Named(NamedTuple):
    """A table that the statement names: the tokens of its name, its database and rule."""

    span: Span
    database: LogicalDatabase
    rule: TableRule


class DdlUnit(NamedTuple):
    """The statement for one data node. ``tables``: the actual tables of the template's slots."""

    node: DataNode
    template: Template
    tables: tuple[str, ...]


@dataclass(kw_only=True)
class DdlPlan(Plan):
    """``units`` run one after the other: no server can take DDL back."""

    route_kind: RouteKind
    units: tuple[DdlUnit, ...]

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        units = tuple(
            RouteUnit(node.data_source, node.table, template.render(literals, tables, call.session_value))
            for node, template, tables in self.units
        )
        return Bound(self.kind, self.route_kind, units)


async def plan_ddl(text: str, scope: Scope) -> Plan:
    """The plan of CREATE, ALTER, DROP, TRUNCATE and RENAME TABLE, CREATE and DROP INDEX; others are mostly refused."""
    kind = classify(text)
    if kind is K.DDL_DATABASE:
        raise NotSupported(
            "DDL of a database: its data sources are named in the rules", "change the rules, and the servers"
        )
    if kind in (K.DDL_CREATE_VIEW, K.DDL_DROP_VIEW, K.DDL_OTHER):
        return _kept(text, kind, scope)
    tokens = statement_tokens(text)
    _check_options(tokens)
    plan = await _Planner(text, kind, tokens, scope).plan()
    return plan if kind not in _TEMPORARY else _temporary(plan, kind, scope)


def _temporary(plan: DdlPlan, kind: StatementKind, scope: Scope) -> Plan:
    """The same for a temporary table: it belongs to the session alone, commits nothing and needs no grant."""
    if len(plan.units) != 1:
        raise NotSupported(
            "a temporary table by the name of tables on several data nodes", "give it a name that no rule has"
        )
    [unit] = plan.units
    home, rule = scope.resolve(*plan.tables[0])
    own = home.tables.get(rule.name) is rule and isinstance(rule, SingleTable)
    taken = {node for home in scope.rules.databases.values() for rule in home.tables.values() for node in rule.nodes}
    if kind is K.CREATE_TEMPORARY and unit.node in taken and not own:
        raise NotSupported(
            f"a temporary table would hide '{unit.node.table}', which holds rows of another table",
            "give it a name that no rule has",
        )
    return replace(plan, kind=kind, grants=frozenset(), keeps=kind is K.CREATE_TEMPORARY)


def _kept(text: str, kind: StatementKind, scope: Scope) -> Plan:
    """Views, triggers and routines: only where one data source has all tables of the database under their names."""
    kept = plan_kept(text, scope)
    return DdlPlan(
        kind=kind,
        tables=(TableName(kept.database.name, ""),),
        writes=True,
        grants=kept.grants,
        route_kind=RouteKind.SINGLE,
        units=(DdlUnit(DataNode(kept.data_source, ""), kept.template, ()),),
    )


# What reads other schemas, other servers or files
_FAR_ENGINES = frozenset(
    {"MERGE", "MRG_MYISAM", "FEDERATED", "FEDERATEDX", "CONNECT", "SPIDER", "S3", "SPHINX", "OQGRAPH", "CSV"}
)


def _check_options(tokens: Sequence[Token]) -> None:
    """Refuse table options that reach other schemas, other servers or the server's disk by the shared account."""
    for at, token in enumerate(tokens[:-1]):
        value = tokens[at + 2 if tokens[at + 1].text == "=" and at + 2 < len(tokens) else at + 1]
        name = value.text.strip("`'\"").upper()
        if token.upper == "ENGINE" and name in _FAR_ENGINES:
            raise NotSupported(f"tables of engine {name}", "use ENGINE=InnoDB")
        if token.upper in ("DATA", "INDEX") and tokens[at + 1].upper == "DIRECTORY":
            raise NotSupported(f"{token.upper} DIRECTORY names a place on one server's disk", "leave it out")


class _Planner:
    def __init__(self, text: str, kind: StatementKind, tokens: Sequence[Token], scope: Scope) -> None:
        self.text = text
        self.temporary = kind in _TEMPORARY
        self.kind = _TEMPORARY.get(kind, kind)
        self.tokens = tokens
        self.scope = scope
        self.literals = literal_spans(text)

    async def plan(self) -> DdlPlan:
        if self.kind is K.DDL_RENAME_TABLE:
            return self._rename()
        if self.kind is K.DDL_DROP_TABLE:
            return self._drop()
        named = self._named(self._name_at(), new=self.kind is K.DDL_CREATE_TABLE)
        query = self._query_at(named)
        if query is not None:
            return await self._create_from_query(named, query)
        others = self._others(named)
        if self.kind is K.DDL_ALTER_TABLE:
            target = renamed_to(self.tokens, named.span.last)
            if target is not None:
                others.append(self._same_place(named, self._named(target, new=True)))
            check_alter(self.tokens, named.span.last, named.rule)
        self._check_constraints(named)
        return self._everywhere(named, others)

    def _name_at(self) -> int:
        """The first token of the table's name."""
        if self.kind in (K.DDL_CREATE_INDEX, K.DDL_DROP_INDEX):
            at = next((at for at, token in enumerate(self.tokens) if token.upper == "ON"), len(self.tokens))
            return at + 1
        at = 0
        while at < len(self.tokens) and self.tokens[at].upper in _BEFORE_NAME:
            at += 1
        return at

    def _named(self, at: int, new: bool = False) -> Named:
        """The table named at a token. ``new``: it need not have a rule of its own."""
        last = at + 3 if at + 1 < len(self.tokens) and self.tokens[at + 1].text == "." else at + 1
        if last > len(self.tokens) or not self.tokens[at].is_name or not self.tokens[last - 1].is_name:
            raise Unparsed("no table is named")
        database = self.tokens[at].name if last - at == 3 else ""
        try:
            name = self.tokens[last - 1].name
            self._check_name(database, name)
            return Named(Span(at, last), *self.scope.resolve(database, name))
        except UnknownTable:
            if not new:
                raise
            raise NotSupported(
                f"table '{self.tokens[last - 1].name}' has no rule and its database no default data source",
                "add the table to the rules",
            ) from None

    def _check_name(self, database: str, name: str) -> None:
        home = self.scope.rules.databases.get(database) if database else self.scope.database
        if home is not None and name in home.parts:
            raise NotSupported(f"'{name}' is where the rows of another table are", "choose another name")

    def _others(self, named: Named) -> list[Named]:
        """Tables after REFERENCES and LIKE."""
        found = []
        for at in range(named.span.last, len(self.tokens) - 1):
            word = self.tokens[at].upper
            like = word == "LIKE" and at <= named.span.last + 1 and self.kind is K.DDL_CREATE_TABLE
            if (word == "REFERENCES" and self.tokens[at - 1].text != ".") or like:
                found.append(self._named(at + 1))
        return found

    def _query_at(self, named: Named) -> int | None:
        """Where the query of CREATE TABLE … SELECT begins."""
        if self.kind is not K.DDL_CREATE_TABLE:
            return None
        for at in range(named.span.last, len(self.tokens)):
            if self.tokens[at].upper in ("SELECT", "TABLE") or (
                self.tokens[at].upper == "WITH" and self._with_query(at)
            ):
                return at
        return None

    def _with_query(self, at: int) -> bool:
        """WITH that begins a query, not ``WITH SYSTEM VERSIONING`` or ``WITH PARSER``."""
        following = [token.upper for token in self.tokens[at + 1 : at + 3]]
        return following[:1] == ["RECURSIVE"] or following[1:] == ["AS"]

    async def _create_from_query(self, named: Named, at: int) -> DdlPlan:
        if not isinstance(named.rule, SingleTable):
            raise NotSupported("CREATE TABLE … SELECT for a table on several data nodes", "create it first")
        while self.tokens[at - 1].text == "(" and at - 1 > named.span.last:
            at -= 1
        statement = parse(" " * self.tokens[at].start + self.text[self.tokens[at].start : self.tokens[-1].end])
        blocks = find_blocks(statement)
        node = named.rule.node
        targets = await resolve(blocks, self.scope)
        tables = [_actual(target.rule, node, named) for target in targets]
        slot = len(tables)
        edits = [self._name_edit(named, slot), *table_edits(blocks), *answered_edits(self.text, self.tokens)]
        plan = self._plan([named], [DdlUnit(node, self._template(edits), (*tables, node.table))])
        return replace(plan, tables=tuple(dict.fromkeys((*plan.tables, *table_names(targets)))))

    def _same_place(self, named: Named, other: Named) -> Named:
        """RENAME: both names must be single tables on one data source."""
        old, new = named.rule, other.rule
        if not isinstance(old, SingleTable) or not isinstance(new, SingleTable):
            raise NotSupported("a sharded or broadcast table is renamed in the rules, not by SQL")
        if old.node.data_source != new.node.data_source:
            raise NotSupported("a table would move to another data source by its new name's rule")
        return other

    def _rename(self) -> DdlPlan:
        """RENAME TABLE a TO b, c TO d."""
        at = 2
        while at < len(self.tokens) and self.tokens[at].upper in ("IF", "EXISTS"):
            at += 1
        found: list[Named] = []
        while at < len(self.tokens):
            old = self._named(at)
            to = next((n for n in range(old.span.last, len(self.tokens)) if self.tokens[n].upper == "TO"), None)
            if to is None:
                raise Unparsed("RENAME without TO")
            new = self._same_place(old, self._named(to + 1, new=True))
            found += [old, new]
            at = new.span.last + 1
        if len({named.rule.nodes[0].data_source for named in found}) != 1:
            raise NotSupported("tables of several data sources in one RENAME", "rename them one by one")
        return self._one_statement(found)

    def _drop(self) -> DdlPlan:
        found: list[Named] = [self._named(self._name_at())]
        while found[-1].span.last < len(self.tokens) and self.tokens[found[-1].span.last].text == ",":
            found.append(self._named(found[-1].span.last + 1))
        sources = {named.rule.nodes[0].data_source for named in found}
        if len(sources) == 1 and all(isinstance(named.rule, SingleTable) for named in found):
            return self._one_statement(found)
        units = [
            DdlUnit(node, self._template([self._list_edit(found, node.table)]), ())
            for named in found
            for node in named.rule.nodes
        ]
        return self._plan(found, units)

    def _one_statement(self, found: Sequence[Named]) -> DdlPlan:
        edits = [self._name_edit(named, slot) for slot, named in enumerate(found)]
        tables = tuple(named.rule.nodes[0].table for named in found)
        node = found[0].rule.nodes[0] if len(found) == 1 else DataNode(found[0].rule.nodes[0].data_source, "")
        return self._plan(found, [DdlUnit(node, self._template(edits), tables)])

    def _everywhere(self, named: Named, others: Sequence[Named]) -> DdlPlan:
        edits = [self._name_edit(named, 0)]
        edits += [self._name_edit(other, slot) for slot, other in enumerate(others, 1)]
        template = self._template(edits)
        units = [
            DdlUnit(node, template, (node.table, *(_counterpart(other, index, node, named) for other in others)))
            for index, node in enumerate(named.rule.nodes)
        ]
        return self._plan([named, *others], units)

    def _check_constraints(self, named: Named) -> None:
        """Names of foreign keys and checks are unique in a schema, which may have several parts of the table."""
        sources = [node.data_source for node in named.rule.nodes]
        if len(set(sources)) == len(sources):
            return
        for at, token in enumerate(self.tokens[:-2]):
            if token.upper == "CONSTRAINT" and {self.tokens[at + 1].upper, self.tokens[at + 2].upper} & {
                "FOREIGN",
                "CHECK",
            }:
                if self.tokens[at + 1].upper in ("FOREIGN", "CHECK"):
                    continue
                raise NotSupported(
                    f"the constraint name {self.tokens[at + 1].text} would exist twice in one schema of the servers",
                    "leave the name out",
                )

    def _name_edit(self, named: Named, slot: int) -> Edit:
        first, last = self.tokens[named.span.first], self.tokens[named.span.last - 1]
        return Edit(first.start, last.end, (TableSlot(slot),))

    def _list_edit(self, found: Sequence[Named], table: str) -> Edit:
        """One actual table in the place of a whole list of names."""
        first, last = self.tokens[found[0].span.first], self.tokens[found[-1].span.last - 1]
        return Edit(first.start, last.end, ("`" + table.replace("`", "``") + "`",))

    def _template(self, edits: Iterable[Edit]) -> Template:
        return splice(self.text, self.literals, edits, end=self.tokens[-1].end)

    def _plan(self, found: Sequence[Named], units: Sequence[DdlUnit]) -> DdlPlan:
        return DdlPlan(
            kind=self.kind,
            tables=tuple(dict.fromkeys(TableName(n.database.name, self.tokens[n.span.last - 1].name) for n in found)),
            writes=True,
            grants=frozenset({Grant.DDL}),
            route_kind=_route_kind(found[0].rule, units),
            units=tuple(units),
        )


def _route_kind(rule: TableRule, units: Sequence[DdlUnit]) -> RouteKind:
    if len(units) == 1:
        return RouteKind.SINGLE
    return RouteKind.BROADCAST if isinstance(rule, BroadcastTable) else RouteKind.SCATTER


def _counterpart(other: Named, index: int, node: DataNode, named: Named) -> str:
    """The actual table of another table that belongs to data node ``index`` of this one."""
    if other.rule.name == named.rule.name and other.database is named.database:
        return node.table
    if isinstance(other.rule, ShardedTable):
        bound = other.database is named.database and named.database.bound(other.rule.name, named.rule.name)
        if bound and other.rule.nodes[index].data_source == node.data_source:
            return other.rule.nodes[index].table
        raise NotSupported(
            f"'{other.rule.name}' in the DDL of '{named.rule.name}': they are not sharded alike",
            "put both in one binding group, or leave the foreign key out",
        )
    return _actual(other.rule, node, named)


def _actual(rule: TableRule, node: DataNode, named: Named) -> str:
    """The actual table of a table that is whole on the data node's data source."""
    for candidate in () if isinstance(rule, ShardedTable) else rule.nodes:
        if candidate.data_source == node.data_source:
            return candidate.table
    raise NotSupported(
        f"'{rule.name}' in the DDL of '{named.rule.name}': it is not on data source '{node.data_source}'"
    )
