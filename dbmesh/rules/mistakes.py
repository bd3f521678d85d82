"""What is wrong with rule files, and where: ``file:line:column: path: message; did you mean …``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

LIKE_ENOUGH = 0.6


@dataclass(frozen=True, slots=True, order=True)
class RuleMistake:
    """One mistake; ``line`` and ``column`` count from 1, ``path`` is that of the YAML keys, dotted."""

    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " + (f"{self.path}: " if self.path else "")
        return where + self.message + (f"; {self.suggestion}" if self.suggestion else "")


class RuleErrors(Exception):
    """Every mistake of all files, in the order of files and lines."""

    def __init__(self, mistakes: Iterable[RuleMistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(slots=True)
class Source:
    """One YAML file as plain data, with where each key and value stands (line and column from 1)."""

    file: str
    data: object = None
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    mistakes: list[RuleMistake] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)  # removed after a mistake: not to be called missing

    def mistake(
        self, path: Path, message: str, *, word: str = "", choices: Iterable[str] = (), at_key: bool = False
    ) -> None:
        """Note a mistake at a path, or at its nearest ancestor that the file has. ``word``: what was written."""
        line, column = self.position(path, at_key)
        dotted = ".".join(map(str, path))
        self.mistakes.append(RuleMistake(self.file, line, column, dotted, message, suggestion(word, choices)))

    def position(self, path: Path, at_key: bool = False) -> tuple[int, int]:
        if at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def is_broken(self, *path: str | int) -> bool:
        """Whether this value, or something it belongs to, was removed after a mistake."""
        return any(path[:size] in self.broken for size in range(len(path) + 1))

    def is_meant(self, path: Path, *keys: str) -> bool:
        """Whether one of these keys is there after all, but misspelt or with a broken value."""
        found = [str(broken[-1]) for broken in self.broken if broken and broken[:-1] == path]
        return any(name in keys or suggestion(name, keys) for name in found)

    def names(self, *path: str | int) -> tuple[str, ...]:
        """The keys that a mapping of the file has, also those whose values are broken."""
        found = self.data
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        return tuple(map(str, found)) if isinstance(found, Mapping) else ()


def suggestion(word: str, choices: Iterable[str]) -> str:
    """``did you mean 'x'?`` for the nearest choice; nothing when none is near."""
    folded = {choice.lower(): choice for choice in choices}
    if not word or not folded:
        return ""
    likeness = {choice: difflib.SequenceMatcher(None, word.lower(), choice).ratio() for choice in folded}
    near = max(folded, key=likeness.__getitem__)
    return f"did you mean '{folded[near]}'?" if likeness[near] >= LIKE_ENOUGH else ""
