"""How the demo talks: headings, statements, tables, and a mark behind everything that was verified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDTH = 118  # where the output is no terminal


class Mismatch(Exception):
    """What the mesh answered is not what the shards hold."""


class Narrator:
    """Prints one step after the other. Colours only on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = _WIDTH
        self._steps = 0
        self.verified = 0

    def step(self, title: str) -> None:
        """A new chapter."""
        self._steps += 1
        self.console.print()
        self.console.rule(f"[bold cyan]{self._steps}. {escape(title)}[/]", align="left")

    def say(self, text: str) -> None:
        """A sentence."""
        self.console.print(escape(text), soft_wrap=True)

    def sql(self, statement: str, prompt: str = "mesh> ") -> None:
        """A statement as the application sends it."""
        self._lines(prompt, statement, "bold")

    def quote(self, text: str) -> None:
        """Output of another program, as it came."""
        self._lines("  | ", text, "dim")

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
        """Rows as a table."""
        table = Table(title=title, title_justify="left", header_style="bold")
        for heading in headings:
            table.add_column(heading)
        for row in rows:
            table.add_row(*("NULL" if value is None else escape(str(value)) for value in row))
        self.console.print(table)

    def verify(self, claim: str, got: object, wanted: object) -> None:
        """Print the claim with a mark when both are equal; Mismatch when they are not."""
        if got != wanted:
            raise Mismatch(f"{claim}: the mesh says {_short(got)}, the shards say {_short(wanted)}")
        self.verified += 1
        self.console.print(f"[green]✓[/] {escape(claim)}")

    def fail(self, text: str) -> None:
        """Why the demo ends here."""
        self.console.print(f"[bold red]✗ {escape(text)}[/]", soft_wrap=True)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Something that takes a while: a spinner on a terminal, one line elsewhere."""
        if self.console.is_terminal:
            with self.console.status(escape(what)):
                yield
        else:
            self.say(what)
            yield

    def _lines(self, prompt: str, text: str, style: str) -> None:
        for number, line in enumerate(text.rstrip().splitlines()):
            lead = prompt if number == 0 or prompt.startswith("  |") else " " * len(prompt)
            self.console.print(f"[{style}]{escape(lead + line)}[/]", soft_wrap=True)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + " …"
