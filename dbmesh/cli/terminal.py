"""Tables on a terminal, and whole lines where there is none."""

from __future__ import annotations

import sys

from rich.console import Console


def console() -> Console:
    """A console as wide as the terminal; a pipe or file is never so narrow that it cuts names and SQL in pieces."""
    return Console(width=None if sys.stdout.isatty() else 1000, soft_wrap=True)
