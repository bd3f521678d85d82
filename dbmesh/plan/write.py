"""UPDATE and DELETE: on the data nodes of their rows, on every copy of a broadcast table, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlglot import exp

from dbmesh.errors import NotSupported
from dbmesh.plan.clock import clock_edits
from dbmesh.plan.insert_text import statement_tokens
from dbmesh.plan.mistakes import check_whole
from dbmesh.plan.model import Plan, Scope
from dbmesh.plan.read import notes
from dbmesh.plan.references import resolve, system_tables, table_edits, table_names
from dbmesh.plan.session_functions import check_functions, user_variables
from dbmesh.plan.staged import StagedWrite, WriteText, plan_staged
from dbmesh.plan.write_plan import CopiesWrite, Move, ShardWrite, StagedPlan, WriteParts, copies_of
from dbmesh.plan.write_text import (
    answered_edits,
    check_known_functions,
    check_parted,
    check_repeatable,
    file_grant,
    qualified_edits,
)
from dbmesh.rewrite import Edit, TableSlot, Template, splice
from dbmesh.route.placement import everywhere
from dbmesh.route.router import RouteTemplate, Target, route_template
from dbmesh.rules.model import BroadcastTable, ShardedTable
from dbmesh.sql.blocks import Blocks, Place, find_blocks
from dbmesh.sql.constants import Value
from dbmesh.sql.fingerprint import literal_spans
from dbmesh.sql.layout import Span
from dbmesh.sql.statement import Unparsed, parse
from dbmesh.sql.tokens import Token

_MODIFIERS = frozenset({"LOW_PRIORITY", "QUICK", "IGNORE"})
_CLAUSES = ("WHERE", "ORDER", "LIMIT", "RETURNING")
_Made = TypeVar("_Made", CopiesWrite, ShardWrite, StagedPlan)


async def plan_write(text: str, scope: Scope) -> Plan:
    """The plan of an UPDATE or DELETE. Raises Unparsed for what the parser cannot read."""
    tokens = statement_tokens(text)
    check_functions(tokens)
    modifiers = _modifiers(tokens)
    blank = text
    for token in modifiers:  # the parser would take them for tables
        blank = blank[: token.start] + " " * (token.end - token.start) + blank[token.end :]
    statement = parse(blank)
    if not isinstance(statement.tree, exp.Update | exp.Delete):
        raise Unparsed("neither UPDATE nor DELETE")
    _from_using(statement.tree)
    if not (statement.tree.expressions if isinstance(statement.tree, exp.Update) else _names_tables(statement.tree)):
        raise Unparsed("without SET or FROM")
    blocks = find_blocks(statement)
    if system_tables(blocks):
        raise NotSupported("a write to the servers' own tables")
    targets = await resolve(blocks, scope)
    ignore = any(token.upper == "IGNORE" for token in modifiers)
    return await _Planner(text, blocks, targets, scope, ignore).plan()


def _from_using(tree: exp.Expr) -> None:
    """``DELETE FROM a, b USING …`` as ``DELETE a, b FROM …``."""
    using = tree.args.get("using")
    if not using:
        return
    first, *more = using
    if more:
        first.set("joins", [*(first.args.get("joins") or ()), *(exp.Join(this=table) for table in more)])
    named = tree.this
    others = [join.this for join in named.args.get("joins") or ()]
    named.set("joins", None)
    tree.set("tables", [named, *others])
    tree.set("this", first)
    tree.set("using", None)


def _names_tables(tree: exp.Delete) -> bool:
    return isinstance(tree.this, exp.Expression)


def _modifiers(tokens: Sequence[Token]) -> list[Token]:
    found = []
    for token in tokens[1:]:
        if token.upper not in _MODIFIERS:
            break
        found.append(token)
    return found


class _Planner:
    def __init__(self, text: str, blocks: Blocks, targets: Sequence[Target], scope: Scope, ignore: bool) -> None:
        self.text = text
        self.blocks = blocks
        self.targets = targets
        self.scope = scope
        self.ignore = ignore
        self.tree = blocks.statement.tree
        self.tokens = blocks.statement.tokens
        self.literals = literal_spans(text)
        top = next(block for block in blocks.blocks if block.place is Place.TOP)
        self.top = [r for r in blocks.references if r.block == top.index]
        self.assignments = _assignments(self.tree)
        self.plain = len(self.top) == 1 and not self.tree.args.get("tables") and len(top.sources) == 1

    async def plan(self) -> Plan:
        if not self.top:
            raise Unparsed("no table is written")
        written = await self._written()
        rules = [self.targets[index].rule for index in written]
        if any(isinstance(rule, BroadcastTable) for rule in rules):
            try:
                return await self._copies(written)
            except NotSupported as refusal:
                return await self._staged_copies(written, refusal)
        plan = self._on_shards(written)
        if plan.refusal is not None or plan.moves or plan.route.apart or not everywhere(plan.route):
            try:
                plan.staged = await self._staged(written, plan.route)
            except NotSupported as refusal:
                plan.unstaged = refusal
            await check_whole(plan, self.blocks.statement, self.scope)
        return plan

    async def _staged(self, written: Sequence[int], route: RouteTemplate) -> StagedWrite | None:
        assigned: dict[int, set[str]] = {}
        for column, _ in self.assignments:
            for index in [written[0]] if self.plain else await self._owners(column):
                assigned.setdefault(index, set()).add(column.name.lower())
        text = WriteText(
            self.blocks, route, self._template(self._edits()), tuple(written),
            {index: frozenset(names) for index, names in assigned.items()}, self._clauses(), self.plain,
            isinstance(self.tree, exp.Delete), self.ignore,
        )  # fmt: skip
        return await plan_staged(text, self.scope)

    async def _staged_copies(self, written: Sequence[int], refusal: NotSupported) -> Plan:
        """A broadcast table in a way that leaves its copies alike: by key, with the same values for all of them."""
        route = route_template(self.blocks, self.targets)
        staged = await self._staged(written, route)
        if staged is None:
            raise refusal
        return self._about(StagedPlan(kind=self.blocks.statement.kind, route=route, staged=staged))

    def _on_shards(self, written: Sequence[int]) -> ShardWrite:
        """One data node when that is all it needs; several when each can do its part for itself."""
        edits = self._edits()
        refusal = self._refusal(written)
        pinned = edits if refusal is not None else [*edits, *clock_edits(self.tokens)]
        plan = ShardWrite(
            kind=self.blocks.statement.kind,
            route=route_template(self.blocks, self.targets),
            single=self._template(edits),
            refusal=refusal,
            parts=self._parts(edits),
            several_parts=self._parts(pinned),
            whole=self._template(pinned),
            moves=self._moves(),
        )
        return self._about(plan)

    def _refusal(self, written: Sequence[int]) -> NotSupported | None:
        """Why it may run on one data node only; None when several can do it."""
        if not all(isinstance(self.targets[index].rule, ShardedTable) for index in written):
            return NotSupported("a single table is changed with rows of several data nodes")
        if "LIMIT" in self._clauses():
            return NotSupported(
                "LIMIT over several data nodes", "restrict it to one sharding key, or to the rows' keys"
            )
        if _seeds(self.tokens):
            return NotSupported("RAND(…) over several data nodes, each of which would begin with its first number")
        try:
            check_parted(self.tokens)
            check_known_functions(self.tokens, [Span(1, len(self.tokens))])
            clock_edits(self.tokens)
        except NotSupported as why:
            return why
        return None

    async def _copies(self, written: Sequence[int]) -> Plan:
        """A broadcast table: the same statement everywhere, with nothing in it that would make the copies differ."""
        if not all(isinstance(target.rule, BroadcastTable) for target in self.targets):
            raise NotSupported(
                "a broadcast table is changed together with, or by what is read from, tables that are not broadcast",
                "read the values first",
            )
        check_repeatable(self.tokens, [Span(1, len(self.tokens))])
        check_parted(self.tokens)
        if any(token.upper == "LIMIT" for token in self.tokens):
            raise NotSupported("LIMIT in a write to a broadcast table: its copies would differ", "name the rows' keys")
        if isinstance(self.tree, exp.Update):
            await self._check_on_update(written)
        edits = [*self._edits(), *clock_edits(self.tokens)]
        plan = CopiesWrite(
            kind=self.blocks.statement.kind,
            places=copies_of(self.targets, self.targets[written[0]]),
            template=self._template(edits),
            parts=self._parts(edits),
        )
        return self._about(plan)

    async def _check_on_update(self, written: Sequence[int]) -> None:
        assigned = {column.name.lower() for column, _ in self.assignments}
        for index in written:
            table = await self.scope.columns(self.targets[index].rule)
            for column in table.columns if table is not None else ():
                if column.on_update and column.name.lower() not in assigned:
                    raise NotSupported(
                        f"column '{column.name}' of a broadcast table changes by itself, in each copy at its own time",
                        f"assign it, too: {column.name} = NOW()",
                    )

    async def _written(self) -> list[int]:
        """The references whose rows change."""
        if self.plain:
            return [self.top[0].index]
        if isinstance(self.tree, exp.Delete):
            return [self._named(table) for table in self.tree.args.get("tables") or ()]
        found: dict[int, None] = {}
        for column, _ in self.assignments:
            for index in await self._owners(column):
                found[index] = None
        return list(found)

    def _named(self, node: exp.Table) -> int:
        for reference in self.top:
            if reference.alias == node.name and not node.args.get("db"):
                return reference.index
        raise NotSupported(
            f"DELETE of '{node.sql()}'", "name the tables to delete from by their names or aliases in FROM"
        )

    async def _owners(self, column: exp.Column) -> list[int]:
        """The references that an assigned column may belong to."""
        if column.table:
            found = [r.index for r in self.top if r.alias == column.table]
        else:
            found = []
            for reference in self.top:
                table = await self.scope.columns(self.targets[reference.index].rule)
                if table is None or table.column(column.name) is not None:
                    found.append(reference.index)
        return found or [r.index for r in self.top]

    def _moves(self) -> tuple[Move, ...]:
        """Assignments to sharding key columns; only what leaves every row where it is may be bound."""
        moves = []
        for column, value in self.assignments:
            for reference in self.top:
                rule = self.targets[reference.index].rule
                key = column.name.lower()
                if not isinstance(rule, ShardedTable) or key not in rule.key_columns:
                    continue
                if column.table and column.table != reference.alias:
                    continue
                if not self._same_column(column, value):
                    moves.append(
                        Move(reference.index, key, self.targets[reference.index].columns[key], self._value(value))
                    )
        return tuple(moves)

    def _same_column(self, column: exp.Column, value: exp.Expr) -> bool:
        """``k = k``, in an UPDATE of one table."""
        return (
            self.plain
            and isinstance(value, exp.Column)
            and value.name.lower() == column.name.lower()
            and value.table in ("", self.top[0].alias)
        )

    def _value(self, node: exp.Expr) -> Value | None:
        node = node.unnest()
        negative = isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string
        literal = self.blocks.statement.literal_of(node.this if negative else node)
        return None if literal is None or self.blocks.statement.traps else Value(literal, negative)

    def _edits(self) -> list[Edit]:
        """Actual tables and session values in the text."""
        edits = [*table_edits(self.blocks), *answered_edits(self.text, self.tokens)]
        if not isinstance(self.tree, exp.Delete) or not self.plain or self.top[0].has_alias:
            return edits
        # A DELETE of one table cannot give it an alias on every server: its name is replaced everywhere.
        target = self.top[0]
        own = _tokens_of(self.tokens, target.span)
        qualified = qualified_edits(self.tokens, self.targets[target.index].database.name, target.name, own)
        if qualified and any(r.alias == target.name and r is not target for r in self.blocks.references):
            raise NotSupported(
                f"a DELETE whose subquery reads '{target.name}', too, with columns qualified with that name",
                "give it an alias in the subquery",
            )
        replaced = {target.span[0], *(edit.start for edit in qualified)}
        slot = (TableSlot(target.index),)
        kept = [edit for edit in edits if edit.start not in replaced]
        return [*kept, Edit(*target.span, slot), *(Edit(edit.start, edit.end, slot) for edit in qualified)]

    def _clauses(self) -> dict[str, int]:
        """WHERE, ORDER, LIMIT and RETURNING of the statement itself: the index of each word."""
        found: dict[str, int] = {}
        depth = 0
        for at, token in enumerate(self.tokens):
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0 and token.upper in _CLAUSES and self.tokens[at - 1].text != ".":
                found.setdefault(token.upper, at)
        return found

    def _parts(self, edits: Sequence[Edit]) -> WriteParts | None:
        """The statement in the parts that a saga needs; None for forms that it cannot record."""
        clauses = self._clauses()
        if not self.plain or "RETURNING" in clauses:
            return None
        starts = {name: self.tokens[at].start for name, at in clauses.items()}
        end = self.tokens[-1].end
        head_end = min(starts.values(), default=end)
        source_end = self._set_start() if isinstance(self.tree, exp.Update) else head_end
        bodies = {name: self.tokens[at + (2 if name == "ORDER" else 1)].start for name, at in clauses.items()}

        def clause(name: str) -> Template:
            if name not in bodies:
                return Template(())
            stop = min((start for start in starts.values() if start > starts[name]), default=end)
            return splice(self.text, self.literals, edits, bodies[name], stop)

        return WriteParts(
            op="U" if isinstance(self.tree, exp.Update) else "D",
            source=splice(self.text, self.literals, edits, self.top[0].span[0], source_end),
            head=splice(self.text, self.literals, edits, end=head_end),
            where=clause("WHERE"),
            order_by=clause("ORDER"),
            limit=clause("LIMIT"),
            set_columns=tuple(column.name for column, _ in self.assignments),
            set_values=tuple(splice(self.text, self.literals, edits, *span) for span in self._assigned(head_end)),
            ignore=self.ignore,
        )

    def _set_start(self) -> int:
        return next(token.start for token in self.tokens if token.upper == "SET" and token.start >= self.top[0].span[1])

    def _assigned(self, end: int) -> list[tuple[int, int]]:
        """Where the values that SET assigns stand in the text, in order. ``end``: of the SET clause."""
        if not isinstance(self.tree, exp.Update):
            return []
        spans: list[tuple[int, int]] = []
        depth, in_value = 0, False
        for token in self.tokens:
            if not self._set_start() < token.start < end:
                continue
            if depth == 0 and token.text == ",":
                in_value = False
            elif in_value:
                spans[-1] = (min(spans[-1][0], token.start), token.end)
            elif depth == 0 and token.text == "=":
                in_value = True
                spans.append((end, end))
            depth += (token.text == "(") - (token.text == ")")
        return spans

    def _template(self, edits: Sequence[Edit]) -> Template:
        return splice(self.text, self.literals, edits, end=self.tokens[-1].end)

    def _about(self, plan: _Made) -> _Made:
        plan.tables = table_names(self.targets)
        plan.writes = True
        plan.user_variables = user_variables(self.tokens)
        plan.grants = file_grant(self.tokens)
        plan.notes = notes(self.targets)
        return plan


def _assignments(tree: exp.Expr) -> list[tuple[exp.Column, exp.Expr]]:
    """What SET assigns. ``a = b = c`` is a comparison assigned to ``a``, which the parser reads the other way round."""
    found = []
    for assignment in tree.expressions if isinstance(tree, exp.Update) else ():
        if not isinstance(assignment, exp.EQ) or not isinstance(assignment.this, exp.Column):
            raise NotSupported("an assignment that its parser misreads", "put the assigned value in parentheses")
        found.append((assignment.this, assignment.expression))
    return found


def _seeds(tokens: Sequence[Token]) -> bool:
    """Whether RAND(n) is called, whose numbers follow one another from row to row."""
    return any(
        token.upper == "RAND" and [after.text for after in tokens[at + 1 : at + 3]] not in ([], ["(", ")"])
        for at, token in enumerate(tokens)
    )


def _tokens_of(tokens: Sequence[Token], span: tuple[int, int]) -> Span:
    first = next(at for at, token in enumerate(tokens) if token.start == span[0])
    last = next(at for at, token in enumerate(tokens) if token.end == span[1])
    return Span(first, last + 1)
