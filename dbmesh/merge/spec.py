"""What a merge has to do: made by ``plan`` from the client's SQL, executed by :func:`dbmesh.merge.merged`.

A *backend row* is what a data node sends: first the client's own select items (a ``*`` stands for any number
of columns), then ``derived`` columns that the rewrite appended. The stages, in order, each one optional::

    streams -> merge by `order` -> `group` -> `finish` -> `distinct` -> `sort` -> `offset`, `limit` -> cut

**Column numbers** are written as Python indexes into the row of the stage that uses them: 0 is the first
column, -1 the last one. Columns behind a ``*`` and derived columns must be addressed from the end: with two
derived columns they are -2 and -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dbmesh.schema import Column

BUDGET = 32 << 20


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of an ORDER BY, GROUP BY or DISTINCT: a column and how its values compare.

    How is read from the column's definition when the streams open. Integers, DECIMAL, DOUBLE, YEAR, DATE, DATETIME,
    TIME and *binary* strings compare by themselves, NULL first when ascending. For the others the text
    that a backend sends is not the value, so the rewrite appends a column to compare instead (each is NULL when
    the value is), and ``column`` names that one; without it the statement is refused (1235), never compared wrongly:

    ======================================  ==========================================
    character string                        ``WEIGHT_STRING(expression)``, and ``pad``
    FLOAT, DOUBLE(m,d), REAL with a scale   ``expression+0e0``
    ENUM, SET, BIT                          ``expression+0``
    TIMESTAMP (ambiguous around DST)        ``UNIX_TIMESTAMP(expression)``
    JSON, GEOMETRY                          nothing: not supported
    ======================================  ==========================================

    ``pad``: only for a WEIGHT_STRING column of a PAD SPACE collation, the weight string of one space
    (``schema.Column.pad``): the shorter key compares as if continued by it. None: compare as the bytes are.
    """

    column: int
    descending: bool = False
    pad: bytes | None = None


