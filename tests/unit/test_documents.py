"""What the documents name is there: files, functions, links, commands and their options; their rules load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dbmesh.cli import main
from dbmesh.rules.loader import load

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "template.md"
)

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"(?:\.?[\w-]+/)*[\w.-]+\.(?:py|md|yaml|json|sql|toml|yml)|(?:[\w-]+/)+")
_PLACE = re.compile(r"([\w/]+\.py)::(\w+)")
_COMMAND = re.compile(r"\bdbmesh ((?:serve|check|explain|demo|tx)\b[^`\n#]*)")
_ANY_COMMAND = re.compile(r"(?:^ {4}|`|^\$ )(?:\$ )?dbmesh ([a-z]+)", re.MULTILINE)
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/rules.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(params=DOCUMENTS)
def document(request: pytest.FixtureRequest) -> Path:
    return ROOT / str(request.param)


def test_every_relative_link_leads_to_a_file_and_a_heading_that_exist(document: Path) -> None:
    for link in _LINK.findall(prose(document.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def test_every_file_that_is_named_exists(document: Path) -> None:
    for code in _CODE.findall(prose(document.read_text())):
        name = code.partition("::")[0]
        if _FILE.fullmatch(name) and "/" in name:
            assert any((base / name).exists() for base in (ROOT, ROOT / "dbmesh", document.parent)), code


def test_every_function_that_is_named_is_in_its_file(document: Path) -> None:
    for name, function in _PLACE.findall(document.read_text()):
        source = (ROOT / "dbmesh" / name).read_text()
        assert re.search(rf"^\s*(?:async def|def|class) {function}\b|^{function}\b", source, re.MULTILINE), (
            f"{name}::{function}"
        )


def test_every_command_that_is_named_exists_with_its_options(document: Path) -> None:
    text = document.read_text()
    for name in _ANY_COMMAND.findall(text):
        assert name in main.commands, f"dbmesh {name}"
    for line in _COMMAND.findall(text):
        command, options = resolved(line)
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert options <= {*known, "--help"}, line


def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"(?:`|^ {4})make ([a-z]+)", document.read_text(), re.MULTILINE):
        assert target in targets, target


def test_the_rule_file_that_sells_the_mesh_is_the_demos_own() -> None:
    shown = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    real = (ROOT / "sharding-rules/shop.yaml").read_text().splitlines()
    assert shown
    assert [line for line in shown[0].splitlines() if line not in real] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_rules_reference_loads(example: str, tmp_path: Path) -> None:
    mesh, shop = EXAMPLES[:2]
    (tmp_path / "mesh.yaml").write_text(mesh)
    (tmp_path / "shop.yaml").write_text(shop)
    if example.startswith("# tables\n"):
        # the tables of an example take the place of those of the whole database file
        head, _, rest = shop.partition("\ntables:")
        tail = rest[rest.index("\nbroadcast_tables:") : rest.index("\nbinding_groups:")]
        tables = "".join(f"  {line}\n" for line in example.splitlines()[1:])
        (tmp_path / "shop.yaml").write_text(f"{head}\ntables:\n{tables}{tail}\n")
    assert load(tmp_path, {}).databases["shop"].tables


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCED.sub("", text)


def anchors(text: str) -> Iterator[str]:
    """The anchors of a text's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        yield plain.replace(" ", "-")


def resolved(line: str) -> tuple[click.Command, set[str]]:
    """The command that a line calls, and the options in it."""
    first, *others = line.split()
    command: click.Command = main.commands[first]
    if isinstance(command, click.Group) and others:
        command = command.commands.get(others[0].strip(".,;:|)"), command)
    return command, {found[1] for word in others if (found := re.match(r"\[?(--[a-z][a-z-]*)", word))}
