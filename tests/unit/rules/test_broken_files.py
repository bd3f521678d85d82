from __future__ import annotations

import pathlib
import re
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.rules import loader
from dbmesh.rules.mistakes import RuleErrors, RuleMistake

RULES = pathlib.Path(__file__).parents[3] / "sharding-rules"
FILES = {name: re.sub(r" *#.*", "", (RULES / name).read_text(encoding="utf-8")) for name in ("mesh.yaml", "shop.yaml")}
PIECES = {name: re.findall(r"\w+|\s+|[^\w\s]", text) for name, text in FILES.items()}
NEW = [
    "",
    "5",
    "-1",
    "x",
    "true",
    "~",
    "[]",
    "{}",
    "{a: b}",
    "[a, 1]",
    "2024-01-01",
    "1.5",
    "'",
    "${NO}",
    "\n",
    "&a",
    "*a",
]


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(NEW)), min_size=1, max_size=3),
)
def test_any_broken_file_gives_mistakes_with_places_and_nothing_else(name: str, edits: list[tuple[int, str]]) -> None:
    pieces = list(PIECES[name])
    for at, new in edits:
        pieces[at % len(pieces)] = new
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        for file, text in (FILES | {name: "".join(pieces)}).items():
            (directory / file).write_text(text, encoding="utf-8")
        for mistake in mistakes(directory):
            assert mistake.message
            assert mistake.line >= 1
            assert mistake.column >= 1


def mistakes(directory: pathlib.Path) -> tuple[RuleMistake, ...]:
    """None for files that an edit left right; any other exception than RuleErrors fails the test."""
    try:
        loader.load(directory, {})
    except RuleErrors as refused:
        return refused.mistakes
    return ()