class AggregateKind(Enum):
    """How partial results become one. All but COUNT and BIT_ skip NULLs and are NULL over nothing."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    BIT_AND = "bit_and"
    BIT_OR = "bit_or"
    BIT_XOR = "bit_xor"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate's column of the backend row, visible or derived: partial results in, the whole one out.

    The backend runs the client's own ``COUNT(…)``, ``SUM(…)``, so type, scale and label are MySQL's own.

    ``key``: MIN and MAX of character strings, ENUM and SET only (all three compare as strings there): the derived
    ``WEIGHT_STRING(MIN(s))`` column and its pad (``descending`` is not used). Other types compare by ``column``.

    ``sum`` and ``count``: for AVG the columns that hold ``SUM(x)`` and ``COUNT(x)`` of the same x. They
    need not be listed as aggregates unless ``finish`` reads them. For SUM, ``sum`` names a derived ``SUM(x)+0e0``
    where x is a DOUBLE with a scale (``DOUBLE(10,2)``, ``d2/3``), whose text is rounded; so it does for AVG. Where x
    has more digits than are shown (``n/3``), ``sum`` names a ``CAST(SUM(x) AS DECIMAL(65,30))`` that has them all.

    ``count`` with ANY: the column with ``COUNT(*)``; the value is that of the first backend row that stands
    for at least one table row (a bare column in a query without GROUP BY, where an empty shard sends NULL).

    ``distinct``: the function has DISTINCT. The shards then also group by its arguments (``GROUP BY g…, x``),
    whose keys follow the group's keys in ``MergeSpec.order``; of rows with equal keys only the first counts.
    All aggregates with ``distinct`` of one statement therefore have the same arguments. ``COUNT(DISTINCT x)``
    stays as it is in the select list (per (g, x) it is 0 or 1). Other aggregates beside it merge as usual.
    """

    kind: AggregateKind
    column: int
    key: SortKey | None = None
    sum: int | None = None
    count: int | None = None
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """GROUP BY, or a select list with aggregates and no GROUP BY.

    ``keys``: how many leading keys of ``MergeSpec.order`` make up the group; 0: the whole result is one group
    and exactly one row comes out, also when no data node sends one. The streams must come ordered by
    ``MergeSpec.order`` (the rewrite appends ORDER BY; the client's own order of the group columns may be
    used). Columns that are not aggregates keep the value of the group's first backend row.
    """

    keys: int
    aggregates: tuple[Aggregate, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """Column ``dm.aK`` of the evaluation, K its place in ``Finish.inputs``: one column of the merged row.

    ``charset``/``collation``: of the expression itself (``schema.Column`` of ``Catalog.describe``), for
    character strings only. They are refused (1235) without.

    ``float``: the expression is a FLOAT without a scale; ``column`` names a derived ``expression+0e0`` then, whose
    text is exact. It becomes a FLOAT again (CAST AS FLOAT: MariaDB 10.4, MySQL 8.0.17), for as a DOUBLE its text would
    be another: CONCAT(MAX(f), '') is '0.1' and not '0.10000000149011612'.

    FLOAT itself, FLOAT and DOUBLE with a scale, YEAR, BIT, ENUM, SET, JSON and GEOMETRY are refused: their text is not
    their value, or no server can be told their type. An ``+0e0`` or ``+0`` of them may stand in where it is only
    calculated with.
    """

    column: int
    charset: str | None = None
    collation: str | None = None
    float: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """An output column taken from the merged row, value and definition (type, label, table) unchanged."""

    column: int


@dataclass(frozen=True, slots=True)
class Item:
    """An output column that a backend evaluates: ``sql`` over ``dm.a0``, ``dm.a1`` … with the client's label.

    An AVG(x) inside ``sql`` is written ``(dm.aS / dm.aC)`` over inputs SUM(x) and COUNT(x), not over the
    merged AVG: MySQL calculates on with more digits than it shows. ``sql`` is complete text: literals are
    rendered, logical session values too. ``column``: what the servers say the client's own expression is, where they
    could be asked: literals have wider types than the columns in whose place they stand.
    """

    sql: str
    label: bytes = b""
    column: Column | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """What only MySQL may calculate: expressions over aggregates, HAVING, ORDER BY on such.

    Groups are shipped in batches, as typed literals, to a backend::

        SELECT dm.n, <items> FROM (SELECT 0 AS n, CAST(…) AS a0, … UNION ALL …) AS dm

    ``output``: the columns of the finished row, the client's first, then ``hidden`` ones for ``sort`` and
    ``distinct`` (``WEIGHT_STRING(…)`` of a character string …). After a Finish nothing else is derived:
    ``MergeSpec.derived`` counts the backend row, ``hidden`` the finished one. ``having``: an SQL condition;
    groups where it is not true are dropped.
    """

    inputs: tuple[Input, ...]
    output: tuple[Pass | Item, ...]
    hidden: int = 0
    having: str | None = None


@dataclass(frozen=True, slots=True)
class MergeSpec:
    """The whole merge of one statement.

    ``derived``: columns at the end of a backend row that the client does not see.
    ``order``: the keys by which every stream comes ordered, and the result leaves; (): rows in any order.
    With ``group``: its keys first. An ORDER BY that the group keys can serve is served here (``GROUP BY a, b
    ORDER BY b DESC``: order is b DESC, a), any other by ``sort``.
    ``distinct``: keys for all visible columns, in any order: equal rows are shown once. When they are
    ``order`` itself (and there is neither group nor finish) the merge streams; otherwise the keys seen are
    kept, within the budget.
    ``sort``: ORDER BY on what exists only after grouping; column numbers of the finished row, or of the
    merged row when there is no ``finish``. In memory: with ``limit`` the first ``offset + limit`` rows,
    without it all of them.
    ``offset``, ``limit``: of the whole result. The shards were asked for ``offset + limit`` rows where that
    is allowed.
    ``budget``: bytes that ``sort`` and ``distinct`` may hold; beyond it error 1038.
    """

    derived: int = 0
    order: tuple[SortKey, ...] = ()
    group: Group | None = None
    finish: Finish | None = None
    distinct: tuple[SortKey, ...] = ()
    sort: tuple[SortKey, ...] = ()
    offset: int = 0
    limit: int | None = None
    budget: int = BUDGET
