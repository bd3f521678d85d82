"""One statement on both sides, and what is allowed to differ."""

from __future__ import annotations

from typing import Any

from pymysql.connections import Connection

from tests.differential.outcome import Likeness, difference, run
from tests.differential.statements import Statement


def likeness(statement: Statement, plain: Connection[Any]) -> Likeness:
    """How alike the answers must be, by the statement's remarks."""
    whole = statement.remarks.get("from")
    return Likeness(
        statement.ordered,
        statement.columns("by"),
        statement.columns("fold"),
        run(plain, whole).rows if whole else None,
        "wording" not in statement.remarks,
    )


def disagreement(statement: Statement, mesh: Connection[Any], plain: Connection[Any]) -> str | None:
    """What is wrong with the mesh's answer, or None.

    A refusal that is not listed is wrong, and so is a listed one that is gone. A listed statement is not run on the
    plain server, so that both have seen the same.
    """
    mine = run(mesh, statement.sql)
    if statement.refusal is not None:
        if mine.refused:
            return None
        found = difference(mine, run(plain, statement.sql), likeness(statement, plain))
        return f"no longer refused: take the remark of {statement} away\n{found or 'the answer is right'}"
    theirs = run(plain, statement.sql)
    if mine.refused and not theirs.refused:
        return f"refused: {mine.message}"
    found = difference(mine, theirs, likeness(statement, plain))
    if "differs" in statement.remarks:
        return None if found else f"no longer different: take the remark of {statement} away"
    return found


def check(statement: Statement, mesh: Connection[Any], plain: Connection[Any]) -> None:
    """Fail on a disagreement."""
    found = disagreement(statement, mesh, plain)
    assert found is None, f"{statement.sql}\n{found}"
