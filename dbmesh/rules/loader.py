"""Rule files → ``MeshRules``: reads YAML (nobody else does), keeps where everything stands, compiles what is right.

YAML here is the core schema of YAML 1.2 with dates: ``yes`` and ``no`` are texts, ``010`` is a text, ``0x…`` is a text.
``${NAME}`` and ``${NAME:-default}`` in a value are replaced from the environment; ``$${`` stands for ``${``.
"""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import re
from collections.abc import Mapping
from decimal import Decimal

import yaml

from dbmesh.rules import compile_mesh
from dbmesh.rules.mistakes import Path, RuleErrors, RuleMistake, Source
from dbmesh.rules.model import MeshRules

MESH_FILE = "mesh.yaml"

_VARIABLE = re.compile(r"\$(?:\$(?=\{)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})")


class _CoreLoader(yaml.SafeLoader):
    """Composes nodes with the tags of the core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?[0-9]+\.[0-9]+([eE][-+]?[0-9]+)?", list("-+0123456789")),
    ("timestamp", r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,6})?)?", list("0123456789")),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, many times faster; what it says of mistakes is less clear."""

    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers


def load(directory: pathlib.Path, environ: Mapping[str, str]) -> MeshRules:
    """The rules of a directory: ``mesh.yaml`` and one file per logical database (``*.yaml``, ``*.yml``).

    Raises RuleErrors with every mistake of all files.
    """
    files = sorted(path for path in directory.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    mesh = next((path for path in files if path.name == MESH_FILE), None)
    if mesh is None:
        missing = f"there is no {MESH_FILE} in this directory" if directory.is_dir() else "there is no such directory"
        raise RuleErrors([RuleMistake(str(directory / MESH_FILE), 1, 1, "", missing)])
    sources = [read(path, environ) for path in files if path != mesh]
    return compile_mesh.compile_mesh(read(mesh, environ), sources)


def read(path: pathlib.Path, environ: Mapping[str, str]) -> Source:
    """One file as plain data with places; ``data`` is None when it cannot be read as YAML."""
    source = Source(str(path))
    try:
        node = _compose(path.read_text(encoding="utf-8"))
    except OSError as error:
        source.mistake((), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        source.mistake((), f"is not UTF-8 from byte {error.start} on")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        source.values[()] = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        source.mistake((), "YAML syntax: " + ", ".join(filter(None, (error.context, error.problem))))
    except yaml.YAMLError as error:
        source.mistake((), f"YAML syntax: {error}".split("\n")[0])
    else:
        if isinstance(node, yaml.MappingNode):
            source.data = _Walk(source, environ).value(node, ())
        else:
            source.mistake((), "must be a mapping of keys and values")
    if source.data is None:
        source.broken.add(())
    return source


def _compose(text: str) -> yaml.Node | None:
    """The document's root. Raises yaml.YAMLError in the words of the loader that is clear about mistakes."""
    with contextlib.suppress(yaml.YAMLError):
        return _FastLoader(text).get_single_node()  # type: ignore[no-any-return]
    return _CoreLoader(text).get_single_node()


class _Walk:
    """Turns YAML nodes into plain data and writes down where each stands."""

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self.source = source
        self.environ = environ
        self.above: set[int] = set()  # nodes being walked: an alias to one of them would never end

    def value(self, node: yaml.Node, path: Path) -> object:
        self.source.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.above:
            self.source.mistake(path, "is an alias of something that contains it")
            self.source.broken.add(path)
            return None
        self.above.add(id(node))
        result = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)
        self.above.discard(id(node))
        return result

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*path, key)
            if key in result:
                first = self.source.keys[here]
                self.source.keys[here] = place
                self.source.mistake(here, f"the key '{key}' stands here twice, first in line {first[0]}", at_key=True)
                self.source.keys[here] = first
                continue
            self.source.keys[here] = place
            value = self.value(value_node, here)
            if here not in self.source.broken:
                result[key] = value
        return result

    def sequence(self, node: yaml.Node, path: Path) -> list[object]:
        members = [self.value(child, (*path, at)) for at, child in enumerate(node.value)]
        if any((*path, at) in self.source.broken for at in range(len(members))):
            self.source.broken.add(path)
        return members

    def scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        kind, text = node.tag.removeprefix("tag:yaml.org,2002:"), node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return text.lower() == "true"
            if kind == "int":
                return int(text)
            if kind == "float":
                return Decimal(text)
            if kind == "timestamp":
                parse = datetime.date.fromisoformat if len(text) == 10 else datetime.datetime.fromisoformat
                return parse(text)
        except ValueError as error:
            self.source.mistake(path, str(error))
            return text
        if kind != "str":
            self.source.mistake(path, f"has the tag '{node.tag}'; tags are not used in rules")
        return self.substituted(text, path)

    def substituted(self, text: str, path: Path) -> str:
        """The text with variables of the environment filled in, which may be empty only if that is the default."""

        def fill(match: re.Match[str]) -> str:
            name, default = match[1], match[2]
            if name is None:
                return "$"
            value = self.environ.get(name, "")
            if not value and default is None and name not in self.environ:
                self.source.mistake(path, f"the environment variable {name} is not set and has no default")
                self.source.broken.add(path)
            return value or default or ""

        return _VARIABLE.sub(fill, text)
