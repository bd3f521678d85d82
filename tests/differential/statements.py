"""Reads the tables of statements: one statement up to a ``;`` at a line's end, remarks in the lines before it.

``-- by: 1, 2``      its ORDER BY decides the order of these columns only, the rest ties
``-- fold: 0``       these columns are compared as a case-insensitive PAD SPACE collation does
``-- from: SELECT``  a LIMIT without total order: the rows may be any of that statement's
``-- refused: why``  the mesh answers with error 1235
``-- differs: why``   the answer is another one, and meant to be
``-- wording: why``   an error's number is the same, its text another one
``-- refused on mysql: why``  a remark for servers of MySQL only; likewise ``on mariadb``
``-- scenario: what``  statements up to the next such line belong together and run in their order
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.flavour import MYSQL

_FOLDER = Path(__file__).parent / "statements"
_REMARK = re.compile(r"-- (by|fold|from|refused|differs|wording|scenario)(?: on (mysql|mariadb))?: (.*)")
_SERVERS = "mysql" if MYSQL else "mariadb"


@dataclass(frozen=True, slots=True)
class Statement:
    """``line``: where it stands in its file."""

    sql: str
    file: str
    line: int
    remarks: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def columns(self, remark: str) -> tuple[int, ...]:
        """The column numbers of a remark."""
        return tuple(int(number) for number in self.remarks.get(remark, "").split(",") if number.strip())

    @property
    def ordered(self) -> bool:
        """Whether the outermost SELECT has an ORDER BY."""
        text = re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", self.sql)
        while (flat := re.sub(r"\([^()]*\)", "", text)) != text:
            text = flat
        return re.search(r"\bORDER\s+BY\b(?!\s+NULL)", text, re.IGNORECASE) is not None

    @property
    def refusal(self) -> str | None:
        return self.remarks.get("refused")


def read(name: str) -> list[Statement]:
    """All statements of a file."""
    return [statement for _, statements in scenarios(name) for statement in statements]


def scenarios(name: str) -> list[tuple[str, list[Statement]]]:
    """The statements of a file by scenario."""
    found: list[tuple[str, list[Statement]]] = [("", [])]
    remarks: dict[str, str] = {}
    lines: list[str] = []
    for number, line in enumerate((_FOLDER / f"{name}.sql").read_text("utf-8").splitlines(), 1):
        if not lines and (remark := _REMARK.fullmatch(line)):
            if remark[1] == "scenario":
                found.append((remark[3], []))
            elif remark[2] in (None, _SERVERS):
                remarks[remark[1]] = remark[3]
        elif lines or (line and not line.startswith("--")):
            lines.append(line)
            if line.endswith(";"):
                sql = "\n".join(lines).removesuffix(";")
                found[-1][1].append(Statement(sql, name, number, remarks))
                lines, remarks = [], {}
    return [scenario for scenario in found if scenario[1]]
