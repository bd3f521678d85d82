"""``dbmesh demo``: the main job, on real servers."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dbmesh.cli.options import rules_option
from dbmesh.sandbox.demo import run


@click.command()
@rules_option
def demo(directory: Path) -> None:
    """Show the mesh on throw-away MariaDB servers, every step checked against the shards.

    In a terminal it stays up afterwards and tells how to connect.
    """
    sys.exit(run(directory))
