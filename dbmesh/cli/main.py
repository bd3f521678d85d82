"""The command ``dbmesh`` and its subcommands."""

from __future__ import annotations

import click

from dbmesh import __version__, build
from dbmesh.cli.check import check
from dbmesh.cli.ddl import ddl
from dbmesh.cli.demo import demo
from dbmesh.cli.explain import explain
from dbmesh.cli.serve import serve
from dbmesh.cli.tx import tx


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(f"{__version__} ({build()})", prog_name="dbmesh")
def main() -> None:
    """One MySQL endpoint over many MySQL and MariaDB servers."""


for command in (serve, check, explain, demo, tx, ddl):
    main.add_command(command)
