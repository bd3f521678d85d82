"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from dbmesh.rules.loader import load
from dbmesh.rules.mistakes import RuleErrors
from dbmesh.rules.model import MeshRules

rules_option = click.option(
    "--rules",
    "directory",
    type=click.Path(path_type=Path),
    default=Path("sharding-rules"),
    show_default=True,
    help="The directory of rule files.",
)


def load_or_exit(directory: Path) -> MeshRules:
    """The rules; every mistake on stderr and exit code 2 when they are wrong."""
    try:
        return load(directory, os.environ)
    except RuleErrors as errors:
        exit_with_mistakes(errors)


def exit_with_mistakes(errors: RuleErrors) -> NoReturn:
    for mistake in errors.mistakes:
        click.echo(str(mistake), err=True)
    count = len(errors.mistakes)
    click.echo(f"{count} mistake{'s' if count > 1 else ''}", err=True)
    sys.exit(2)
